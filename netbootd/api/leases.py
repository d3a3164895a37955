"""
Leases as the API says them: plain values of JSON, made of one photograph so that a thread can.

Times of a Lease are of a clock that nobody sets; what is told is Unix seconds by the wall clock of
this moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from netbootd.api.values import Picture, hostname
from netbootd.leases.lease import INFINITE, Address, Lease, State
from netbootd.leases.usage import Foreign, Usage
from netbootd.mac import MAC
from netbootd.registry import hostnames

#: What a list may be asked for: one state, or every lease that is remembered.
ALL = "all"
STATES = (*map(str, State), ALL)

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    What there was at one time: *leases*, and *clock*, which their times are of; the *picture* has
    the wall clock and whose machines they are.
    """

    picture: Picture
    leases: tuple[Lease, ...] = ()
    usage: tuple[Usage, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    clock: float = 0.0
    trouble: str = ""


def line(lease: Lease, picture: Picture, clock: float) -> dict[str, Any]:
    """
    *lease* as a line of a list.  ``until`` is null for one without end; where it is over and
    nobody has been told yet, the state is ``free`` already.
    """
    endless = lease.until - lease.since >= INFINITE
    ahead = picture.now - clock
    machine = picture.machine(lease.mac) if lease.mac else None
    listed = lease.machine or (machine.key if machine is not None and machine.known else "")
    subnet = picture.registry.subnets.of(str(lease.address))
    return {
        "address": str(lease.address),
        "state": str(state_of(lease, clock)),
        "mac": str(lease.mac) if lease.mac else None,
        "client_id": lease.client_id,
        "hostname": _called(lease, listed, picture)
        or (hostname(machine) if machine and listed else ""),
        "machine": listed,
        "since": lease.since + ahead,
        "until": None if endless else lease.until + ahead,
        "subnet": str(subnet.network or ""),
        "port": lease.port,
        "reserved": lease.reserved,
    }


def _called(lease: Lease, listed: str, picture: Picture) -> str:
    """Its name, but for one that is a listed machine's by now and was not when it was given."""
    owners = hostnames.owners(lease.hostname, picture.registry)
    return lease.hostname if not owners or listed in owners else ""


def state_of(lease: Lease, clock: float) -> State:
    """What *lease* is by now."""
    over = lease.state is not State.FREE and clock >= lease.until
    return State.FREE if over else lease.state


def listed(moment: Moment, state: str, within: Network | None, text: str) -> Iterator[Lease]:
    """
    The leases by their addresses that fit: *state* one of STATES, empty for all that somebody has;
    *within* a network; *text* in what stands in a line, empty for any.
    """
    clock, looked_for = moment.clock, text.lower()
    mac = MAC.maybe(text) if text else None

    def fits(lease: Lease) -> bool:
        now = state_of(lease, clock)
        if state != ALL and (now != state if state else now is State.FREE):
            return False
        if within is not None and lease.address not in within:
            return False
        return not text or (mac is not None and mac == lease.mac) or looked_for in _words(lease)

    return iter(sorted(filter(fits, moment.leases), key=_order))


def _order(lease: Lease) -> tuple[int, int]:
    return lease.address.version, int(lease.address)


def _words(lease: Lease) -> str:
    """All that a search looks into, in lower case."""
    said = (lease.hostname, lease.machine, lease.port)
    return "\n".join((str(lease.address), str(lease.mac or ""), *said)).lower()


def network_of(text: str) -> Network | None:
    """The network that a query names, None for none; raises ValueError."""
    return ip_network(text) if text else None


def address_of(text: str) -> Address | None:
    """The address that somebody names; None where it is none."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def pools(usage: Iterable[Usage]) -> list[dict[str, Any]]:
    """How full each subnet's pools are."""
    return [{**asdict(one), "ranges": list(one.ranges), "free": one.free} for one in usage]


def foreigners(servers: Iterable[Foreign]) -> list[dict[str, Any]]:
    """Other servers that were heard."""
    return [asdict(one) for one in servers]


class Holders:
    """
    Which address a card, or a machine of the file, has: kept as leases change, so that nobody has
    to go through all of them for one.
    """

    def __init__(self, leases: Iterable[Lease] = ()) -> None:
        self.addresses: dict[str, str] = {}
        for lease in leases:
            self.note(lease)

    def note(self, lease: Lease) -> None:
        """*lease* is as it is now."""
        address = str(lease.address)
        for who in filter(None, (str(lease.mac or ""), lease.machine)):
            if lease.state is State.LEASED:
                if lease.address.version == 4 or who not in self.addresses:
                    self.addresses[who] = address
            elif self.addresses.get(who) == address:
                del self.addresses[who]
