"""
Keys that mean nothing to netbootd, and are spelt nearly like one that does.

They are free data, for templates; where none has a use for one, it was mistyped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import GROUPS, TARGETS
from netbootd.errors import Finding, Level
from netbootd.nearest import misspelt, mistyped
from netbootd.registry import machines, targets, templates
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import Object, path_of
from netbootd.targets.settings import VARIABLES

_OF_MACHINES = machines.KNOWN_KEYS | VARIABLES
_OF_TARGETS = targets.KNOWN | VARIABLES


class _Slip(NamedTuple):
    """*key* of *owner*, where *meant* was probably meant."""

    key: str
    meant: str
    owner: Object
    path: tuple[str, ...]


def remarks(
    layers: Layers, written: machines.Machines, made: targets.Targets, registry: Registry
) -> Iterator[Finding]:
    """What was mistyped in the entries of machines, in groups and in targets."""
    used = _uses(layers, registry)
    for slip in (*_of_machines(written), *_of_targets(made)):
        if not used(slip.key):
            told = f'"{slip.key}" is free data that no template uses; did you mean "{slip.meant}"?'
            # One of several that are numbered is no slip of the fingers.
            level = Level.NOTE if slip.key[-1].isdigit() else Level.WARNING
            place = slip.owner.place_of(slip.key)
            yield Finding(level, "key-misspelt", told, place, path_of(*slip.path, slip.key))


def _of_machines(written: machines.Machines) -> Iterator[_Slip]:
    for entry in written.entries.values():
        if isinstance(entry.value, Object) and not entry.off:
            path = (*entry.where, entry.key)
            yield from _in(entry.value, _OF_MACHINES, machines.KNOWN_KEYS, path)
    for name, group in written.groups.written.items():
        yield from _in(group, _OF_MACHINES, machines.KNOWN_KEYS, (GROUPS, name))


def _of_targets(made: targets.Targets) -> Iterator[_Slip]:
    for type_, named in made.written.items():
        for name, target in named.items():
            yield from _in(target, _OF_TARGETS, targets.KNOWN, (TARGETS, type_, name))


def _in(
    owner: Object, known: frozenset[str], settings: frozenset[str], path: tuple[str, ...]
) -> Iterator[_Slip]:
    for key in owner:
        if key not in known and (meant := misspelt(key, settings) or mistyped(key, VARIABLES)):
            yield _Slip(key, meant, owner, path)


def _uses(layers: Layers, registry: Registry) -> Callable[[str], bool]:
    """Whether a template of the operator's has a use for a key, or a placeholder is called so."""

    @cache
    def sources() -> frozenset[str]:
        return frozenset(templates.sources(registry))

    @cache
    def uses(key: str) -> bool:
        word = re.compile(rf"\b{re.escape(key)}\b")
        if any(word.search(source) for source in sources()):
            return True
        return any(f"__{key}__" in top.source.text for top in layers.tops)

    return uses
