"""
A small world for the DHCP server: cards that keep to RFC 2131, two networks with ARP and one behind
a relay, a host with clocks that can be wrong, and a daemon that is killed and started.

The daemon's part is the real one, from a datagram to the file on disk.  What is made here is the
rim: the reactor's clock, the sockets, and a gate before the disk, where writes wait until the test
lets them go.
"""

from __future__ import annotations

import queue
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from twisted.internet.task import Clock

from netbootd.addressing import Addressing, LeaseTimes, Pool, Range, Serving
from netbootd.config import Dhcp
from netbootd.dhcp import wire
from netbootd.dhcp.destination import Arrival, Port
from netbootd.dhcp.lessor import Asked, Lessor
from netbootd.dhcp.memory import Memory
from netbootd.dhcp.message import NO_ADDRESS, Message, MessageType, Op, Option
from netbootd.dhcp.prober import WAIT_S, Prober
from netbootd.events.stream import Stream
from netbootd.interfaces import Interface
from netbootd.leases.lease import INFINITE, Lease
from netbootd.leases.store import Store, tell_each
from netbootd.leasing import Leasing
from netbootd.mac import MAC
from netbootd.registry.live import LiveRegistry
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet, Subnets
from tests.dhcp import registries

from .rig import Host

_RAPID = 80
SAME = b"\xff\0\0\0\1same"  # the option 61 of two cards
TIMES = LeaseTimes(default=600, least=60, most=3600)


@dataclass(frozen=True)
class Lan:
    """A network; *relay* is the address of its relay, None where we are in it ourselves."""

    interface: str
    network: IPv4Network
    ours: IPv4Interface
    relay: IPv4Address | None = None

    def address(self, number: int) -> IPv4Address:
        return self.network[number % self.network.num_addresses]


LARGE = Lan("eth0", IPv4Network("10.1.0.0/24"), IPv4Interface("10.1.0.1/24"))
SMALL = Lan("eth1", IPv4Network("10.2.0.0/28"), IPv4Interface("10.2.0.1/28"))
FAR = Lan(
    "eth0", IPv4Network("10.3.0.0/28"), IPv4Interface("10.1.0.1/24"), relay=IPv4Address("10.3.0.1")
)


# -- clients ---------------------------------------------------------------------------------------


@dataclass
class Request:
    """What a card waits for an answer to: *sent* by its own clock."""

    message: Message
    sent: float
    unicast: bool = False


@dataclass(eq=False)
class Card:
    """
    A client.  *holds* has each address that it was given, and until when by its own clock, which
    begins when it sends its request (RFC 2131, section 4.4.1).  *last* is the one that it uses;
    *faithful*: what it had before that is no longer its own.
    """

    mac: MAC
    lan: Lan
    client_id: bytes = b""
    faithful: bool = False
    holds: dict[IPv4Address, float] = field(default_factory=dict)
    offers: list[tuple[IPv4Address, IPv4Address]] = field(default_factory=list)
    waits: Request | None = None
    last: IPv4Address | None = None
    sent: list[tuple[Request, Lan]] = field(default_factory=list)

    def has(self, now: float) -> list[IPv4Address]:
        return [address for address, until in self.holds.items() if now < until]

    def message(self, kind: MessageType, xid: int, ciaddr=NO_ADDRESS, **options) -> Message:
        """A message of this card; *options* by names of ``Option``, addresses as they are."""
        said: dict[int, bytes] = {Option.MESSAGE_TYPE: bytes((kind,))}
        if self.client_id:
            said[Option.CLIENT_ID] = self.client_id
        for name, value in options.items():
            said[Option[name]] = value if isinstance(value, bytes) else value.packed
        giaddr = NO_ADDRESS
        if self.lan.relay and not int(ciaddr):
            giaddr = self.lan.relay
        chaddr = bytes(self.mac) + bytes(10)
        return Message(
            op=Op.REQUEST, xid=xid, ciaddr=ciaddr, giaddr=giaddr, chaddr=chaddr, options=said
        )

    def hears(self, reply: Message, now: float) -> None:
        waits = self.waits
        if waits is None or reply.xid != waits.message.xid or reply.chaddr[:6] != self.mac:
            return
        asked = waits.message.message_type
        match reply.message_type:
            case MessageType.OFFER if asked == MessageType.DISCOVER:
                self.offers.append((reply.yiaddr, reply.server_id or NO_ADDRESS))
            case MessageType.ACK if int(reply.yiaddr):
                rapid = _RAPID in reply.options
                if asked == MessageType.REQUEST or (rapid and _RAPID in waits.message.options):
                    self._is_given(reply.yiaddr, reply.options[Option.LEASE_TIME], waits.sent)
            case MessageType.NAK if asked == MessageType.REQUEST:
                wanted = waits.message.options.get(Option.REQUESTED_ADDRESS, b"")
                named = IPv4Address(wanted) if wanted else waits.message.ciaddr
                self.holds.pop(named, None)
                self.waits, self.last = None, None if self.last == named else self.last

    def _is_given(self, address: IPv4Address, seconds: bytes, sent: float) -> None:
        number = int.from_bytes(seconds, "big")
        if self.faithful:
            self.holds.clear()
        self.holds[address] = float("inf") if number == INFINITE else sent + number
        self.waits, self.last = None, address


# -- the rim of the daemon -------------------------------------------------------------------------


class Reactor(Clock):
    """A clock; what threads ask for is done in ``World.settle``."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def callFromThread(self, work, *arguments) -> None:
        self.asked.put(lambda: work(*arguments))


class Gate:
    """Before the store: writes wait here while it is *shut*, and are refused where it is *full*."""

    def __init__(self, store: Store, reactor: Reactor) -> None:
        self.store = store
        self._reactor = reactor
        self.shut = self.full = False
        self.busy = False
        self._held: list[tuple[Sequence[Lease], Callable[[bool], None]]] = []

    def write(self, leases: Sequence[Lease], then: Callable[[bool], None]) -> None:
        self._held.append((leases, then))
        if not self.shut:
            self.open()

    def open(self, most: int | None = None) -> None:
        """Let the first *most* go on, or all."""
        gone, self._held = self._held[:most], self._held[len(self._held[:most]) :]
        for leases, then in gone:
            if self.full:
                self._reactor.callFromThread(tell_each, [then], False)
            else:
                self.busy = True
                self.store.write(leases, then)

    def is_alive(self) -> bool:
        return self.store.is_alive()

    def close(self) -> None:
        self.store.close()


class Cable:
    """
    ARP in one network, as a packet socket: *users* says which cards use an address, and these
    answer when they are asked.
    """

    def __init__(self, users: Callable[[IPv4Address], list[MAC]]) -> None:
        self._users = users
        self._heard: list[bytes] = []
        self.prober: Prober | None = None

    def sendto(self, packet: bytes, to: object) -> None:
        address = IPv4Address(packet[-4:])
        self._heard += [
            struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, mac, address.packed, b"", b"")
            for mac in self._users(address)
        ]

    def recv(self, size: int) -> bytes:
        if not self._heard:
            raise BlockingIOError
        return self._heard.pop(0)

    def answers(self) -> None:
        """What was asked is answered."""
        while self._heard and self.prober:
            self.prober.doRead()

    def setsockopt(self, *_) -> None:
        pass


class Listener:
    """A socket of one interface: what it sends is decoded and handed on."""

    budget = None

    def __init__(self, interface: Interface, prober: Prober, sends) -> None:
        self.interface, self.prober, self._sends = interface, prober, sends

    def send(self, datagram: bytes, ours, way) -> None:
        self._sends(wire.decode(datagram))


# -- the configuration -----------------------------------------------------------------------------


@cache
def _base() -> Registry:
    return registries.registry(dhcp=Dhcp(mode=Serving.SERVER))


@cache
def _machine() -> Machine:
    return registries.machine(None)


@dataclass
class Settings:
    """What a reload changes; made into a registry of real values."""

    pools: dict[Lan, tuple[int, int]]
    exclude: dict[Lan, tuple[int, int] | None] = field(default_factory=dict)
    reserved: dict[MAC, IPv4Address] = field(default_factory=dict)
    pairs: tuple[tuple[MAC, MAC], ...] = ()
    times: LeaseTimes = TIMES
    probe: bool = True
    authoritative: bool = True
    rapid_commit: bool = True
    match_client_id: bool = False

    def registry(self) -> Registry:
        nets = {lan.network: self._subnet(lan) for lan in self.pools}
        machines = {}
        paired = {mac for pair in self.pairs for mac in pair}
        alone = [(mac,) for mac in self.reserved if mac not in paired]
        for first, *others in (*self.pairs, *alone):
            address = self.reserved.get(first)
            cards = (first, *others)
            for mac in cards if address else ():
                machines[mac] = replace(
                    _machine(), mac=mac, macs=cards, named=f"m{first}", address=address
                )
        reserved = {one.address: one for one in machines.values()}
        return replace(_base(), subnets=Subnets(nets), machines=machines, reserved=reserved)

    def _subnet(self, lan: Lan) -> Subnet:
        first, last = self.pools[lan]
        hole = self.exclude.get(lan)
        addressing = Addressing(
            pools=(Pool(Range(lan.address(first), lan.address(last))),),
            exclude=(Range(lan.address(hole[0]), lan.address(hole[1])),) if hole else (),
            times=self.times,
            probe=self.probe,
            authoritative=self.authoritative,
            rapid_commit=self.rapid_commit,
            match_client_id=self.match_client_id,
        )
        return Subnet(name=str(lan.network), network=lan.network, addressing=addressing)


# -- all of it -------------------------------------------------------------------------------------


class World:
    """
    *now* is true time, that every card counts by.  ``two_holders`` has what must never be: an
    address, and two cards that hold it.
    """

    def __init__(self, folder: Path, settings: Settings, cards: Sequence[Card]) -> None:
        self.folder, self.settings, self.cards = folder, settings, cards
        self.matched = False
        self.machine: tuple[Card, ...] = ()
        self.now = 0.0
        self.host = Host()
        self.wall_off = 0.0
        self.live = LiveRegistry(settings.registry())
        self.two_holders: tuple[IPv4Address, list[str]] | None = None
        self.acks = 0
        self.told: list[str] = []
        self.start()

    # -- the daemon --

    def start(self) -> None:
        self.reactor = Reactor()
        self.faults: list[Exception] = []
        stream = Stream(self.faults.append)
        self.leasing = Leasing(
            self.reactor,
            self.folder,
            self.live,
            stream.publish,
            lambda: None,
            clock=self.host.clock,
        )
        self.leasing.serve({"eth0", "eth1"}, {"10.1.0.1", "10.2.0.1"})
        self.gate = Gate(self.leasing._store, self.reactor)
        self.leasing._store = self.gate
        memory = Memory(self.live)
        self.lessor = Lessor(memory, stream, self.leasing, Counter())
        self.cables: list[Cable] = []
        self.listeners = {}
        for lan in (LARGE, SMALL):
            interface = Interface(lan.interface, 1, 1500, True, (lan.ours,), "52:54:00:ff:ff:ff")
            cable = Cable(partial(self._users, lan.interface))
            cable.prober = Prober(cable, interface, self.reactor)
            self.cables.append(cable)
            self.listeners[lan.interface] = Listener(interface, cable.prober, self._arrives)

    def stop(self) -> None:
        """As it should be: what is begun is done."""
        self.gate.shut = False
        self.gate.open()
        self.settle()
        self.leasing.stop()

    def kill(self, written: int) -> None:
        """At any point: of what waits for the disk the first *written* arrive, and nobody hears."""
        self.gate.open(written)
        self.gate.store.close()

    def settle(self) -> None:
        """Until the disk and the reactor have done what they were given."""
        while self.gate.busy or not self.reactor.asked.empty():
            if self.gate.busy:
                self.gate.busy = False
                done: list[bool] = []
                self.gate.store.write([], done.append)
                while not done:
                    self.reactor.asked.get(timeout=20)()
            else:
                self.reactor.asked.get()()

    def reload(self) -> None:
        self.matched |= self.settings.match_client_id
        self.live.swap(self.settings.registry())

    # -- time --

    def passes(self, seconds: float) -> None:
        """At first in steps, so that what is asked is answered before that counts as silence."""
        for _ in range(4):
            if seconds > WAIT_S and any(cable.prober._asked for cable in self.cables):
                self._passes(WAIT_S / 2)
                seconds -= WAIT_S / 2
        self._passes(seconds)
        self.settle()

    def _passes(self, seconds: float) -> None:
        for cable in self.cables:
            cable.answers()
        self.now += seconds
        self.host.passes(seconds)
        self.reactor.advance(seconds)
        for cable in self.cables:
            cable.answers()

    def answered(self) -> None:
        """ARP has said what it has to say, of all that anybody waits for."""
        for _ in range(40):
            for cable in self.cables:
                cable.answers()
            if not self.lessor._waiting:
                return
            self.passes(WAIT_S / 2)
        self.settle()

    # -- the network --

    def _users(self, interface: str, address: IPv4Address) -> list[MAC]:
        return [
            card.mac
            for card in self.cards
            if card.lan.interface == interface and card.lan.relay is None
            if card.last == address and address in card.has(self.now)
        ]

    def send(self, card: Card, message: Message, *, unicast: bool = False) -> None:
        """*card* says something and waits for the answer; the one before has none any more."""
        card.waits = Request(message, self.now, unicast)
        card.sent = [*card.sent[-7:], (card.waits, card.lan)]
        self.deliver(card.waits, card.lan)

    def deliver(self, request: Request, lan: Lan) -> None:
        message = wire.decode(wire.encode(request.message))
        source = (str(message.ciaddr), 68) if request.unicast else ("0.0.0.0", 68)
        arrival = Arrival(lan.interface, lan.ours.ip, Port.DHCP, source, request.unicast)
        to = self.listeners[lan.interface]
        self.lessor.serve(Asked(message, arrival, to, self.live.snapshot))
        self.settle()

    def _arrives(self, reply: Message) -> None:
        for card in self.cards:
            card.hears(reply, self.now)
        self.acks += reply.message_type == MessageType.ACK
        self.check()

    def client(self, card: Card) -> bytes:
        """
        Where option 61 was ever what counts, two cards that say the same are one client, and so are
        those of *machine*.
        """
        if card in self.machine:
            return b"machine"
        return SAME if self.matched and card.client_id == SAME else card.mac

    def ends(self, card: Card, address: IPv4Address) -> None:
        """The client of *card* says that it has *address* no more."""
        for one in self.cards:
            if self.client(one) == self.client(card):
                one.holds.pop(address, None)

    def check(self) -> None:
        holders: dict[IPv4Address, set[bytes]] = {}
        for card in self.cards:
            for address in card.has(self.now):
                holders.setdefault(address, set()).add(self.client(card))
        for address, clients in holders.items():
            if len(clients) > 1:
                self.two_holders = self.two_holders or (address, sorted(map(str, clients)))
