"""
Where each value of a machine comes from: its own entry, a group, the default, a target or one that
this inherits from, its subnet, or the section ``vars``.  For commands; no request asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from netbootd.dropins.layers import Layers
from netbootd.errors import Place
from netbootd.registry.choice import CHOOSING
from netbootd.registry.entries import DEFAULT
from netbootd.registry.groups import LISTS, MEMBERSHIP, VARS, Whole
from netbootd.registry.machine import Machine
from netbootd.registry.machines import Machines
from netbootd.registry.subnets import ELSEWHERE, Subnet
from netbootd.registry.targets import INHERIT, Targets
from netbootd.registry.wildcards import prefix_of
from netbootd.relaxedjson import Object
from netbootd.targets.settings import EXTRA_ARGS

#: What adds up instead of taking another's place.
_ADDED = frozenset({EXTRA_ARGS, *LISTS})
_UNTOLD = frozenset({INHERIT, VARS, *MEMBERSHIP})


class Origin(NamedTuple):
    """
    One *key* and its *value*, *by* whom, and where; *counts* is False for one that another hides.
    """

    key: str
    value: Any
    by: str
    place: Place
    counts: bool = True


class _Source(NamedTuple):
    """An object whose keys may count, and what to call it; *alone* are the only keys, if any."""

    by: str
    value: Object
    alone: frozenset[str] = frozenset()


class Origins:
    """The files of one registry, as far as they say what machines boot."""

    def __init__(self, layers: Layers, machines: Machines, targets: Targets) -> None:
        self._layers = layers
        self._machines = machines
        self._targets = targets

    def of(self, machine: Machine, subnet: Subnet = ELSEWHERE) -> list[Origin]:
        """
        Every value that is about *machine* in *subnet*; of one key the one that counts comes first.
        """
        found: dict[str, list[Origin]] = {}
        for source in self._sources(machine, subnet):
            for key, value, place in _items(source):
                before = found.setdefault(key, [])
                counts = not before or key in _ADDED
                before.append(Origin(key, value, source.by, place, counts))
        return [origin for origins in found.values() for origin in origins]

    def chain(self, title: str) -> list[str]:
        """*title* and the targets that it inherits from, in that order."""
        type_, _, name = title.partition("/")
        return [title for title, _ in self._chain(type_, name)]

    def _sources(self, machine: Machine, subnet: Subnet) -> Iterator[_Source]:
        """The objects that speak of *machine*, the highest precedence first."""
        whole = self._whole(machine)
        if whole is not None:
            yield from _of_entry("its entry", whole)
        default = self._default(machine)
        if default is not None and whole is not None:
            choosing = frozenset({"type", "name"})
            if machine.target is (self._machines.default and self._machines.default.target):
                choosing = CHOOSING
            for source in _of_entry("machines.default", default):
                yield source._replace(alone=choosing)
        type_, _, name = machine.title.partition("/")
        for title, target in self._chain(type_, name):
            yield _Source(f"target {title}", target)
        if isinstance(subnet.variables, Object):
            yield _Source(f"subnet {subnet.name}", subnet.variables)
        if (variables := self._layers.merged(VARS)) is not None:
            yield _Source("section vars", variables)

    def _chain(self, type_: str, name: str) -> list[tuple[str, Object]]:
        written = self._targets.written.get(type_, {})
        return self._targets.chain(type_, name) if name in written else []

    def _whole(self, machine: Machine) -> Whole | None:
        entries = self._machines.entries
        entry = entries.get(machine.written.strip()) or entries.get(_who(machine))
        whole = self._machines.choices.whole(entry) if entry else None
        return whole if isinstance(whole, Whole) else None

    def _default(self, machine: Machine) -> Whole | None:
        entry = self._machines.entries.get(DEFAULT)
        if entry is None or machine.written.strip() == DEFAULT:
            return None
        whole = self._machines.choices.whole(entry)
        return whole if isinstance(whole, Whole) else None


def _who(machine: Machine) -> Any:
    """The key of its entry among those that were written."""
    if machine.written.strip() == DEFAULT or machine.named:
        return machine.written.strip()
    prefix = prefix_of(machine.written)
    return f"{prefix}*" if prefix else machine.macs[0] if machine.macs else None


def _of_entry(by: str, whole: Whole) -> Iterator[_Source]:
    yield _Source(by, whole.entry.value)
    for name, group in zip(whole.groups, whole.written, strict=True):
        yield _Source(f"group {name}", group)


def _items(source: _Source) -> Iterator[tuple[str, Any, Place]]:
    """The keys that it speaks of, and after them those under its ``vars``."""
    for key, value in source.value.items():
        if key not in _UNTOLD and (not source.alone or key in source.alone):
            yield key, value, source.value.place_of(key)
    given = source.value.get(VARS)
    if isinstance(given, Object) and not source.alone:
        for key, value in given.items():
            if key not in source.value:
                yield key, value, given.place_of(key)
