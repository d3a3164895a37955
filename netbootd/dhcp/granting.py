"""
Whether a client may have the address that it requests: RFC 2131, sections 4.3.2 and 4.4.

A request tells by its shape in which state the client is: *selecting* an offer (54 and 50),
*init-reboot* (50 alone: does what I had still hold?), *renewing* (ciaddr, to us alone) or
*rebinding* (ciaddr, to everybody).

What is wrong is refused aloud (NAK) where the subnet is ours alone.  Who is not known may still
have an address that is free: the server before us had leases that we never saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from netbootd.dhcp import assign
from netbootd.dhcp.asking import Asking
from netbootd.dhcp.assign import Nothing, Place
from netbootd.dhcp.given import Ask
from netbootd.leases.lease import Address, Lease, State


class How(StrEnum):
    """In which state a client requests its address, by the words of ``events/lease``, Leased."""

    SELECTING = "new"
    RENEWING = "renewed"
    REBINDING = "rebound"
    REBOOTING = "init-reboot"
    BOOTP = "bootp"


@dataclass(frozen=True, slots=True)
class Wrong:
    """The client may not have it: *reason* in words.  *told*: by a NAK, else not at all."""

    reason: str
    told: bool


def how_of(asking: Asking) -> tuple[How, IPv4Address] | None:
    """The client's state and the address that it wants; None where it names none."""
    request, wanted = asking.request, asking.wanted
    has = request.ciaddr if int(request.ciaddr) else None
    chosen = request.server_id
    if chosen is not None and int(chosen) and (address := wanted or has):
        return How.SELECTING, address
    if has is not None:
        return How.RENEWING if asking.arrival.unicast else How.REBINDING, has
    return (How.REBOOTING, wanted) if wanted else None


def grant(asking: Asking, how: How, address: IPv4Address) -> Place | Ask | Nothing | Wrong:
    """What becomes of the request of *address*."""
    lease = asking.leases.at(address)
    its_own = lease is not None and lease.key == asking.key and lease.state is not State.DECLINED
    place = assign.may_have(asking, address)
    if place is None:
        return Wrong(_why_not(asking, address), _says_no(asking, how, known=its_own))
    known = its_own or place.reserved
    if reason := _held(asking, place, lease) or _moved(asking, how, place):
        return Wrong(reason, _says_no(asking, how, known=known))
    if lease is not None and its_own and asking.stands(lease, place.reserved):
        return place
    if not known and how is not How.SELECTING and not _speaks_for(asking):
        return Wrong(f"nothing is known of {address}, and others may give it", told=False)
    if place.reserved:
        return assign.reservation(asking) or place
    if has := _has_already(asking):
        return Wrong(f"it has {has} already, and gets one address here", told=True)
    return _anew(asking, place)


def _says_no(asking: Asking, how: How, *, known: bool) -> bool:
    """Whether we are the one to say no: it chose us, has it from us, or nobody else gives any."""
    return how is How.SELECTING or known or _speaks_for(asking)


def _speaks_for(asking: Asking) -> bool:
    """Whether we are the one who knows all addresses of the client's network."""
    subnet = asking.subnet
    return subnet.network is not None and subnet.addressing.authoritative and not asking.rival


def _why_not(asking: Asking, address: IPv4Address) -> str:
    """Why the configuration does not let the client have *address*."""
    subnet = asking.subnet_at(address)
    if subnet is None:
        return f"{address} is not of this network ({asking.subnet.name or asking.arrival.address})"
    owner = asking.registry.reserved.get(address)
    if owner is not None and (asking.machine is None or owner.key != asking.machine.key):
        return f"{address} is reserved for another machine"
    if subnet.addressing.excludes(address) or assign.special(asking, subnet, address):
        return f"{address} is for no client"
    return f"{address} is of no pool for this client"


def _held(asking: Asking, place: Place, lease: Lease | None) -> str:
    """Why the *place* is not to be had for the *lease* on it, empty where it is."""
    kept = asking.kept_by(lease)
    if kept is State.DECLINED:
        return f"{place.address} is used by somebody else"
    if kept is State.LEASED and not place.reserved:  # of its own cards the network is asked
        return f"{place.address} is leased to another client"
    return ""


def _moved(asking: Asking, how: How, place: Place) -> str:
    """Why a client that comes up again is to ask anew: its reserved address is another one."""
    if how is not How.REBOOTING or place.reserved:
        return ""
    reserved = assign.reservation(asking)
    if not isinstance(reserved, Place):
        return ""
    return f"{reserved.address} is reserved for it, not {place.address}"


def _has_already(asking: Asking) -> Address | None:
    """What the client has on this link: who asks for one address after another has the first."""
    for lease in asking.leases.of(asking.key):
        here = isinstance(lease.address, IPv4Address) and asking.subnet_at(lease.address)
        if here and not lease.reserved and lease.active(asking.now):
            return lease.address
    return None


def _anew(asking: Asking, place: Place) -> Place | Ask | Nothing:
    """An address that the client does not hold as far as we know."""
    if not asking.saving:
        return Nothing("leases cannot be written, so there are no new ones", "unsaved")
    if assign.over_limit(asking):
        return assign.past_limit(asking)
    return assign.probed(asking, place)
