"""
What happens to a request where we are the DHCP server: it is answered, the network is asked who has
the address, the lease is written, and the reply leaves.  ``server.answer`` decides; this only waits
for the network and the disk, and keeps count of who waits.

::

    request --> server.answer --> Given --> (on disk) --> reply
                     ^    |
       silence, or   |    +-----> Ask ----> ARP
       somebody else +----------------------+

While an address is asked for, its asker may say the same again: U-Boot does so every 0.25 s, with a
new xid each time.  The last few are all answered, since nobody knows which one it still listens to.

What waits is bounded: requests for the network here, those for the disk by the ledger.  Whoever
finds no room is not answered, and asks again after some seconds (RFC 2131, section 4.1).
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from itertools import chain
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

from netbootd.addressing import Serving
from netbootd.budget import Budget
from netbootd.dhcp import pxe, server, telling, wire
from netbootd.dhcp.destination import Arrival, destination
from netbootd.dhcp.given import Ask, Given, Noted
from netbootd.dhcp.listeners import Listener
from netbootd.dhcp.memory import Memory
from netbootd.dhcp.message import Message, MessageType
from netbootd.dhcp.prober import Prober
from netbootd.dhcp.proxy import Ignored
from netbootd.errors import WireError
from netbootd.events.event import Event
from netbootd.events.lease import AddressInUse, NoAddress
from netbootd.events.stream import Stream
from netbootd.events.witness import Requested
from netbootd.leases.lease import Address, Lease, State
from netbootd.leases.ledger import Ledger
from netbootd.mac import MAC
from netbootd.registry.snapshot import Registry

log = logging.getLogger(__name__)

#: Seconds that an address is given to nobody which somebody uses who should not.
DECLINED_S = 900.0
#: Seconds between two warnings that a subnet has no address left; the others are for the record.
TOLD_AGAIN_S = 60.0
#: Addresses of a subnet that are asked for before anybody wants them, where it is quiet; else as
#: many as are offered in so many seconds.
AHEAD = 8
_MOST_AHEAD = 256
_AHEAD_S = 1.0
#: Requests that wait for the network: of cards that are not listed, and of all.
_MOST_STRANGERS, _MOST_WAITING = 512, 2048
_LAST_FEW = 4  # of one client
_MOST_TRIES = 8  # addresses that one request is offered, until one is free
_MOST_TOLD = 1024


class Books(Ledger, Protocol):
    """
    What is known beside the leases: *follow* calls *then* as ``commit`` does, with what is on its
    way for an address already, and is False where nothing is.  *heard* is told of another server's
    gifts, *rivaled* tells of an interface where one was heard.
    """

    def follow(self, address: Address, then: Callable[[bool], None]) -> bool: ...
    def rivaled(self, interface: str) -> bool: ...
    def heard(self, server: str, interface: str, mac: MAC | None, address: str) -> None: ...


class Asked(NamedTuple):
    """
    A request as it is carried along, with the photograph that it is answered by, and the *budget*
    that it costs, None where nothing is counted.
    """

    request: Message
    arrival: Arrival
    to: Listener
    registry: Registry
    budget: Budget | None = None
    tries: int = 0

    @property
    def goes_first(self) -> bool:
        """Whether it is a listed machine's."""
        return self.budget is None or self.budget.preferred


class Lessor:
    """The same for every interface."""

    def __init__(
        self, memory: Memory, events: Stream, ledger: Books, counts: Counter[int | None]
    ) -> None:
        self._counts = counts
        self._memory = memory
        self._events = events
        self._ledger = ledger
        self._waiting: dict[tuple[str, Address], _Queue] = {}
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._paces: WeakKeyDictionary[Prober, _Pace] = WeakKeyDictionary()

    def serve(self, asked: Asked) -> None:
        """Answer it, now or as soon as the network and the disk have said their word."""
        request, arrival, registry = asked.request, asked.arrival, asked.registry
        ledger, asking = self._ledger, _Asking(asked.to.prober, request.chaddr[:6])
        now = ledger.clock()
        answer = server.answer(
            request,
            arrival,
            registry,
            ledger.leases,
            now=now,
            links=asked.to.interface.addresses,
            marks=self._memory.sighted(request, registry),
            known=self._memory.known(request),
            saving=ledger.saving,
            rival=ledger.rivaled(arrival.interface),
            asked=asking.silent,
            taken=asking.taken,
        )
        match answer:
            case Given():
                self._give(asked, answer)
            case Ask():
                self._ask(asked, answer)
            case Noted():
                self._ledger.commit(answer.write, (), lambda _: self._tell(answer.events))
            case Ignored():
                self._ignore(asked, answer)

    # -- a reply -------------------------------------------------------------------------------

    def _give(self, asked: Asked, given: Given) -> None:
        """It leaves when it is on disk, and so does one that only says again what is not yet."""
        ledger, lease = self._ledger, given.lease
        if lease is not None and asked.to.prober is not None:
            self._take(lease, asked, asked.to.prober)

        def then(saved: bool) -> None:
            self._written(asked, given, saved)

        if given.write:
            ledger.commit(given.write, given.before, then)
        elif lease is None or not ledger.follow(lease.address, then):
            self._send(asked, given)

    def _written(self, asked: Asked, given: Given, saved: bool) -> None:
        if saved and self._still(given.lease):
            self._send(asked, given)
            return
        if saved:
            told = "its address became another's while the lease was written"
            self._ignore(asked, Ignored(told, code="unsent"))
            return
        self._no_address(
            NoAddress(
                mac=pxe.mac_of(asked.request),
                reason="the lease cannot be written down",
                code="unsaved",
                interface=asked.arrival.interface,
            )
        )

    def _still(self, lease: Lease | None) -> bool:
        """Whether *lease* holds: a disk may take its time, and others go on meanwhile."""
        if lease is None:
            return True
        at = self._ledger.leases.at(lease.address)
        return at is not None and at.key == lease.key and at.state is lease.state

    def _send(self, asked: Asked, given: Given) -> None:
        request, arrival, to = asked.request, asked.arrival, asked.to
        reply = given.reply
        ours, named = arrival.address, reply.server_id
        if named and named != ours and named in [one.ip for one in to.interface.addresses]:
            ours = named
        way = destination(request, reply, arrival.source, boot_server=False)
        try:
            to.send(wire.encode(reply, request.limit), ours, way)
        except (OSError, WireError) as problem:
            told = f"cannot send the reply to {way.address}: {problem}"
            self._ignore(asked, Ignored(told, code="unsent"))
            return
        self._counts[reply.message_type] += 1
        self._tell(given.events)
        self._tell_of_boot(asked, given)

    def _tell_of_boot(self, asked: Asked, given: Given) -> None:
        request, arrival = asked.request, asked.arrival
        # An ACK to who was offered the same before is no news; one without an OFFER is.
        taken = request.message_type == MessageType.REQUEST
        if given.boot is not None and not taken:
            self._memory.remember(request, given.boot)
            self._events.publish(telling.told(request, arrival, given.boot))
        if given.refused is not None and not taken:
            self._events.publish(telling.fileless(request, arrival, given.refused))

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._events.publish(event)

    # -- no reply ------------------------------------------------------------------------------

    def _ignore(self, asked: Asked, answer: Ignored) -> None:
        event = answer.event or telling.told(asked.request, asked.arrival, answer)
        if isinstance(event, NoAddress):
            self._no_address(event)
            return
        self._events.publish(event)
        if isinstance(event, Requested) and not int(asked.request.giaddr):
            # Of this very network, whether the other server was heard or not.
            self._ledger.heard(event.server, event.interface, event.mac, event.address)

    def _no_address(self, event: NoAddress) -> None:
        """A pool that is empty is asked of all the time, and one line a minute says enough."""
        now, which = self._ledger.clock(), (event.subnet or event.interface, event.code)
        again = now - self._told.get(which, -TOLD_AGAIN_S) < TOLD_AGAIN_S
        if not again:
            self._told[which] = now
            self._told.move_to_end(which)
            if len(self._told) > _MOST_TOLD:
                self._told.popitem(last=False)
        self._events.publish(replace(event, again=again))

    # -- who has the address -------------------------------------------------------------------

    def _ask(self, asked: Asked, ask: Ask) -> None:
        prober, address = asked.to.prober, ask.address
        if prober is None or asked.tries >= _MOST_TRIES or not isinstance(address, IPv4Address):
            told = f"the network cannot be asked any more who has {address}"
            self._ignore(asked, Ignored(told, code="unsent"))
            return
        listed = asked.goes_first
        if self._waiting_requests() >= (_MOST_WAITING if listed else _MOST_STRANGERS):
            self._ignore(asked, Ignored("too many requests wait for the network", code="unsent"))
            return
        where = (asked.arrival.interface, address)
        queue = self._waiting.get(where)
        if queue is not None:
            queue.add(asked)
            if queue.size >= queue.ahead:
                queue.ahead = min(2 * queue.size, _MOST_AHEAD)
                self.ask_ahead(prober, asked.registry, queue.ahead)
            return
        queue = self._waiting[where] = _Queue(bool(ask.holder))
        queue.add(asked)
        self.ask_ahead(prober, asked.registry, queue.ahead)
        if not prober.ask(address, lambda: self._resume(where, prober), urgent=listed):
            del self._waiting[where]

    def _waiting_requests(self) -> int:
        return sum(one.size for one in self._waiting.values())

    def _resume(self, where: tuple[str, Address], prober: Prober) -> None:
        """It is known who has the address: all that wait for it are answered again."""
        queue = self._waiting.pop(where, None)
        if queue is None or prober.closed:  # the device is gone, or we give no addresses there
            return
        card = prober.holder(where[1])
        mine = queue.of(card)
        for asked in mine:
            self._again(asked, prober)
        others = [asked for asked in queue if asked not in mine]
        if card is not None and others and not queue.held:
            self._conflict(where[1], MAC(card), others)
        for asked in sorted(others, key=lambda one: not one.goes_first):
            self._again(asked, prober)

    def _again(self, asked: Asked, prober: Prober) -> None:
        """It costs as much as the first time."""
        began, budget = prober.seconds(), asked.budget
        if budget is not None and not asked.goes_first and not budget.affords(began):
            self._ignore(
                asked, Ignored("strangers have had their share of our time", code="unsent")
            )
            return
        try:
            self.serve(asked._replace(tries=asked.tries + 1))
        except Exception:
            log.exception("a DHCP packet from %s met a fault of ours", asked.arrival.source[0])
        if budget is not None:
            budget.spend(prober.seconds() - began)

    def _conflict(self, address: Address, card: MAC, askers: Sequence[Asked]) -> None:
        """*card* uses *address*, which it has not got from us: nobody gets it for a while."""
        now, leases = self._ledger.clock(), self._ledger.leases
        at = leases.at(address)
        if at is not None and at.held(now) and at.mac == card:
            return
        declined = Lease(
            address=address,
            key="",
            state=State.DECLINED,
            since=now,
            until=now + DECLINED_S,
            mac=card,
        )
        leases.put(declined)
        self._ledger.commit([declined], (), lambda _: None)
        by = _named(card, askers[0].registry)
        for mac in {pxe.mac_of(asked.request): None for asked in askers}:
            self._events.publish(
                AddressInUse(
                    mac=mac,
                    address=str(address),
                    by=by,
                    seconds=int(DECLINED_S),
                    interface=askers[0].arrival.interface,
                )
            )

    def _take(self, lease: Lease, asked: Asked, prober: Prober) -> None:
        """An address has a holder now; the next ones are asked for before they are needed."""
        if not prober.silent(lease.address):
            return
        prober.forget(lease.address)
        pace = self._paces.setdefault(prober, _Pace(prober.seconds()))
        pace.taken += 1
        if pace.taken >= pace.ahead // 2:
            now = prober.seconds()
            rate = pace.taken / max(now - pace.since, 0.001)
            pace.since, pace.taken = now, 0
            pace.ahead = max(AHEAD, min(int(rate * _AHEAD_S), _MOST_AHEAD))
            self.ask_ahead(prober, asked.registry, pace.ahead)

    def ask_ahead(self, prober: Prober, registry: Registry, count: int = AHEAD) -> None:
        """Have *count* addresses at hand in each subnet of an interface that nobody has."""
        links = prober.interface.addresses
        subnets = [registry.subnets.of(str(link.ip)) for link in links]
        for subnet in {subnet.name: subnet for subnet in subnets}.values():
            if registry.serving(subnet, prober.interface.name) is Serving.SERVER:
                prober.ask_ahead(
                    server.ahead(
                        subnet,
                        registry,
                        self._ledger.leases,
                        now=self._ledger.clock(),
                        links=links,
                        count=count,
                    )
                )


@dataclass(slots=True)
class _Pace:
    """How many addresses were *taken* *since* when, and how many are asked for *ahead*."""

    since: float
    taken: int = 0
    ahead: int = AHEAD


class _Queue:
    """
    Requests that wait for one address, and how many addresses are asked for meanwhile (*ahead*):
    whoever asks now is seldom the only one.  *held*: our own table says who has it.
    """

    def __init__(self, held: bool) -> None:
        self.held = held
        self.ahead = AHEAD
        self.size = 0
        self._of: dict[bytes, deque[Asked]] = {}

    def add(self, asked: Asked) -> None:
        """The last few of each client are kept."""
        mine = self._of.setdefault(asked.request.chaddr, deque())
        if len(mine) == _LAST_FEW:
            mine.popleft()
            self.size -= 1
        mine.append(asked)
        self.size += 1

    def of(self, card: bytes | None) -> list[Asked]:
        """Those that *card* sent itself."""
        return [one for one in self if card is not None and one.request.chaddr[:6] == card]

    def __iter__(self) -> Iterator[Asked]:
        return chain.from_iterable(self._of.values())


class _Asking(NamedTuple):
    """What ARP said a moment ago, as it matters for *card*: its own answer is no objection."""

    prober: Prober | None
    card: bytes

    def silent(self, address: Address) -> bool:
        """Whether nobody else has *address*; so it is where nobody can be asked."""
        if self.prober is None or self.prober.silent(address):
            return True
        return self.prober.holder(address) == self.card

    def taken(self, address: Address) -> bool:
        """Whether somebody else said that he has *address*."""
        return self.prober is not None and self.prober.holder(address) not in (None, self.card)


def _named(card: MAC, registry: Registry) -> str:
    """A card, and the machine that it belongs to where that is listed."""
    machine = registry.machines.get(card)
    if machine is None:
        return str(card)
    name = machine.named or str(machine.variables.get("hostname", ""))
    return f"{card} ({name or machine.title})"
