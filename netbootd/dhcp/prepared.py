"""
What a registry means for every packet alike, worked out once and kept as long as it counts.

Nothing here is remembered of clients: it could all be thrown away at any time.  With a new registry
it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from netbootd.addressing import Pool, Range, Serving
from netbootd.dhcp.message import Option
from netbootd.leases.lease import Address
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet

#: An interface, the address of ours that answers, and all of them there.
_Where = tuple[str, IPv4Address, tuple[IPv4Interface, ...]]
#: Addresses and machines that are kept.
_MOST = 8192
#: Addresses of a hole that would take long to walk through.
_LARGE = 1024


@dataclass(frozen=True, slots=True)
class Ground:
    """
    What is known of *subnet* before anybody asks: *options* of every reply there, *ends*, the
    addresses that no client has: routers, and the ends of the network; and its *pools* without
    their large holes.
    """

    subnet: Subnet
    options: Mapping[int, bytes]
    ends: frozenset[IPv4Address]
    pools: tuple[Pool, ...]


@dataclass(slots=True)
class Prepared:
    """All that was made ready for *registry*."""

    registry: Registry
    _grounds: dict[str, Ground] = field(default_factory=dict)
    _cables: dict[str, tuple[Subnet, ...]] = field(default_factory=dict)
    _here: dict[_Where, tuple[Subnet, ...]] = field(default_factory=dict)
    _said: OrderedDict[tuple[str, str, str], Mapping[int, bytes]] = field(
        default_factory=OrderedDict
    )

    def ground(self, subnet: Subnet) -> Ground:
        """That of *subnet*."""
        found = self._grounds.get(subnet.name)
        if found is None:
            found = self._grounds[subnet.name] = _ground(subnet)
        return found

    def subnet(self, address: IPv4Address) -> Subnet:
        """The subnet that holds *address*."""
        return self.registry.subnets.at(address)

    def cable(self, address: IPv4Address) -> tuple[Subnet, ...]:
        """The subnets of the cable that *address* is of, its own first."""
        subnet = self.subnet(address)
        found = self._cables.get(subnet.name)
        if found is None:
            found = self._cables[subnet.name] = self.registry.subnets.link(subnet)
        return found

    def here(
        self, interface: str, first: IPv4Address, links: tuple[IPv4Interface, ...]
    ) -> tuple[Subnet, ...]:
        """The subnets of the cable at *interface*, which has *links*; that of *first* is first."""
        which = interface, first, links
        found = self._here.get(which)
        if found is None:
            if len(self._here) >= _MOST:
                self._here.clear()
            found = self._here[which] = self._served_here(interface, first, links)
        return found

    def _served_here(
        self, interface: str, first: IPv4Address, links: tuple[IPv4Interface, ...]
    ) -> tuple[Subnet, ...]:
        """All whose addresses we have there share the cable, if we are the server in them."""
        found: dict[str, Subnet] = {}
        for ours in sorted(links, key=lambda one: one.ip != first):
            subnet = self.subnet(ours.ip)
            if subnet.network is None:  # nothing is written of it, so it is what the interface says
                subnet = replace(subnet, name=str(ours.network), network=ours.network)
            if self.registry.serving(subnet, interface) is Serving.SERVER:
                for one in self.registry.subnets.link(subnet):
                    found.setdefault(one.name, one)
        return tuple(found.values()) or (self.subnet(first),)

    def said_of(self, machine: Machine, subnet: Subnet) -> Mapping[int, bytes]:
        """The options that are said of *machine* where it is in *subnet*."""
        which = machine.key, machine.title, subnet.name
        found = self._said.get(which)
        if found is None:
            found = self._said[which] = _said(self.registry, machine, subnet)
            if len(self._said) > _MOST:
                self._said.popitem(last=False)
        return found

    def may(self, subnet: Subnet, ours: Collection[IPv4Address]) -> Callable[[Address], bool]:
        """Whether an address of *subnet* may be given from a pool, whoever asks; *ours* are not."""
        ends, reserved = self.ground(subnet).ends, self.registry.reserved
        excludes = subnet.addressing.excludes

        def allowed(address: Address) -> bool:
            if not isinstance(address, IPv4Address) or address in reserved or address in ends:
                return False
            return address not in ours and not excludes(address)

        return allowed


_LATEST: list[Prepared] = []


def prepared(registry: Registry) -> Prepared:
    """What was made ready for *registry*; of those before it nothing is kept."""
    if not _LATEST or _LATEST[0].registry is not registry:
        _LATEST[:] = [Prepared(registry)]
    return _LATEST[0]


def _ground(subnet: Subnet) -> Ground:
    """What *subnet* says, and what its being a network says where that does not."""
    options: dict[int, bytes] = {}
    ends: set[IPv4Address] = set()
    network = subnet.network
    if isinstance(network, IPv4Network):
        options[Option.SUBNET_MASK] = network.netmask.packed
    if isinstance(network, IPv4Network) and network.prefixlen < 31:  # RFC 3021
        options[Option.BROADCAST_ADDRESS] = network.broadcast_address.packed
        ends = {network.network_address, network.broadcast_address}
    options |= subnet.addressing.options
    routers = options.get(Option.ROUTERS, b"")
    ends |= {IPv4Address(routers[at : at + 4]) for at in range(0, len(routers) - 3, 4)}
    if Option.ROUTES in options:
        options.setdefault(Option.MICROSOFT_ROUTES, options[Option.ROUTES])
    return Ground(subnet, options, frozenset(ends), tuple(_pools(subnet)))


def _pools(subnet: Subnet) -> Iterator[Pool]:
    """Small holes are cheaper passed over one address at a time than as pools of their own."""
    holes = [hole for hole in subnet.addressing.exclude if len(hole) >= _LARGE]
    for pool in subnet.addressing.pools:
        ranges = [pool.range]
        for hole in holes:
            ranges = [left for one in ranges for left in _without(one, hole)]
        yield from (replace(pool, range=one) for one in ranges)


def _without(whole: Range, hole: Range) -> Iterator[Range]:
    """What is left of *whole*."""
    if whole.first < hole.first:
        yield Range(whole.first, min(whole.last, hole.first - 1))
    if hole.last < whole.last:
        yield Range(max(whole.first, hole.last + 1), whole.last)


def _said(registry: Registry, machine: Machine, subnet: Subnet) -> Mapping[int, bytes]:
    """What is said of *machine*: by its variables, and over these in ``dhcp_options``."""
    variables = registry.variables_of(machine, subnet)
    named = {
        int(Option.HOST_NAME): _text(variables.get("hostname")),
        int(Option.NTP_SERVERS): _addresses(variables.get("ntp")),
    }
    found = {code: value for code, value in named.items() if value}
    found |= machine.dhcp_options
    if Option.ROUTES in found:
        found.setdefault(Option.MICROSOFT_ROUTES, found[Option.ROUTES])
    return found


def _text(said: Any) -> bytes:
    return said.encode()[:255] if isinstance(said, str) else b""


def _addresses(said: Any) -> bytes:
    """*said*, an address or an array of them; empty where one of them is a name."""
    words = [said] if isinstance(said, str) else said
    if not isinstance(words, (list, tuple)):
        return b""
    try:
        return b"".join(IPv4Address(word.strip()).packed for word in words)
    except (ValueError, AttributeError):
        return b""
