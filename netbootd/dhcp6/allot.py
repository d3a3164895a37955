"""
Which address a client is given, of the subnets on its link.

The first of these that is to be had: the one reserved for its machine; the one it has, had or was
offered; the one it asks for; a free one of the pools; the oldest offer that another did not take.

The firmware, iPXE and the system of a machine have identifiers and association numbers of their own
and ask from the same card; so the card is the key, and the address stays through the whole boot.
Where the card is known from the identifier alone, a host may have several on one link: then another
association is another key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from netbootd.addressing import Serving
from netbootd.dhcp6.boot import mac_of
from netbootd.dhcp6.given import Arrival
from netbootd.dhcp6.message import NO_ADDRESS, Association, Message, Option, card_of
from netbootd.leases.lease import Lease, State
from netbootd.leases.table import Leases
from netbootd.mac import MAC
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet
from netbootd.registry.subnets6 import RESERVED

#: Seconds that an offer is held.
OFFER_S = 60
#: Apart from the leases of DHCPv4, which the same card may have.
_FAMILY = "ip6:"
#: Addresses that one client may decline before it gets none for a while: nobody empties a pool so.
_MOST_DECLINED = 8
_LONGEST = 64  # bytes of a DUID that are spelled out


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a client is: the *subnets* on its link, addresses of *ours* that nobody gets, and the
    *port* that it asks by; *told* by a relay, which can have a limit.
    """

    subnets: tuple[Subnet, ...]
    ours: Collection[IPv6Address]
    port: str
    told: bool = False

    def subnet_of(self, address: IPv6Address) -> Subnet | None:
        """The one that *address* lies in."""
        for subnet in self.subnets:
            if isinstance(subnet.network, IPv6Network) and address in subnet.network:
                return subnet
        return None


def link_of(request: Message, arrival: Arrival, registry: Registry) -> IPv6Address:
    """An address on the client's link: a relay's, else ours in a subnet that has an entry."""
    if request.relays:
        return request.link
    reachable = [one.ip for one in arrival.links if not one.ip.is_link_local]
    listed = (one for one in reachable if registry.subnets.of(str(one)).network)
    return next(listed, next(iter(reachable), NO_ADDRESS))


def place_of(request: Message, arrival: Arrival, registry: Registry) -> Place:
    """The subnets of the client's link that have an entry."""
    ours = frozenset(one.ip for one in arrival.links)
    on_link = [request.link] if request.relays else [one.ip for one in arrival.links]
    found: dict[str, Subnet] = {}
    for address in on_link:
        subnet = registry.subnets.of(str(address))
        if isinstance(subnet.network, IPv6Network):
            found.setdefault(subnet.name, subnet)
    subnets = tuple(found.values())
    if not request.relays:
        return Place(subnets, ours, arrival.interface)
    nearest = request.relays[-1]
    named = next((value for code, value in nearest.options if code == Option.INTERFACE_ID), b"")
    port = f"{request.link} {named[:_LONGEST].hex()}".rstrip()
    return Place(subnets, ours, port, told=bool(named))


def serving(registry: Registry, subnet: Subnet, interface: str) -> Serving:
    """
    What we do there.  Addresses of IPv6 are given only where an entry says so, or has pools: a
    setting of IPv4 alone must not make us the server of another family.
    """
    dhcp = registry.config.dhcp
    of_interface = dhcp.interfaces.get(interface)
    if of_interface is Serving.OFF:
        return Serving.OFF
    said = subnet.addressing6.serving
    if said is not None:
        return said
    usual = of_interface or dhcp.mode
    if usual is Serving.SERVER and not subnet.addressing6.pools:
        return Serving.PROXY
    return usual


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants an address: *key* in the table, and *client_id* as RFC 4361 writes it in IPv4."""

    key: str
    client_id: str
    machine: Machine | None

    @property
    def listed(self) -> str:
        """The key of its machine where that is in the file, else empty."""
        return self.machine.key if self.machine and self.machine.known else ""

    @property
    def reserved(self) -> IPv6Address | None:
        """The address that the entry of its machine gives it alone."""
        text = self.machine.variables.get(RESERVED) if self.machine and self.listed else None
        try:
            return IPv6Address(text.strip()) if isinstance(text, str) else None
        except ValueError:
            return None


def asker_of(
    request: Message,
    arrival: Arrival,
    machine: Machine | None,
    wanted: Association,
    leases: Leases,
    now: float,
) -> Asker:
    """Whose address *wanted* is."""
    duid, iaid = request.client_id, wanted.iaid.to_bytes(4, "big")
    client_id = (b"\xff" + iaid + duid).hex()  # RFC 4361, section 6.1
    peer = request.relays[-1].peer if request.relays else arrival.source
    sure = request.relayed_mac or card_of(peer)
    mac = mac_of(request, arrival.source)
    if mac is None and machine is not None and machine.known and len(machine.macs) == 1:
        mac = machine.macs[0]  # known by its UUID, whatever the system makes its address of
    key = key_of(mac, duid)
    if not sure and _of_another(key, client_id, leases, now):
        key = f"{key}#{wanted.iaid:08x}"
    return Asker(key, client_id, machine)


def key_of(mac: MAC | None, duid: bytes) -> str:
    """By which the leases of a card are found, or of whoever has that DUID."""
    name = str(mac) if mac is not None and not mac.reserved else f"duid:{duid[:_LONGEST].hex()}"
    return f"{_FAMILY}{name}"


def _of_another(key: str, client_id: str, leases: Leases, now: float) -> bool:
    """Whether *key* has an address for another association of the same identifier."""
    duid, told = client_id[10:], len(client_id)
    return any(
        lease.held(now)
        and lease.client_id != client_id
        and len(lease.client_id) == told
        and lease.client_id[10:] == duid
        for lease in leases.of(key)
        if isinstance(lease.address, IPv6Address)
    )


@dataclass(frozen=True, slots=True)
class Allotment:
    """One way to look for addresses, at *now*: what is taken and by whom."""

    place: Place
    registry: Registry
    leases: Leases
    now: float

    def choose(
        self, asker: Asker, hints: Sequence[IPv6Address], *, saving: bool = True
    ) -> IPv6Address | None:
        """
        An address for *asker*, which names *hints*; None where there is none.

        *saving* False: leases cannot be written, so nobody new is given one.
        """
        if self.leases.declined(asker.key) >= _MOST_DECLINED:
            return None
        if (own := self._reserved(asker)) is not None and self._free_for(own, asker):
            return own
        if (had := self._had(asker)) is not None:
            return had
        if not saving or self.full(asker):
            return None
        for hint in hints:
            if self.may_have(hint, asker) and self._free_for(hint, asker):
                return hint
        return self._from_pools()

    def full(self, asker: Asker) -> bool:
        """Whether the port of the relay has all that those get who are not listed."""
        limits = [subnet.addressing6.port_limit for subnet in self.place.subnets]
        limit = min((one for one in limits if one), default=0)
        counted = self.place.told and limit > 0 and not asker.listed
        return counted and self.leases.count(self.place.port) >= limit

    def may_have(self, address: IPv6Address, asker: Asker) -> bool:
        """Whether the configuration lets *asker* have *address*, if it is free."""
        holder = self.registry.reserved6.get(address)
        if holder is not None:
            its = holder.key == asker.listed or self._keeps(address, asker, holder)
            return its and self.place.subnet_of(address) is not None
        subnet = self.place.subnet_of(address)
        if subnet is None or not self._anybody(address):
            return False
        return any(address in pool for pool in subnet.addressing6.pools)

    def _keeps(self, address: IPv6Address, asker: Asker, holder: Machine) -> bool:
        """
        Whether it was given as *holder*'s to *asker*, who says less of itself now: a system after a
        firmware that told the UUID by which the machine is listed.
        """
        lease = self.leases.at(address)
        return (
            lease is not None
            and self._its(lease, asker)
            and lease.active(self.now)
            and lease.machine == holder.key
        )

    def _anybody(self, address: IPv6Address) -> bool:
        """Whether *address* is one that any client may have."""
        subnet = self.place.subnet_of(address)
        return (
            subnet is not None
            and subnet.network is not None
            and address not in self.registry.reserved6
            and address not in self.place.ours
            and not subnet.addressing6.excludes(address)
            and address != subnet.network[0]  # the routers' anycast address (RFC 4291, 2.6.1)
        )

    def _reserved(self, asker: Asker) -> IPv6Address | None:
        address = asker.reserved
        if address is None or self.place.subnet_of(address) is None:
            return None
        holder = self.registry.reserved6.get(address)
        return address if holder is not None and holder.key == asker.listed else None

    def _had(self, asker: Asker) -> IPv6Address | None:
        for lease in self.leases.of(asker.key):
            address = lease.address
            if isinstance(address, IPv6Address) and self._may_keep(lease, address, asker):
                return address
        return None

    def _may_keep(self, lease: Lease, address: IPv6Address, asker: Asker) -> bool:
        return lease.state is not State.DECLINED and self.may_have(address, asker)

    def _free_for(self, address: IPv6Address, asker: Asker) -> bool:
        lease = self.leases.at(address)
        return lease is None or not lease.held(self.now) or self._its(lease, asker)

    @staticmethod
    def _its(lease: Lease, asker: Asker) -> bool:
        return lease.key == asker.key and lease.state is not State.DECLINED

    def _from_pools(self) -> IPv6Address | None:
        pools = [pool for subnet in self.place.subnets for pool in subnet.addressing6.pools]
        for pool in pools:
            found = self.leases.free(pool, self._may, self.now, generation=self.registry.generation)
            if isinstance(found, IPv6Address):
                return found
        for pool in pools:
            offer = self.leases.oldest_offer(pool, self.now, self.place.port)
            if offer is not None and self._may(offer.address):
                assert isinstance(offer.address, IPv6Address)
                return offer.address
        return None

    def _may(self, address: object) -> bool:
        return isinstance(address, IPv6Address) and self._anybody(address)
