"""
Section ``subnets``: what differs for the machines of one network, by its address range.

A client belongs to the narrowest subnet that holds the address which tells where it is: what its
relay says (link selection, RFC 3527, else giaddr), else its own, else ours on its interface.  What
a wider one says is not inherited.

A network that is wrong refuses the file, and so does a policy of it that is wrong or misspelt: the
machines there might be served who shall not be.  Anything else that is wrong costs that key alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from netbootd import replies
from netbootd.addressing import NO_ADDRESSING, Addressing
from netbootd.config import Dhcp
from netbootd.dropins.layers import Entry as Written
from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import SUBNETS
from netbootd.errors import Finding, Level
from netbootd.loaders import NO_CHOICE, Choice
from netbootd.nearest import did_you_mean, probably
from netbootd.registry import addressing, subnets6
from netbootd.registry.entries import DEFAULT, Entry, Kind, Report
from netbootd.registry.machine import Machine
from netbootd.registry.subnets6 import NO_ADDRESSING6, Addressing6
from netbootd.relaxedjson import Array, Object, Value, kind, path_of
from netbootd.targets.settings import Names, parse_server

#: RFC 791: every host takes datagrams of this size.
_LEAST_MTU, _MOST_MTU = 576, 65535


Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """
    One entry; what it does not say is empty.

    *boot_server* is the base URL its machines are told, *loader* what their firmware loads,
    *reply_style* how a proxy tells them; *known_only* serves only machines that are listed, None
    leaves that to the setting; *served* False nobody.  *mtu* in bytes, 0 for that of the interface.
    *default* is what its machines boot that are not listed, None leaves that to
    ``machines.default``; *variables* are known of all its machines.  *addressing* is how addresses
    are given there, *addressing6* so in a network of IPv6.
    """

    name: str = ""
    network: Network | None = None
    boot_server: str = ""
    loader: Choice = NO_CHOICE
    reply_style: str = ""
    known_only: bool | None = None
    served: bool = True
    mtu: int = 0
    default: Machine | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    addressing: Addressing = NO_ADDRESSING
    addressing6: Addressing6 = NO_ADDRESSING6

    @property
    def boot_address(self) -> IPv4Address | None:
        """The host of *boot_server*, where that is written in numbers."""
        if not self.boot_server:
            return None
        try:
            return IPv4Address(urlsplit(self.boot_server).hostname or "")
        except ValueError:
            return None

    @property
    def first(self) -> str:
        """Its first address for a host; empty for ELSEWHERE."""
        if self.network is None:
            return ""
        return str(self.network[min(1, self.network.num_addresses - 1)])


#: Addresses whose subnet is remembered.
_MOST_KNOWN = 8192
#: For addresses that no entry holds.
ELSEWHERE = Subnet()


class Subnets:
    """All of them; looked up by the length of their prefixes, the longest first."""

    def __init__(self, subnets: Mapping[Network, Subnet] | None = None) -> None:
        self._by_network = dict(subnets or {})
        self._by_prefix = {_prefix(net): subnet for net, subnet in self._by_network.items()}
        self._lengths = {version: self._lengths_of(version) for version in (4, 6)}
        #: What was looked up; each packet asks several times.
        self._known: dict[str, Subnet] = {}
        self._shared: dict[str, list[Subnet]] = defaultdict(list)
        for subnet in self:
            if subnet.addressing.shared_network:
                self._shared[subnet.addressing.shared_network].append(subnet)

    def link(self, subnet: Subnet) -> tuple[Subnet, ...]:
        """All subnets of the cable that *subnet* is on, itself first."""
        others = self._shared.get(subnet.addressing.shared_network, ())
        return (subnet, *(other for other in others if other != subnet))

    def _lengths_of(self, version: int) -> tuple[int, ...]:
        lengths = {one.prefixlen for one in self._by_network if one.version == version}
        return tuple(sorted(lengths, reverse=True))

    def of(self, address: str) -> Subnet:
        """The narrowest that holds *address*; ELSEWHERE for none, and where it is no address."""
        if not self._by_network or not address:
            return ELSEWHERE
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[address] = self._of(address)
        return found

    def _of(self, address: str) -> Subnet:
        try:
            asked = ip_address(address.partition("%")[0])  # a link-local one may have a scope
        except ValueError:
            return ELSEWHERE
        return self.at(asked)

    def at(self, address: IPv4Address | IPv6Address) -> Subnet:
        """The narrowest that holds *address*; ELSEWHERE for none."""
        version, number, bits = address.version, int(address), address.max_prefixlen
        for length in self._lengths[version]:
            if found := self._by_prefix.get((version, length, number >> (bits - length))):
                return found
        return ELSEWHERE

    def __iter__(self) -> Iterator[Subnet]:
        return iter(self._by_network.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subnets) and self._by_network == other._by_network

    __hash__ = None  # type: ignore[assignment]


def _prefix(network: Network) -> tuple[int, int, int]:
    """Version, length, and that many bits."""
    number = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
    return network.version, network.prefixlen, number


def read(
    layers: Layers, names: Names, made_of: Callable[[Entry], Machine], report: Report, dhcp: Dhcp
) -> Subnets:
    """
    The section of all files; *made_of* makes the machine that ``default`` stands for, and *dhcp* is
    what counts where an entry says nothing of addresses.
    """
    found: dict[Network, Written] = {}
    for entry in layers.entries(SUBNETS):
        network = _network(entry, report)
        if network is None:
            continue
        before = found.get(network)
        if before is not None and before.owner is entry.owner:
            told = f"{network} stands at {before.owner.place_of(before.key)} already"
            report(_about(Level.ERROR, "subnet-duplicate", told, entry))
        else:
            found[network] = entry
    return Subnets(
        {
            network: _Reading(str(network), entry, names, made_of, report).subnet(network, dhcp)
            for network, entry in found.items()
        }
    )


def _network(entry: Written, report: Report) -> Network | None:
    """What a key means; None, and a finding, where it is no network."""
    text = entry.key.strip()
    made = IPv6Network if ":" in text else IPv4Network
    try:
        if "/" not in text:
            raise ValueError
        network: Network = made(text, strict=False)
    except ValueError:
        told = f'"{text:.40}" is no network such as 10.1.0.0/24'
        if made is IPv4Network:
            told = f'"{text:.40}" is no IPv4 network such as 10.1.0.0/24'
        report(_about(Level.ERROR, "subnet-invalid", told, entry))
        return None
    written = ip_address(text.partition("/")[0])
    if written != network.network_address:
        told = f'"{text}" is a host of a network; taken as {network}'
        report(_about(Level.WARNING, "subnet-host-bits", told, entry))
    return network


def _about(level: Level, code: str, text: str, entry: Written, *steps: str) -> Finding:
    place = entry.owner.place_of(entry.key)
    if steps and isinstance(entry.value, Object):
        place = entry.value.place_of(steps[0])
    return Finding(level, code, text, place, path_of(SUBNETS, entry.key, *steps))


@dataclass(frozen=True, slots=True)
class _Reading:
    """One entry, being read; each method reads one key."""

    name: str
    entry: Written
    names: Names
    made_of: Callable[[Entry], Machine]
    report: Report

    def subnet(self, network: Network, dhcp: Dhcp) -> Subnet:
        value = self.entry.value
        if not isinstance(value, Object):
            told = f"must be an object, not {kind(value)}"
            self._say(Level.ERROR, "section-type", told)
            return Subnet(name=self.name, network=network, served=False)
        found: dict[str, Any] = {}
        for key, item in value.items():
            if key in (addressing.KEYS if network.version == 4 else subnets6.KEYS):
                continue
            if key not in _KEYS:
                self._say_unknown(key, network)
                continue
            field_name, read_value, level = _KEYS[key]
            try:
                found[field_name] = read_value(self, item)
            except ValueError as problem:
                self._say(level, "subnet-value", f'"{key}": {problem}', key)
        say = partial(self._say_of, value)
        if isinstance(network, IPv6Network):
            given6 = subnets6.addressing(value, network, say)
            return Subnet(name=self.name, network=network, addressing6=given6, **found)
        given = addressing.read(value, network, found.get("mtu", 0), dhcp, say)
        return Subnet(name=self.name, network=network, addressing=given, **found)

    def _say_of(
        self, within: Object, level: Level, code: str, text: str, *steps: str | int
    ) -> None:
        """Of something inside a value of the entry, at the place of that."""
        place = self.entry.owner.place_of(self.entry.key)
        inner: Value = within
        for step in steps:
            if isinstance(inner, Object) and step in inner:
                place, inner = inner.place_of(str(step)), inner[str(step)]
            elif isinstance(inner, Array) and isinstance(step, int):
                place, inner = inner.place_of(step), inner[step]
        path = path_of(SUBNETS, self.entry.key, *steps)
        self.report(Finding(level, code, f"{self.name}: {text}", place, path))

    def _say_unknown(self, key: str, network: Network) -> None:
        known = [*_KEYS, *(addressing.KEYS if network.version == 4 else subnets6.KEYS)]
        foreign = addressing.ours(key)
        word = foreign if foreign in known else key
        meant = probably(word, known)
        told = f'"{key}" is no key of a subnet{did_you_mean(word, known)}'
        if meant in addressing.POLICIES or (meant in _KEYS and _KEYS[meant][2] is Level.ERROR):
            self._say(Level.ERROR, "subnet-key", told, key)
        else:
            self._say(Level.WARNING, "subnet-key", f"{told}; left out", key)

    def _say(self, level: Level, code: str, text: str, *steps: str) -> None:
        self.report(_about(level, code, f"{self.name}: {text}", self.entry, *steps))

    def boot_server(self, value: Any) -> str:
        text = self.word(value)
        if text in self.names.invalid:
            raise ValueError(f'the boot server "{text}" has no usable address in boot_servers')
        server = self.names.servers.get(text) or parse_server(text)
        if told := self.names.doubt(text):
            self._say(Level.WARNING, "boot-server-unknown", told, "boot_server")
        return server

    def word(self, value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise ValueError(f"must be a word, not {kind(value)}")
        return value.strip()

    def flag(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {kind(value)}")
        return value

    def mtu(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a number of bytes, not {kind(value)}")
        if not _LEAST_MTU <= value <= _MOST_MTU:
            raise ValueError(f"{value} is outside {_LEAST_MTU}..{_MOST_MTU}")
        return value

    def loader(self, value: Any) -> Choice:
        return Choice.parse(value)

    def reply_style(self, value: Any) -> str:
        try:
            return replies.parse(value)
        except ValueError as problem:
            raise ValueError(f"must be {problem}; left out") from None

    def variables(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Object):
            raise ValueError(f"must be an object, not {kind(value)}")
        return value

    def default(self, value: Any) -> Machine:
        """What is wrong with it is reported as of a machine."""
        assert isinstance(self.entry.value, Object)
        where = (SUBNETS, self.entry.key)
        who = f"{DEFAULT} of subnet {self.name}"
        entry = Entry(Kind.DEFAULT, who, None, DEFAULT, value, self.entry.value, where=where)
        return self.made_of(entry)


#: Each key: the field that it becomes, how it is read, and how bad it is when it is wrong.
_KEYS: Mapping[str, tuple[str, Callable[[_Reading, Any], Any], Level]] = {
    "boot_server": ("boot_server", _Reading.boot_server, Level.TARGET),
    "loader": ("loader", _Reading.loader, Level.TARGET),
    "reply_style": ("reply_style", _Reading.reply_style, Level.TARGET),
    "known_only": ("known_only", _Reading.flag, Level.ERROR),
    "enabled": ("served", _Reading.flag, Level.ERROR),
    "mtu": ("mtu", _Reading.mtu, Level.WARNING),
    "default": ("default", _Reading.default, Level.TARGET),
    "vars": ("variables", _Reading.variables, Level.WARNING),
}
