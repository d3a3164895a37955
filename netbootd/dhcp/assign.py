"""
Which address a client gets, and which it may have: RFC 2131, section 4.3.1.

In this order: its reservation, what it has or had, what it asks for, a free one of the pools that
are for it, and last the oldest offer that another client never took.  Addresses that are reserved
for others, holes of the pools, our own, routers and the ends of a network are given to nobody.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address

from netbootd.addressing import EVERYBODY, Pool
from netbootd.dhcp import matching
from netbootd.dhcp.asking import Asking
from netbootd.dhcp.given import Ask
from netbootd.dhcp.prepared import prepared
from netbootd.leases.lease import Address, State
from netbootd.leases.table import Leases
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet

#: Seconds for which a card that has just got an address is not asked whether it has it.
_NEW_S = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """An *address* of *subnet* that the client may have; *reserved*: nobody else may."""

    address: IPv4Address
    subnet: Subnet
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class Nothing:
    """No address: *reason* in words, *code* for programs (``events/lease``, NoAddress)."""

    reason: str
    code: str


def choose(asking: Asking) -> Place | Ask | Nothing:
    """What to offer."""
    reserved = reservation(asking)
    if isinstance(reserved, Place | Ask):
        return reserved
    if own := _own(asking):
        return own
    if reserved is None:
        return _new(asking)
    found = _new(asking)
    if isinstance(found, Nothing):
        return Nothing(f"{reserved.reason}; {found.reason}", found.code)
    return found


# -- reservations ------------------------------------------------------------------------------


def reservation(asking: Asking) -> Place | Ask | Nothing | None:
    """The client's reserved address; Nothing where it cannot have it now, None without one."""
    address = asking.machine.address if asking.machine else None
    subnet = asking.subnet_at(address) if address else None
    if address is None or subnet is None or not _owns(asking, address):
        return None
    if special(asking, subnet, address):
        return Nothing(f"{address}, which is reserved for it, is for no client", "no-pool")
    return _unless_held(asking, Place(address, subnet, reserved=True))


def _owns(asking: Asking, address: IPv4Address) -> bool:
    owner = asking.registry.reserved.get(address)
    return owner is not None and asking.machine is not None and owner.key == asking.machine.key


def _unless_held(asking: Asking, place: Place) -> Place | Ask | Nothing:
    """The reserved *place*, unless somebody has it: a card of its own machine is asked for it."""
    address, lease = place.address, asking.leases.at(place.address)
    kept = asking.kept_by(lease)
    if lease is None or kept is None:
        return probed(asking, place)
    if kept is State.OFFERED:  # to another card of its machine, which may have it all the same
        return probed(asking, place)
    if kept is State.DECLINED:
        return Nothing(
            f"{address}, which is reserved for it, is used by somebody else", "exhausted"
        )
    sibling = asking.machine is not None and lease.machine == asking.machine.key
    new = lease.since > asking.now - _NEW_S  # what the network said may be older
    if not sibling or new or not asking.local(address) or asking.taken(address):
        whose = f"{lease.key} of the same machine" if sibling else lease.key
        return Nothing(f"{address}, which is reserved for it, is with {whose}", "exhausted")
    return place if asking.asked(address) else Ask(address, lease.key)


# -- what it has, what it wants, what is free --------------------------------------------------


def _own(asking: Asking) -> Place | None:
    """What the client has, or had last."""
    had = None
    for lease in asking.leases.of(asking.key):
        place = may_have(asking, lease.address)
        if place is not None and asking.stands(lease, place.reserved):
            return place
        had = had or place
    return had if asking.saving else None


def may_have(asking: Asking, address: Address) -> Place | None:
    """*address* if the configuration lets this client have it, whoever has it now."""
    subnet = asking.subnet_at(address) if isinstance(address, IPv4Address) else None
    if subnet is None or not isinstance(address, IPv4Address):
        return None
    if address in asking.registry.reserved:
        owned = _owns(asking, address) and not special(asking, subnet, address)
        return Place(address, subnet, reserved=True) if owned else None
    if not may(asking, subnet, address):
        return None
    pools = matching.pools_for(asking, subnet)
    return Place(address, subnet) if any(address in pool.range for pool in pools) else None


def _new(asking: Asking) -> Place | Ask | Nothing:
    """An address that the client never had."""
    if not asking.saving:
        return Nothing("leases cannot be written, so there are no new ones", "unsaved")
    pools = [
        (subnet, pool) for subnet in asking.link for pool in matching.pools_for(asking, subnet)
    ]
    if not pools:
        return Nothing(f"no pool of {asking.subnet.name or 'its network'} is for it", "no-pool")
    if over_limit(asking):
        return _of_its_port(asking, pools)
    if asking.wanted and (place := may_have(asking, asking.wanted)) and _vacant(asking, place):
        return probed(asking, place)
    for subnet, pool in pools:
        if place := _free(asking, subnet, pool):
            return probed(asking, place)
    return _reused(asking, pools) or Nothing(_all_taken(pools), "exhausted")


def _vacant(asking: Asking, place: Place) -> bool:
    return asking.kept_by(asking.leases.at(place.address)) is None


def _free(asking: Asking, subnet: Subnet, pool: Pool) -> Place | None:
    allowed, generation = asking.prepared.may(subnet, asking.ours), asking.registry.generation
    found = asking.leases.free(pool.range, allowed, asking.now, generation=generation)
    return Place(found, subnet) if isinstance(found, IPv4Address) else None


def _all_taken(pools: list[tuple[Subnet, Pool]]) -> str:
    names = ", ".join(dict.fromkeys(subnet.name for subnet, _ in pools))
    return f"every address of the pools of {names} that are for it is taken"


# -- offers that were not taken ----------------------------------------------------------------


def over_limit(asking: Asking) -> bool:
    """Whether those that are not listed have all that one port of a relay may have."""
    limit = asking.subnet.addressing.port_limit
    if asking.machine is not None or not limit:
        return False
    if asking.relay is None or not asking.relay.names_ports:
        return False
    return asking.leases.count(asking.port) >= limit


def _of_its_port(asking: Asking, pools: list[tuple[Subnet, Pool]]) -> Place | Ask | Nothing:
    """What was offered behind the same port and not taken: it has no more than that."""
    return _reused(asking, pools, same_port=True) or past_limit(asking)


def past_limit(asking: Asking) -> Nothing:
    """The port has what it may have."""
    limit = asking.subnet.addressing.port_limit
    told = f"clients behind {asking.port} have {limit} addresses already (port_limit)"
    return Nothing(told, "port-limit")


def _reused(
    asking: Asking, pools: list[tuple[Subnet, Pool]], *, same_port: bool = False
) -> Place | Ask | None:
    """The oldest offer of another client, the oldest of its own port before all."""
    for port in (asking.port,) if same_port else (asking.port, ""):
        offers = [asking.leases.oldest_offer(pool.range, asking.now, port) for _, pool in pools]
        for offer in sorted(filter(None, offers), key=lambda one: one.since):
            if place := may_have(asking, offer.address):
                return probed(asking, place)
    return None


# -- what is for nobody ------------------------------------------------------------------------


def may(asking: Asking, subnet: Subnet, address: IPv4Address) -> bool:
    """Whether *address* of *subnet* may be given from a pool, whoever asks."""
    return asking.prepared.may(subnet, asking.ours)(address)


def special(asking: Asking, subnet: Subnet, address: IPv4Address) -> bool:
    """Whether *address* is for no client: ours, a router's, or an end of the network."""
    return address in asking.prepared.ground(subnet).ends or address in asking.ours


def probed(asking: Asking, place: Place) -> Place | Ask:
    """The *place*, but the network is asked first where the client has it for the first time."""
    lease = asking.leases.at(place.address)
    if not place.subnet.addressing.probe or (lease is not None and lease.key == asking.key):
        return place
    if not asking.local(place.address) or asking.asked(place.address):
        return place
    return Ask(place.address)


# -- what will be asked for --------------------------------------------------------------------


def ahead(
    subnet: Subnet,
    registry: Registry,
    leases: Leases,
    *,
    now: float,
    ours: Collection[IPv4Address],
    count: int,
) -> list[IPv4Address]:
    """The next *count* addresses that strangers will be offered on the cable of *subnet*."""
    found: dict[Address, None] = {}
    for one in registry.subnets.link(subnet):
        ready = prepared(registry)
        allowed = ready.may(one, ours)
        for pool in ready.ground(one).pools:
            if one.addressing.probe and pool.match == EVERYBODY:
                args = pool.range, allowed, now, count
                found |= dict.fromkeys(leases.ahead(*args, generation=registry.generation))
    return [address for address in found if isinstance(address, IPv4Address)][:count]
