"""The names of machines seen together: what is called alike cannot be told apart by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from netbootd.errors import Finding, Level
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import path_of

#: Machines that are named; more of them tell no more.
_MOST_NAMED = 20
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, section 2.1
#: Whoever is called so is asked by every browser or host of the domain (CERT VU#598349).
_NOBODYS = frozenset({"localhost", "wpad", "isatap"})


def name_of(machine: Machine) -> str:
    """What the configuration calls it; empty where it is a MAC alone."""
    return str(machine.variables.get("hostname", "")) or machine.named


def label(said: str) -> str:
    """The first label of what a client says it is called, in lower case; empty if it is no good."""
    first = said.strip().rstrip(".").lower().partition(".")[0]
    return first if _LABEL.fullmatch(first) and first not in _NOBODYS else ""


def own_label(machine: Machine | None) -> str:
    """That of what its admin calls *machine*, empty for nothing."""
    own = machine.variables.get("hostname") if machine is not None else None
    return label(own) if isinstance(own, str) else ""


def indexed(registry: Registry) -> Registry:
    """The same, with what its machines are called looked through once."""
    listed = (*registry.machines.values(), *registry.cardless)
    alone = called((*listed, *registry.wildcards.values()))
    return replace(registry, called=alone, labels=labels(listed, alone))


def called(machines: Iterable[Machine]) -> dict[str, Machine]:
    """The host names that one machine has for itself, in lower case."""
    found: dict[str, Machine] = {}
    several: set[str] = set()
    for machine in machines:
        for name in {name_of(machine).lower(), machine.named.lower()} - {""}:
            if found.setdefault(name, machine).key != machine.key:
                several.add(name)
    return {name: machine for name, machine in found.items() if name not in several}


def labels(machines: Iterable[Machine], alone: Mapping[str, Machine]) -> dict[str, frozenset[str]]:
    """
    The labels of *machines*, and whose they are (``Machine.key``); but for those that tell in
    *alone*, as ``called`` found them: nearly all.
    """
    owners: dict[str, set[str]] = {}
    for machine in machines:
        for name in filter(None, (own_label(machine), label(machine.named))):
            owners.setdefault(name, set()).add(machine.key)
    found = {
        name: frozenset(keys)
        for name, keys in owners.items()
        if (one := alone.get(name)) is None or keys != {one.key}
    }
    return found | {
        name: frozenset() for name in alone if label(name) == name and name not in owners
    }


def owners(name: str, registry: Registry) -> frozenset[str]:
    """The keys of the listed machines that are called *name*, a label."""
    keys = registry.labels.get(name)
    if keys is None:
        one = registry.called.get(name)
        keys = frozenset() if one is None else frozenset({one.key})
    return keys


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
