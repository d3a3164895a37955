"""
The edge of DHCP: the way of a packet, from bytes in to bytes out.  It decides nothing: the
configuration says of each packet's network whether we are its DHCP server (``lessor``), a proxy
beside another one, or nothing at all.

Per packet there is no disk, no DNS and no look at the interfaces: the snapshot is read once and
carried to the end.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.logger import Logger

from netbootd.addressing import Serving
from netbootd.budget import Budget
from netbootd.dhcp import kept, proxy, pxe, shapes, telling, wire
from netbootd.dhcp.destination import (
    Arrival,
    Endpoint,
    Port,
    destination,
    is_beyond,
    local_address,
)
from netbootd.dhcp.kept import Keeping, Told
from netbootd.dhcp.lessor import Asked, Books, Lessor
from netbootd.dhcp.listeners import Listener
from netbootd.dhcp.memory import Memory
from netbootd.dhcp.message import Message, MessageType, Option, dotted
from netbootd.dhcp.prober import Prober
from netbootd.dhcp.proxy import Ignored
from netbootd.dhcp.shapes import Shapes
from netbootd.dhcp.snoop import Heard
from netbootd.dhcpgate import Gate, charge
from netbootd.errors import WireError
from netbootd.events.event import Dropped, Passed
from netbootd.events.lease import Flooded
from netbootd.events.stream import Stream
from netbootd.leases.lease import State
from netbootd.registry.live import LiveRegistry
from netbootd.registry.snapshot import Registry

log = Logger(namespace="netbootd.dhcp")

_XID, _CHADDR = slice(4, 8), slice(28, 34)  # of a message, where that is an Ethernet address
_COOKIE = slice(236, 240)
_NOBODY = ("0.0.0.0", 0)
#: Where options begin, and the one that most clients put first: DHCPREQUEST.
_OPTIONS, _REQUEST = 240, bytes((Option.MESSAGE_TYPE, 1, MessageType.REQUEST))


class Edge:
    """What happens to a datagram, from bytes in to bytes out; the same for every socket."""

    def __init__(
        self,
        live: LiveRegistry,
        events: Stream,
        reactor: Any = None,
        ledger: Books | None = None,
        most_kept: int = kept.MOST,
        most_shapes: int = shapes.MOST,
    ) -> None:
        self.live = live
        self.events = events
        self.counts: Counter[int | None] = Counter()
        self.shed = 0
        self._reactor = reactor
        self._ledger = ledger
        self._memory = Memory(live)
        self._keeping = Keeping(live, self._memory, most_kept)
        self._shapes = Shapes(live, self._memory, self._keeping, most_shapes)
        self._lessor = Lessor(self._memory, events, ledger, self.counts) if ledger else None

    def receive(self, heard: Heard, to: Listener) -> bool:
        """
        Answer what was *heard*, or drop it; nothing it holds can raise.  False: there is too much
        of it, and it was not looked at.
        """
        gate = to.gate
        if gate is None:
            self._answer(heard, to)
            return True
        began = self._reactor.seconds()
        budget = self._budget_of(heard.payload, gate, began)
        if budget is None:
            return self._shed(to, gate, began)
        self._answer(heard, to, budget)
        charge(budget, self._reactor.seconds() - began, crowded=to.crowded)
        return True

    def broken(self, problem: WireError, to: Listener) -> bool:
        """As ``receive``, of a frame that came to *to* and has no datagram in it."""
        gate, began = to.gate, self._reactor.seconds()
        budget = gate.for_broken(began) if gate is not None else None
        if gate is not None and budget is None:
            return self._shed(to, gate, began)
        self.drop(str(problem), _NOBODY)
        if budget is not None:
            charge(budget, self._reactor.seconds() - began, crowded=to.crowded)
        return True

    def _budget_of(self, datagram: bytes, gate: Gate, now: float) -> Budget | None:
        if datagram[_COOKIE] != wire.COOKIE:
            return gate.for_broken(now)
        card = datagram[_CHADDR]
        if self.live.snapshot.lists(card):
            return gate.for_listed(card, datagram[_XID], now)
        if self._is_client(card, datagram):
            return gate.for_client(now)
        return gate.for_stranger(card, now)

    def _is_client(self, card: bytes, datagram: bytes) -> bool:
        """Whether it has an address from us, or is about to take one that it was offered."""
        leases = self._ledger.leases.of(card.hex(":")) if self._ledger else ()
        if not leases:
            return False
        return leases[0].state is not State.OFFERED or datagram.startswith(_REQUEST, _OPTIONS)

    def _shed(self, to: Listener, gate: Gate, now: float) -> bool:
        self.shed += 1
        if count := gate.turn_away(now):
            self.events.publish(Flooded(interface=to.interface.name, count=count))
        return False

    def _answer(self, heard: Heard, to: Listener, budget: Budget | None = None) -> None:
        source = heard.source
        try:
            self._receive(heard, to, budget)
        except WireError as problem:
            self.drop(str(problem), source)
        except Exception:
            log.failure("a DHCP packet from {peer} met a fault of ours", peer=source[0])
            self.drop("a fault of ours, see above", source)

    def _receive(self, heard: Heard, to: Listener, budget: Budget | None) -> None:
        registry = self.live.snapshot
        key = kept.key_of(heard, to)
        told = self._keeping.find(key, to, registry)
        if told is None:
            told = self._shapes.find(heard, key, to, registry)
        if told is None or not self._tell_again(told, heard, to):
            self._decide(heard, to, registry, budget)

    def _tell_again(self, told: Told, heard: Heard, to: Listener) -> bool:
        """Whether it could be sent; why not is told where it is decided anew."""
        try:
            to.send(told.under(heard.payload), told.ours, told.to)
        except OSError:
            return False
        self.counts[told.asked] += 1
        self._tell(told)
        return True

    def _tell(self, told: Told) -> None:
        """The reply has left: remember it, and say so."""
        self.counts[told.replied] += 1
        if told.restyled is not None:
            self.events.publish(told.restyled)
        if told.offer is not None:
            self.live.styles.offered(told.offer)
        self.events.publish(told.event)

    def _decide(
        self, heard: Heard, to: Listener, registry: Registry, budget: Budget | None
    ) -> None:
        request = wire.decode(heard.payload)
        self.counts[request.message_type] += 1
        source = heard.source
        subnet = registry.subnets.of(pxe.network_of(request))
        addresses = to.interface.addresses
        ours = local_address(
            heard.addressed, addresses, request, source[0], preferred=subnet.boot_address
        )
        if ours is None:
            self.drop(f"{to.interface.name} has no IPv4 address to answer from", source)
            return
        unicast = heard.addressed is not None
        arrival = Arrival(to.interface.name, ours, to.port, source, unicast)
        asked = Asked(request, arrival, to, registry, budget)
        match self._serving(asked):
            case Serving.SERVER if self._lessor is not None:
                self._lessor.serve(asked)
            case Serving.OFF:
                self._pass_over(asked)
            case _:
                self._proxy(asked, heard)

    @staticmethod
    def _serving(asked: Asked) -> Serving:
        """What we are in the network that a packet comes from."""
        request, arrival, to, registry = asked[:4]
        subnet = registry.subnets.of(_link(request, arrival, to))
        serving = registry.serving(subnet, arrival.interface)
        if arrival.port is Port.DHCP and serving is not Serving.PROXY:
            return serving
        # What a boot server says is the same beside a DHCP server of ours.
        off = serving is Serving.OFF or not registry.config.proxydhcp.enabled
        return Serving.OFF if off and serving is not Serving.SERVER else Serving.PROXY

    def _pass_over(self, asked: Asked) -> None:
        request, arrival = asked.request, asked.arrival
        told = f"DHCP is off where it comes from, {_link(request, arrival, asked.to)}"
        asker = telling.asker(request, arrival)
        self.events.publish(Passed(**asker, protocol="DHCP", reason=told))

    def _proxy(self, asked: Asked, heard: Heard) -> None:
        request, arrival, to, registry = asked[:4]
        memory = self._memory
        sighting = memory.sighting(request, registry)
        marks, known = memory.note(sighting, pxe.mac_of(request)), memory.known(request)
        answer = proxy.answer(request, arrival, registry, marks, self.live.styles.past, known)
        if isinstance(answer, Ignored):
            self.events.publish(telling.told(request, arrival, answer))
            return
        way = destination(
            request,
            answer.reply,
            arrival.source,
            boot_server=answer.boot_server,
            unicast_offers=registry.config.proxydhcp.unicast,
        )
        try:
            datagram = wire.encode(answer.reply, request.limit)
            to.send(datagram, arrival.address, way)
        except (OSError, WireError) as problem:
            reason = f"cannot send the reply to {way.address}: {problem}"
            unsent = Ignored(reason, True, answer.decision, "unsent", answer.client)
            self.events.publish(telling.told(request, arrival, unsent))
            return
        told = Told(
            *(datagram, arrival.address, way, telling.told(request, arrival, answer)),
            *(request.message_type, answer.reply.message_type),
            restyled=proxy.restyled(answer, arrival.address),
            offer=answer.offer,
            chosen=answer.choice.chosen if answer.choice else None,
        )
        if not memory.remember(request, answer):
            self._keeping.keep(kept.key_of(heard, to), to, (sighting, marks, known), answer, told)
            self._shapes.keep(heard, asked, sighting, answer, told)
        self._tell(told)

    def ask_ahead(self, prober: Prober) -> None:
        """Have some addresses at hand on the interface of *prober*."""
        if self._lessor is not None:
            self._lessor.ask_ahead(prober, self.live.snapshot)

    def drop(self, reason: str, source: Endpoint) -> None:
        """Tell that a packet came to nothing."""
        self.events.publish(Dropped(peer=telling.peer_of(source), protocol="DHCP", reason=reason))


def _link(request: Message, arrival: Arrival, to: Listener) -> str:
    """An address of the network that *request* comes from."""
    if int(request.giaddr):
        return pxe.network_of(request)
    if arrival.unicast and int(request.ciaddr):
        ciaddr = str(request.ciaddr)
        if is_beyond(ciaddr, to.interface.addresses):
            return ciaddr  # it writes to us by way of a router: a lease is renewed
    return dotted(arrival.address)
