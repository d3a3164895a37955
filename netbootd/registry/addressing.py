"""
The keys of a subnet that say how addresses are given there, read into an ``Addressing``.

A policy that is wrong (whether addresses are given, whether clients are told that they are wrong)
refuses the file, and so does an exclusion: addresses would be given that belong to somebody.  A
pool that is wrong is left out, and so is an option.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from itertools import accumulate
from typing import Any, Protocol

from netbootd import dhcpoptions, optionshapes, readers
from netbootd.addressing import (
    EVERYBODY,
    NO_ADDRESSING,
    Addressing,
    LeaseTimes,
    Match,
    Pool,
    Range,
)
from netbootd.config import Dhcp
from netbootd.errors import Level
from netbootd.nearest import did_you_mean
from netbootd.readers import Wrong
from netbootd.relaxedjson import Object

#: Keys that refuse the file where they are wrong or misspelt.
POLICIES = frozenset({"dhcp", "authoritative", "exclude"})
#: Keys that a pool has beside its range, by the field of Match.
_MATCHES = ("circuit_id", "remote_id", "vendor_class", "user_class", "listed")
_TIMES = ("lease_time", "min_lease_time", "max_lease_time")


_ROUTES_WANTED = 'an object such as {"10.9.0.0/16": "10.1.0.254"}'
#: "This network", loopback, multicast and what is kept for later (RFC 6890, section 2.2.2).
_NOBODYS = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")))


class Say(Protocol):
    """Tells a finding: *steps* lead from the entry to what is wrong."""

    def __call__(self, level: Level, code: str, text: str, *steps: str | int) -> None: ...


def read(written: Object, network: IPv4Network, mtu: int, dhcp: Dhcp, say: Say) -> Addressing:
    """
    What *written*, the entry of *network*, says, over what *dhcp* says for all; *mtu* in bytes, 0
    for none.
    """
    if written.keys().isdisjoint(KEYS) and dhcp == _NOTHING_SAID:
        return NO_ADDRESSING
    return _Reading(written, network, dhcp, say).addressing(mtu)


_NOTHING_SAID = Dhcp()


@dataclass(frozen=True, slots=True)
class _Reading:
    written: Object
    network: IPv4Network
    dhcp: Dhcp
    say: Say

    def addressing(self, mtu: int) -> Addressing:
        found: dict[str, Any] = {}
        for key, (read_value, level) in _PLAIN.items():
            plain: Any = self.value(key, read_value, level)
            if plain is not None:
                found[key] = plain
        exclude = self.ranges("exclude", Level.ERROR)
        pools = tuple(self.pools())
        self.check(pools, exclude)
        options = self.options(mtu)
        return Addressing(
            serving=self.value("dhcp", readers.serving, Level.ERROR),
            pools=tuple(self.given(pools, nobodys(self.network, options))),
            exclude=exclude,
            times=self.times(),
            options=options,
            **found,
        )

    def value(self, key: str, read_value: Callable[[Any], Any], level: Level) -> Any:
        """The value of *key*; None without it, and, with a finding, where it is wrong."""
        if key not in self.written:
            return None
        try:
            return read_value(self.written[key])
        except readers.Refused as problem:
            self.wrong(level, key, f'"{key}": {problem}', key)
        except Wrong as wanted:
            told = f'"{key}" must be {wanted}, not {wanted.of(self.written[key])!r:.60}'
            self.wrong(level, key, told, key)
        return None

    def wrong(self, level: Level, key: str, told: str, *steps: str | int) -> None:
        left_out = "" if level is Level.ERROR else "; left out"
        self.say(level, "subnet-value", told + left_out, *steps)

    # -- pools ---------------------------------------------------------------------------------

    def pools(self) -> Iterator[Pool]:
        for index, value in self.items("pools"):
            try:
                yield self.pool(value)
            except Wrong as told:
                self.wrong(Level.WARNING, "pools", f"pool {told}", "pools", index)

    def given(self, pools: Iterable[Pool], taken: Mapping[IPv4Address, str]) -> Iterator[Pool]:
        """The pools without the addresses at their ends that nobody is given."""
        for pool in pools:
            first, last = pool.range.first, pool.range.last
            while first < last and first in taken:
                first += 1
            while first < last and last in taken:
                last -= 1
            if first in taken:
                told = f"pool {pool.range} gives nothing: {first} is {taken[first]}"
                self.wrong(Level.WARNING, "pools", told, "pools")
            else:
                yield replace(pool, range=Range(first, last))

    def items(self, key: str) -> list[tuple[int, Any]]:
        """The elements of an array; a single value is one."""
        value: Any = self.written.get(key, [])
        return list(enumerate(value if isinstance(value, list) else [value]))

    def pool(self, value: Any) -> Pool:
        """A range as text, or an object with one and whom it is for."""
        if not isinstance(value, Object):
            return Pool(self.within(value))
        if "range" not in value:
            raise Wrong('has no "range" such as "10.1.0.100-10.1.0.199"')
        for key in value:
            if key != "range" and key not in _MATCHES:
                meant = did_you_mean(key, ("range", *_MATCHES))
                raise Wrong(f'{value["range"]}: "{key}" is no key of a pool{meant}')
        return Pool(self.within(value["range"]), self.match(value))

    def match(self, value: Object) -> Match:
        found: dict[str, Any] = {}
        for key in _MATCHES:
            if key in value:
                try:
                    found[key] = (readers.boolean if key == "listed" else readers.text)(value[key])
                except Wrong as wanted:
                    told = f'{value["range"]}: "{key}" must be {wanted}, not {value[key]!r:.40}'
                    raise Wrong(told) from None
        return Match(**found) if found else EVERYBODY

    def within(self, value: Any) -> Range:
        """A range that lies in the network."""
        found = parse_range(value)
        if found.first not in self.network or found.last not in self.network:
            ends = f"{self.network[0]} to {self.network[-1]}"
            raise Wrong(f"{found} is outside the network {self.network}, which is {ends}")
        for nobodys in _NOBODYS:
            if overlap(found, Range(nobodys[0], nobodys[-1])):
                raise Wrong(f"{found} holds addresses of {nobodys}, which no machine can have")
        return found

    def ranges(self, key: str, level: Level) -> tuple[Range, ...]:
        found = []
        for index, value in self.items(key):
            try:
                found.append(parse_range(value))
            except Wrong as told:
                self.wrong(level, key, f'"{key}": {told}', key, index)
        return tuple(found)

    def check(self, pools: tuple[Pool, ...], exclude: tuple[Range, ...]) -> None:
        """What is suspicious of pools that can be used."""
        ranges = sorted((pool.range for pool in pools), key=lambda one: one.first)
        reach = list(accumulate(ranges, _farther))
        for far, one in zip(reach, ranges[1:], strict=False):
            if overlap(far, one):
                told = f"pools {far} and {one} overlap"
                self.say(Level.WARNING, "pool-overlap", told, "pools")
        firsts = [one.first for one in ranges]
        for index, hole in enumerate(exclude):
            below = bisect_right(firsts, hole.last)
            if not below or reach[below - 1].last < hole.first:
                told = f'"exclude": {hole} is in no pool; nothing is left out by it'
                if pools or hole.first not in self.network:
                    self.say(Level.WARNING, "exclude-outside", told, "exclude", index)

    # -- times and options ---------------------------------------------------------------------

    def times(self) -> LeaseTimes:
        """Those of the entry over the setting's; where they clash, the setting's."""
        own = {key: self.value(key, readers.LEASE, Level.WARNING) for key in _TIMES}
        if all(value is None for value in own.values()):
            return self.dhcp.times
        dhcp = (self.dhcp.lease_time, self.dhcp.min_lease_time, self.dhcp.max_lease_time)
        default, least, most = own.values()
        times = LeaseTimes.of(
            dhcp[0] if default is None else default,
            _unless(dhcp[1], least, default, min),
            _unless(dhcp[2], most, default, max),
        )
        if not times.disorder:
            return times
        key = next(key for key, value in own.items() if value is not None)
        self.say(Level.WARNING, "lease-times", f"{times.disorder}; left out", key)
        return self.dhcp.times

    def options(self, mtu: int) -> Mapping[int, bytes]:
        """Everything that its clients may be told, by code: ``options`` over the words."""
        found = self.words(mtu)
        given, told = dhcpoptions.read(self.written.get("options", {}))
        for one in told:
            steps = ("options", one.key) if one.key else ("options",)
            self.say(Level.WARNING if one.wrong else Level.NOTE, one.code, one.text, *steps)
        for code in given.keys() & found.keys():
            word = _WORDS.get(code, "")
            if word in self.written and given[code] != found[code]:
                told_twice = (
                    f'"{word}" and option {dhcpoptions.name_of(code)} differ; the latter counts'
                )
                self.say(Level.WARNING, "option-twice", told_twice, "options")
        return self.network_options() | self.dhcp.encoded() | found | given

    def network_options(self) -> dict[int, bytes]:
        """What follows from the network."""
        found = {dhcpoptions.SUBNET_MASK: self.network.netmask.packed}
        if self.network.prefixlen <= 30:  # RFC 3021: of two addresses none is for all
            found[dhcpoptions.BROADCAST_ADDRESS] = self.network.broadcast_address.packed
        return found

    def words(self, mtu: int) -> dict[int, bytes]:
        """The options that have a word of their own."""
        found: dict[int, bytes] = {}
        routers = self.value("router", readers.some(readers.address), Level.WARNING)
        for key, code in _SERVERS.items():
            if servers := self.value(key, readers.some(readers.address), Level.WARNING):
                found[code] = b"".join(server.packed for server in servers)
        if domain := self.value("domain", readers.domain, Level.WARNING):
            found[dhcpoptions.DOMAIN_NAME] = domain.encode()
        if search := self.value("search", readers.some(readers.domain), Level.WARNING):
            found[dhcpoptions.DOMAIN_SEARCH] = optionshapes.domains(list(search))
        if routers:
            found[dhcpoptions.ROUTERS] = b"".join(router.packed for router in routers)
            self.reachable("router", routers)
        if routes := self.routes(routers or ()):
            found[dhcpoptions.CLASSLESS_STATIC_ROUTES] = routes
        if mtu:
            found[dhcpoptions.INTERFACE_MTU] = mtu.to_bytes(2, "big")
        return found

    def routes(self, routers: tuple[IPv4Address, ...]) -> bytes:
        """
        ``routes`` as option 121; a client that reads it ignores option 3, so that the way to
        everywhere else stands in it as well (RFC 3442).
        """
        if "routes" not in self.written:
            return b""
        value = self.written["routes"]
        if value == {}:
            return b""
        try:
            if not isinstance(value, Object):
                raise ValueError(f" must be {_ROUTES_WANTED}, not {value!r:.60}")
            encoded = dhcpoptions.encode("classless-static-routes", value)[1]
        except ValueError as problem:
            told = str(problem).partition(" must be ")[2] or f"{_ROUTES_WANTED}: {problem}"
            self.wrong(Level.WARNING, "routes", f'"routes" must be {told}', "routes")
            return b""
        self.reachable("routes", [IPv4Address(str(one).strip()) for one in value.values()])
        if routers and not any(str(one).strip().endswith("/0") for one in value):
            encoded = optionshapes.routes({"0.0.0.0/0": str(routers[0])}) + encoded
        return encoded

    def reachable(self, key: str, gateways: Any) -> None:
        for gateway in dict.fromkeys(gateways):
            if gateway not in self.network:
                told = f'"{key}": {gateway} is outside the network: no machine there reaches it'
                self.say(Level.WARNING, "gateway-outside", told, key)


def _unless(
    dhcp: int | None, own: int | None, default: int | None, at: Callable[[int, int], int]
) -> int | None:
    """A bound: its own word, else the setting's, which gives way to the default of the subnet."""
    if own is not None or dhcp is None or default is None:
        return dhcp if own is None else own
    return at(dhcp, default)


def parse_range(value: Any) -> Range:
    """
    ``10.1.0.100-10.1.0.199``, ``10.1.0.100-199``, one address, or a network such as
    ``10.1.0.128/25``.  Raises Wrong with what would be right.
    """
    wanted = 'a range such as "10.1.0.100-10.1.0.199"'
    if not isinstance(value, str):
        raise Wrong(f"must be {wanted}, not {value!r:.60}")
    first, dash, last = (part.strip() for part in value.partition("-"))
    if not dash and " " in first:  # as dhcpd.conf has it
        first, _, last = first.partition(" ")
    try:
        if "/" in value:
            network = IPv4Network(value.strip(), strict=False)
            return Range(network[0], network[-1])
        if dash and last.isdecimal():
            last = f"{first.rpartition('.')[0]}.{last}"
        found = Range(IPv4Address(first), IPv4Address(last.strip() if last or dash else first))
    except ValueError as problem:
        raise Wrong(f"must be {wanted}, not {value!r:.60}: {problem}") from None
    if found.first > found.last:
        raise Wrong(f"{found} is backwards: write {found.last}-{found.first}")
    return found


def nobodys(network: IPv4Network, options: Mapping[int, bytes]) -> dict[IPv4Address, str]:
    """The addresses of *network* that no machine is given, and whose they are."""
    found: dict[IPv4Address, str] = {}
    routers = options.get(dhcpoptions.ROUTERS, b"")
    for at in range(0, len(routers) - 3, 4):
        found[IPv4Address(routers[at : at + 4])] = "the router's"
    if network.prefixlen <= 30:
        found[network.network_address] = f"the address of the network {network} itself"
        found[network.broadcast_address] = f"the broadcast address of {network}"
    return found


def given(network: IPv4Network, addressing: Addressing) -> int:
    """How many addresses the pools give: each once, and none that nobody is given."""
    pools = [pool.range for pool in addressing.pools]
    taken = nobodys(network, addressing.options)
    holes = [*addressing.exclude, *(Range(address, address) for address in taken)]
    return _covered([*pools, *holes]) - _covered(holes)


def _covered(ranges: Iterable[Range]) -> int:
    """How many addresses are in one of *ranges* at least."""
    count, after = 0, 0
    for one in sorted(ranges, key=lambda one: one.first):
        count += max(0, int(one.last) + 1 - max(after, int(one.first)))
        after = max(after, int(one.last) + 1)
    return count


def _farther(one: Range, other: Range) -> Range:
    """Which of both ends later."""
    return other if other.last > one.last else one


def overlap(one: Range, other: Range) -> bool:
    """Whether an address is in both."""
    return one.first <= other.last and other.first <= one.last


#: Keys that become a field of Addressing as they are.
_PLAIN: Mapping[str, tuple[Callable[[Any], Any], Level]] = {
    "shared_network": (readers.text, Level.TARGET),
    "authoritative": (readers.boolean, Level.ERROR),
    "rapid_commit": (readers.boolean, Level.WARNING),
    "bootp": (readers.boolean, Level.WARNING),
    "probe": (readers.boolean, Level.WARNING),
    "match_client_id": (readers.boolean, Level.WARNING),
    "port_limit": (readers.number(0, 65535), Level.WARNING),
}
#: Keys that hold servers, and the options that they are told by.
_SERVERS: Mapping[str, int] = {
    "dns": dhcpoptions.DOMAIN_NAME_SERVERS,
    "ntp": dhcpoptions.NTP_SERVERS,
}
#: Options that have a word.
_WORDS: Mapping[int, str] = {
    dhcpoptions.ROUTERS: "router",
    dhcpoptions.DOMAIN_NAME_SERVERS: "dns",
    dhcpoptions.NTP_SERVERS: "ntp",
    dhcpoptions.DOMAIN_NAME: "domain",
    dhcpoptions.DOMAIN_SEARCH: "search",
    dhcpoptions.INTERFACE_MTU: "mtu",
    dhcpoptions.CLASSLESS_STATIC_ROUTES: "routes",
}
KEYS = frozenset(
    {"dhcp", "pools", "exclude", "options", "router", "domain", "search", "routes"}
    | {*_TIMES, *_SERVERS, *_PLAIN}
)
#: Words of dhcpd.conf(5), dnsmasq(8) and Kea for what a key of ours says.
_FOREIGN: Mapping[str, str] = {
    **dict.fromkeys(("routers", "gateway", "gateways", "default_gateway"), "router"),
    **dict.fromkeys(("range", "ranges", "dhcp_range"), "pools"),
    **dict.fromkeys(("domain_name_servers", "dns_server", "dns_servers"), "dns"),
    **dict.fromkeys(("name_server", "name_servers", "nameserver", "nameservers"), "dns"),
    **dict.fromkeys(("ntp_server", "ntp_servers", "time_servers"), "ntp"),
    **dict.fromkeys(("domain_search", "search_domains"), "search"),
    **dict.fromkeys(("default_lease_time", "valid_lifetime"), "lease_time"),
    **dict.fromkeys(("option_data", "dhcp_option", "option"), "options"),
    **dict.fromkeys(("static_routes", "classless_static_routes"), "routes"),
    "rfc3442_classless_static_routes": "routes",
    "domain_name": "domain",
    "min_valid_lifetime": "min_lease_time",
    "max_valid_lifetime": "max_lease_time",
    "interface_mtu": "mtu",
    "next_server": "boot_server",
}


def ours(key: str) -> str:
    """The key of a subnet for a word of another server; empty for none."""
    word = key.strip().lower().replace("-", "_").replace(" ", "_")
    return _FOREIGN.get(word) or _FOREIGN.get(word.removeprefix("option_"), "")
