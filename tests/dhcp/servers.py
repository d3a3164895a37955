"""A DHCP server for the tests of its decisions: real registries, a real table, and a clock by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from netbootd.addressing import EVERYBODY, Addressing, Pool, Range, Serving
from netbootd.dhcp import server
from netbootd.dhcp.destination import Arrival, Port
from netbootd.dhcp.message import Message, MessageType, Op, Option
from netbootd.leases.lease import Lease, State
from netbootd.leases.table import Leases
from netbootd.mac import MAC
from netbootd.registry.hostnames import indexed
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet, Subnets

from . import registries

US = IPv4Address("10.1.0.1")
ROUTER = IPv4Address("10.1.0.254")
FIRST = IPv4Address("10.1.0.100")
CARD = "52:54:00:12:34:56"
OTHER = "52:54:00:00:00:99"


def address(text: str) -> IPv4Address:
    """``.100`` is 10.1.0.100."""
    return IPv4Address(f"10.1.0{text}" if text.startswith(".") else text)


def pool(first: str = ".100", last: str = ".103", match=EVERYBODY) -> Pool:
    return Pool(Range(address(first), address(last)), match)


def subnet(
    network: str = "10.1.0.0/24", pools=None, *, served: bool = True, known_only=None, **said
) -> Subnet:
    """One where we are the server; addresses are not asked for unless *said*."""
    said.setdefault("options", {3: ROUTER.packed, 6: b"\x0a\1\0\5", 15: b"example.org"})
    said = {"serving": Serving.SERVER, "probe": False, **said}
    addressing = Addressing(pools=(pool(),) if pools is None else tuple(pools), **said)
    net = IPv4Network(network)
    return Subnet(
        name=network,
        network=net,
        addressing=addressing,
        served=served,
        known_only=known_only,
    )


def machine(mac: str, ip: str = "", *more: str, **variables):
    """A listed one, with *more* cards."""
    cards = tuple(MAC.parse(one) for one in (mac, *more))
    made = registries.machine(cards[0])
    found = address(ip) if ip else None
    return replace(made, macs=cards, written=mac, address=found, variables=variables)


def registry(*subnets: Subnet, machines=(), default: bool = False, **settings) -> Registry:
    """Knows *machines*; with *default* all others boot as well."""
    made = registries.registry(default=default, **settings)
    known = {mac: one.for_card(mac) for one in machines for mac in one.macs}
    return indexed(
        replace(
            made,
            machines=known,
            reserved={one.address: one for one in machines if one.address},
            subnets=Subnets({one.network: one for one in subnets or (subnet(),)}),
        )
    )


def message(kind: MessageType | None, mac: str = CARD, **fields) -> Message:
    """A message of *mac*; options by number in *options*."""
    options = {} if kind is None else {int(Option.MESSAGE_TYPE): bytes((kind,))}
    options |= fields.pop("options", {})
    chaddr = bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0")
    return Message(op=Op.REQUEST, chaddr=chaddr, options=options, **fields)


@dataclass
class Server:
    """One on ``eth1``, which has 10.1.0.1/24; *now* moves when a test moves it."""

    registry: Registry = field(default_factory=registry)
    leases: Leases = field(default_factory=Leases)
    now: float = 1000.0
    links: tuple[str, ...] = ("10.1.0.1/24",)
    silent: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    saving: bool = True
    rival: bool = False

    def ask(self, request: Message, *, unicast: bool = False) -> server.Answered:
        links = [IPv4Interface(one) for one in self.links]
        source = str(request.ciaddr)
        arrival = Arrival("eth1", links[0].ip, Port.DHCP, (source, 68), unicast)
        return server.answer(
            request,
            arrival,
            self.registry,
            self.leases,
            now=self.now,
            links=links,
            saving=self.saving,
            rival=self.rival,
            asked=lambda one: str(one) in self.silent,
            taken=lambda one: str(one) in self.taken,
        )

    def discover(self, mac: str = CARD, options=None, **fields) -> server.Answered:
        return self.ask(message(MessageType.DISCOVER, mac, options=options or {}, **fields))

    def select(
        self, mac: str = CARD, at: str = ".100", by: IPv4Address = US, options=None, **fields
    ):
        said = {50: address(at).packed, 54: by.packed, **(options or {})}
        return self.ask(message(MessageType.REQUEST, mac, options=said, **fields))

    def reboot(self, mac: str = CARD, at: str = ".100", **fields) -> server.Answered:
        said = {50: address(at).packed}
        return self.ask(message(MessageType.REQUEST, mac, options=said, **fields))

    def renew(self, mac: str = CARD, at: str = ".100", *, rebind: bool = False, **fields):
        request = message(MessageType.REQUEST, mac, ciaddr=address(at), **fields)
        return self.ask(request, unicast=not rebind)

    def lease(self, mac: str = CARD) -> Lease:
        """Have *mac* take what it is offered."""
        offer = self.discover(mac)
        got = self.select(mac, str(offer.reply.yiaddr))
        assert got.reply.message_type == MessageType.ACK
        return got.lease

    def state(self, at: str) -> tuple[str, State] | None:
        """Who has *at*, as the table says."""
        found = self.leases.at(address(at))
        return (found.key, found.state) if found else None


def told(answer: server.Answered) -> str:
    """An answer in short: ``OFFER .100``, ``NAK``, ``ask .100``, ``nothing (code)``."""
    match answer:
        case server.Given(reply=reply):
            kind = reply.message_type
            name = "BOOTP" if kind is None else MessageType(kind).name
            at = str(reply.yiaddr)
            return f"{name} {at.removeprefix('10.1.0')}" if int(reply.yiaddr) else name
        case server.Ask(address=at):
            return f"ask {str(at).removeprefix('10.1.0')}"
        case server.Noted():
            return "noted"
    return f"nothing ({answer.code})" if answer.code else "nothing"
