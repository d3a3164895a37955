"""
What only shows when subnets and machines are seen together: addresses that are kept for machines
and that nobody gives, pools that lie in another subnet, cables on which two modes meet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

from netbootd.addressing import Range, Serving
from netbootd.dropins.layers import Entry as Written
from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import SUBNETS
from netbootd.errors import Finding, Level
from netbootd.registry.addressing import nobodys, overlap
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet
from netbootd.relaxedjson import Object, path_of

#: Machines that are named with what is wrong of their addresses; more of them tell no more.
_MOST_NAMED = 20


def remarks(layers: Layers, registry: Registry) -> Iterator[Finding]:
    """All of it; nothing where nobody is given an address and nothing is said of that."""
    nets = [net for net in registry.subnets if isinstance(net.network, IPv4Network)]
    look = _Look(layers, registry, nets)
    yield from look.at_subnets()
    yield from look.at_cables()
    if look.serving:
        yield from look.at_pools()
        yield from look.at_machines()
    elif look.asked and not nets:
        told = (
            'it is the DHCP server, but no "subnets" say of which networks: nobody gets an address'
        )
        yield Finding(Level.WARNING, "dhcp-no-subnet", told, layers.place, "netbootd.dhcp")


class _Look:
    """One look at everything; *serving* are the subnets that may be given addresses in."""

    def __init__(self, layers: Layers, registry: Registry, nets: list[Subnet]) -> None:
        dhcp = registry.config.dhcp
        self.registry = registry
        self.nets = nets
        self.asked = Serving.SERVER in (dhcp.mode, *dhcp.interfaces.values())
        self.serving = [net for net in nets if net.served and self.may_serve(net)]
        self._layers = layers
        self._entries: dict[str, Written] = {}

    def may_serve(self, net: Subnet) -> bool:
        """Whether addresses are given there, on some interface at least."""
        said = net.addressing.serving
        return self.asked if said is None else said is Serving.SERVER

    def mode(self, net: Subnet) -> Serving:
        """Where no interface says otherwise."""
        return net.addressing.serving or self.registry.config.dhcp.mode

    def at_subnets(self) -> Iterator[Finding]:
        """Subnets whose mode and addresses do not go together."""
        reserved = sorted(self.registry.reserved) if self.serving else []
        for net in self.nets:
            if net.addressing.pools and not self.may_serve(net) and not self._misspelt(net):
                told = f'"pools" are for "dhcp": "server", and this is "{self.mode(net).value}"'
                yield self.say(net, "pools-unused", f"{told}: nobody gets an address", "pools")
            elif self.mode(net) is Serving.SERVER and net.served and not net.addressing.pools:
                assert isinstance(net.network, IPv4Network)
                at = bisect_left(reserved, net.network[0])
                if at == len(reserved) or reserved[at] not in net.network:
                    told = 'it has no "pools", and no machine an "ip" there: nobody gets an address'
                    yield self.say(net, "subnet-empty", told, "dhcp")

    def _misspelt(self, net: Subnet) -> bool:
        """Whether its mode is written, and none: which was said."""
        entry = self.written.get(net.name)
        value = entry.value if entry else None
        said = isinstance(value, Object) and "dhcp" in value
        return said and net.addressing.serving is None

    def at_cables(self) -> Iterator[Finding]:
        """The subnets of one shared network: one word for all of it."""
        shared: dict[str, list[Subnet]] = defaultdict(list)
        for net in self.nets:
            if net.addressing.shared_network:
                shared[net.addressing.shared_network].append(net)
        for name, nets in shared.items():
            first = nets[0]
            if len(nets) == 1:
                told = f'no other subnet is in the shared network "{name}"'
                yield self.say(first, "shared-alone", told, "shared_network", level=Level.NOTE)
            for other in nets[1:]:
                if self.mode(other) is not self.mode(first):
                    told = (
                        f'"dhcp" is "{self.mode(other).value}", and "{self.mode(first).value}" in'
                        f' {first.name}, which is on the same cable ("{name}"): a client there'
                        " cannot know which of them it is in"
                    )
                    yield self.say(other, "shared-modes", told, "shared_network")

    def at_pools(self) -> Iterator[Finding]:
        """Pools that reach into a narrower subnet, which those addresses belong to."""
        starts = sorted(self.nets, key=_first)
        firsts = [_first(net) for net in starts]
        for net in self.serving:
            for pool in net.addressing.pools:
                at = bisect_left(firsts, int(net.network[0]))  # type: ignore[index]
                for other in starts[at:]:
                    if _first(other) > int(pool.range.last):
                        break
                    assert isinstance(other.network, IPv4Network)
                    inner = Range(other.network[0], other.network[-1])
                    if other is not net and _within(other, net) and overlap(pool.range, inner):
                        told = (
                            f"pool {pool.range} overlaps subnet {other.name}, a network of its own"
                        )
                        yield self.say(net, "pool-overlap", told, "pools")

    def at_machines(self) -> Iterator[Finding]:
        """Addresses of machines that they do not get."""
        wrong = self._wrong_machines()
        for machine, code, told in islice(wrong, _MOST_NAMED):
            yield self.about(machine, code, f"{machine.address} {told}")
        if more := sum(1 for _ in wrong):
            told = f"{more} more machines have an address that they do not get"
            yield Finding(Level.WARNING, "ip-outside", told, self._layers.place, "machines")

    def _wrong_machines(self) -> Iterator[tuple[Machine, str, str]]:
        of = _by_length(self.nets)
        serving = {net.name for net in self.serving}
        ours = self._ours()
        taken = {net.name: _taken(net) for net in self.serving}
        for address, machine in self.registry.reserved.items():
            net = _holder(of, address)
            if net is None:
                yield machine, "ip-outside", "is in none of the subnets: nobody gives it"
            elif net.name in serving:
                if why := taken[net.name].get(address) or ours.get(address):
                    yield machine, "ip-taken", f"is {why}: nobody is given it"
                elif net.addressing.excludes(address):
                    told = f'is in "exclude" of subnet {net.name}: nobody is given it'
                    yield machine, "ip-excluded", told

    def _ours(self) -> dict[IPv4Address, str]:
        """Addresses that are our own, as far as the configuration knows them."""
        everywhere = Subnet(boot_server=self.registry.boot_server or "")
        known = (net.boot_address for net in (everywhere, *self.serving))
        return {address: "the boot server's" for address in known if address}

    def say(
        self, net: Subnet, code: str, told: str, key: str, level: Level = Level.WARNING
    ) -> Finding:
        """Of *key* of a subnet, or of the whole where it has no such key."""
        place, path = self._layers.place, path_of(SUBNETS, net.name)
        if (entry := self.written.get(net.name)) is not None:
            place, path = entry.owner.place_of(entry.key), path_of(SUBNETS, entry.key)
            if isinstance(entry.value, Object) and key in entry.value:
                place, path = entry.value.place_of(key), path_of(SUBNETS, entry.key, key)
        return Finding(level, code, f"{net.name}: {told}", place, path)

    def about(self, machine: Machine, code: str, told: str) -> Finding:
        path = path_of("machines", machine.written, "ip")
        return Finding(Level.WARNING, code, told, machine.place, path)

    @property
    def written(self) -> dict[str, Written]:
        """The entries of the subnets by their names; read when something is to be said."""
        if not self._entries:
            for entry in self._layers.entries(SUBNETS):
                try:
                    self._entries[str(IPv4Network(entry.key.strip(), strict=False))] = entry
                except ValueError:
                    continue
        return self._entries


def _first(net: Subnet) -> int:
    assert isinstance(net.network, IPv4Network)
    return int(net.network.network_address)


def _within(inner: Subnet, outer: Subnet) -> bool:
    assert isinstance(inner.network, IPv4Network)
    assert isinstance(outer.network, IPv4Network)
    return inner.network.prefixlen > outer.network.prefixlen


def _by_length(nets: list[Subnet]) -> list[tuple[int, dict[int, Subnet]]]:
    """By the masks of their networks, the narrowest first: an address is looked up in each."""
    found: dict[int, dict[int, Subnet]] = defaultdict(dict)
    for net in nets:
        assert isinstance(net.network, IPv4Network)
        found[int(net.network.netmask)][_first(net)] = net
    return sorted(found.items(), reverse=True)


def _holder(of: list[tuple[int, dict[int, Subnet]]], address: IPv4Address) -> Subnet | None:
    number = int(address)
    return next((nets[number & mask] for mask, nets in of if number & mask in nets), None)


def _taken(net: Subnet) -> dict[IPv4Address, str]:
    """What is nobody's to have."""
    assert isinstance(net.network, IPv4Network)
    return nobodys(net.network, net.addressing.options)
