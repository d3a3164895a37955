"""The names of machines seen together: what is called alike cannot be told apart by its name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from netbootd.errors import Finding, Level
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import path_of

#: Machines that are named; more of them tell no more.
_MOST_NAMED = 20


def remarks(registry: Registry) -> Iterator[Finding]:
    """Each machine that is called as one before it; names differ by more than case (RFC 1123)."""
    twice = _twice(registry)
    for machine, before in islice(twice, _MOST_NAMED):
        told = (
            f"{machine.variables['hostname']} is the hostname of {before.written}"
            f" ({before.place}) as well: its leases and logs tell them apart by address alone"
        )
        path = path_of("machines", machine.written, "hostname")
        yield Finding(Level.WARNING, "hostname-duplicate", told, machine.place, path)
    if more := sum(1 for _ in twice):
        told = f"{more} more machines have the hostname of another"
        yield Finding(Level.WARNING, "hostname-duplicate", told, machine.place, "machines")


def _twice(registry: Registry) -> Iterator[tuple[Machine, Machine]]:
    """Machines with the first one of their name; a name with placeholders is of each alone."""
    first: dict[str, Machine] = {}
    for machine in (*registry.machines.values(), *registry.cardless):
        name = machine.variables.get("hostname")
        if isinstance(name, str) and name.strip() and "__" not in name and "{" not in name:
            before = first.setdefault(name.strip().lower(), machine)
            if before.key != machine.key and machine.mac in (None, *machine.macs[:1]):
                yield machine, before
