"""
How large the pools of the configuration are, in the subnets where we give addresses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any, NamedTuple

from netbootd.addressing import Range, Serving
from netbootd.dhcp6.allot import serving as serving6
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet
from netbootd.registry.subnets6 import Range6


class Extent(NamedTuple):
    """What the pools of a subnet hold: *size* addresses in *ranges*, and *reserved* ones."""

    subnet: str
    ranges: tuple[Range | Range6, ...]
    size: int
    reserved: int


class Holding:
    """How large the pools of the configuration are; counted once for each."""

    def __init__(self) -> None:
        self._generation = 0
        self._extents: dict[str, Extent] = {}

    def extents(
        self, registry: Registry, interfaces: Collection[str], by_ipv6: Collection[str] = ()
    ) -> list[Extent]:
        """
        Of the subnets in which we give addresses by one of *interfaces*, or by DHCPv6 on one of
        *by_ipv6*.
        """
        if registry.generation != self._generation:
            reserved = Counter(
                registry.subnets.of(str(address)).name
                for address in (*registry.reserved, *registry.reserved6)
            )
            self._extents = {
                subnet.name: _extent(subnet, reserved[subnet.name])
                for subnet in registry.subnets
                if subnet.network is not None
            }
            self._generation = registry.generation
        return [
            self._extents[subnet.name]
            for subnet in registry.subnets
            if subnet.name in self._extents and _gives(registry, subnet, interfaces, by_ipv6)
        ]


def _gives(
    registry: Registry, subnet: Subnet, interfaces: Collection[str], by_ipv6: Collection[str]
) -> bool:
    if isinstance(subnet.network, IPv4Network):
        return any(registry.serving(subnet, name) is Serving.SERVER for name in interfaces)
    return any(serving6(registry, subnet, name) is Serving.SERVER for name in by_ipv6)


def _extent(subnet: Subnet, reserved: int) -> Extent:
    ranges: tuple[Range | Range6, ...] = tuple(pool.range for pool in subnet.addressing.pools)
    holes: Sequence[Range | Range6] = subnet.addressing.exclude
    if not isinstance(subnet.network, IPv4Network):
        ranges, holes = subnet.addressing6.pools, subnet.addressing6.exclude
    return Extent(subnet.name, ranges, _size(ranges) - _size(_cut(ranges, holes)), reserved)


def _cut(ranges: Iterable[Any], holes: Sequence[Any]) -> list[Any]:
    """What *ranges* and *holes*, of one family, have in common."""
    pairs = ((a, max(a.first, b.first), min(a.last, b.last)) for a in ranges for b in holes)
    return [replace(a, first=first, last=last) for a, first, last in pairs if first <= last]


def disjoint(ranges: Iterable[Any]) -> list[Any]:
    """The same addresses, each in one range alone."""
    found: list[Any] = []
    for one in sorted(ranges, key=lambda one: one.first):
        if found and one.first <= found[-1].last:
            found[-1] = replace(found[-1], last=max(found[-1].last, one.last))
        else:
            found.append(one)
    return found


def _size(ranges: Iterable[Any]) -> int:
    """How many addresses lie in any of *ranges*; those of IPv6 are more than ``len`` can say."""
    return sum(int(one.last) - int(one.first) + 1 for one in disjoint(ranges))
