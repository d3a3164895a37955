"""
What a client may be called, decided once: when its lease is made.

What a client says of itself must not look like a machine of the file, nor like somebody else, in a
log, a list, a hook or DNS.  So a name that a listed machine has is its own, and another is of
whoever had it first, for as long as the lease lasts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from netbootd.leases.lease import Lease
from netbootd.leases.table import Leases
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, section 2.1
#: Whoever is called so is asked by every browser or host of the domain (CERT VU#598349).
_NOBODYS = frozenset({"localhost", "wpad", "isatap"})

_Owners = Mapping[str, frozenset[str]]
_LATEST: list[tuple[Registry, _Owners]] = []


def label(said: str) -> str:
    """The first label of what a client says it is called, in lower case; empty if it is no good."""
    first = said.strip().rstrip(".").lower().partition(".")[0]
    return first if _LABEL.fullmatch(first) and first not in _NOBODYS else ""


def own_label(machine: Machine | None) -> str:
    """That of what its admin calls *machine*, empty for nothing."""
    own = machine.variables.get("hostname") if machine is not None else None
    return label(own) if isinstance(own, str) else ""


def listed(registry: Registry) -> _Owners:
    """The names of listed machines, and whose they are (``Machine.key``)."""
    if not _LATEST or _LATEST[0][0] is not registry:
        _LATEST[:] = [(registry, _owners(registry))]
    return _LATEST[0][1]


def _owners(registry: Registry) -> _Owners:
    owners: dict[str, set[str]] = {}
    for machine in (*registry.machines.values(), *registry.cardless):
        for name in filter(None, (own_label(machine), label(machine.named))):
            owners.setdefault(name, set()).add(machine.key)
    return {name: frozenset(keys) for name, keys in owners.items()}


def given(said: str, lease: Lease, registry: Registry, leases: Leases, now: float) -> str:
    """
    What the holder of *lease* is called, which is not of the table yet, by its own word: *said*, or
    nothing where that is another's.
    """
    name = label(said)
    if not name:
        return ""
    owners = listed(registry).get(name)
    if owners is not None and lease.machine not in owners:
        return ""
    others = leases.called(name)
    return name if all(not one.active(now) or _is_same(one, lease) for one in others) else ""


def _is_same(one: Lease, other: Lease) -> bool:
    """Whether both are of one client: of IPv4 and IPv6 the card is the same, or the identifier."""
    if one.machine or other.machine:
        return one.machine == other.machine
    told = one.client_id and one.client_id == other.client_id
    return one.key == other.key or bool(told) or (one.mac is not None and one.mac == other.mac)
