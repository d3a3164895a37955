"""
What a client may be called, decided once: when its lease is made.

What a client says of itself must not look like a machine of the file, nor like somebody else, in a
log, a list, a hook or DNS.  So a name that a listed machine has is its own, and another is of
whoever had it first, for as long as the lease lasts.
"""

from __future__ import annotations

from netbootd.leases.lease import Lease
from netbootd.leases.table import Leases
from netbootd.registry.hostnames import label, owners
from netbootd.registry.snapshot import Registry


def given(said: str, lease: Lease, registry: Registry, leases: Leases, now: float) -> str:
    """
    What the holder of *lease* is called, which is not of the table yet, by its own word: *said*, or
    nothing where that is another's.
    """
    name = label(said)
    if not name:
        return ""
    listed = owners(name, registry)
    if listed and lease.machine not in listed:
        return ""
    others = leases.called(name)
    return name if all(not one.active(now) or _is_same(one, lease) for one in others) else ""


def _is_same(one: Lease, other: Lease) -> bool:
    """Whether both are of one client: of IPv4 and IPv6 the card is the same, or the identifier."""
    if one.machine or other.machine:
        return one.machine == other.machine
    told = one.client_id and one.client_id == other.client_id
    return one.key == other.key or bool(told) or (one.mac is not None and one.mac == other.mac)
