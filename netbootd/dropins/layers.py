"""
What was read, in layers: sections are merged entry by entry.

Each machine, each target, each name is taken whole from the highest layer that has it.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from netbootd.dropins.sections import MACHINES, NAMED, SECTIONS, TARGETS
from netbootd.errors import Finding, Level, Place
from netbootd.mac import MAC
from netbootd.relaxedjson import Object, Value, path_of


class Entry(NamedTuple):
    """One entry of a section; *owner* knows the places and, as ``owner.source.file``, the file."""

    key: str
    value: Value
    owner: Object


class TargetEntry(NamedTuple):
    """One target; *owner* is the object of its type, in which *name* stands."""

    kind: str
    name: str
    value: Value
    owner: Object


class Merged(Object):
    """A section put together from several files, in which each key still knows its own."""

    __slots__ = ("owners",)

    def __init__(self, layers: list[Object]) -> None:
        """*layers* from the lowest to the highest, which also lends its place."""
        super().__init__(layers[-1].source, layers[-1].offset)
        self.owners: dict[str, Object] = {}
        for layer in layers:
            self.update(layer)
            self.owners |= dict.fromkeys(layer, layer)

    def place_of(self, key: str) -> Place:
        """Where the entry of *key* that counts has its key."""
        return self.owners[key].place_of(key)

    def value_place_of(self, key: str) -> Place:
        """Where the value of *key* that counts begins."""
        return self.owners[key].value_place_of(key)

    def place_inside(self, key: str, index: int) -> Place:
        """Where character *index* (from 0) of the string under *key* stands."""
        return self.owners[key].place_inside(key, index)


@dataclass(frozen=True, slots=True)
class Layers:
    """
    What was read from *main* and the files around it.

    *tops* are the documents, the highest precedence first.  *files* are the files and folders whose
    change matters, those that could not be read or do not exist yet among them.
    """

    main: Path
    tops: tuple[Object, ...]
    files: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def documents(self) -> tuple[str, ...]:
        """The files that were read, the highest precedence first."""
        return tuple(top.source.file for top in self.tops)

    @property
    def place(self) -> Place:
        """The main file's opening brace; for what is said about the configuration as a whole."""
        name = name_of(self.main)
        found = (top.place for top in self.tops if top.source.file == name)
        return next(found, Place(name))

    def has(self, section: str) -> bool:
        """Whether any file has *section*, be it empty."""
        return any(section in top for top in self.tops)

    def entries(self, section: str) -> Iterator[Entry]:
        """The entries of *section* in every file, lowest precedence first: the last one counts."""
        for layer in self._layers(section):
            for key, value in layer.items():
                yield Entry(key, value, layer)

    def target_entries(self) -> Iterator[TargetEntry]:
        """Every target of every file, lowest precedence first: the last one counts."""
        for kind_of_target, targets, _ in self.entries(TARGETS):
            if isinstance(targets, Object):
                for name, value in targets.items():
                    yield TargetEntry(kind_of_target, name, value, targets)

    def merged(self, section: str) -> Object | None:
        """*section* merged key by key, for plain names; None if no file has it."""
        layers = list(self._layers(section))
        if len(layers) > 1:
            return Merged(layers)
        return layers[0] if layers else None

    def extras(self) -> dict[str, Value]:
        """The top-level keys that are not ours, for templates; each whole from its highest file."""
        found: dict[str, Value] = {}
        for top in reversed(self.tops):
            found |= {key: value for key, value in top.items() if key not in SECTIONS}
        return found

    def _layers(self, section: str) -> Iterator[Object]:
        """*section* in each file that has it as an object, lowest precedence first."""
        for top in reversed(self.tops):
            layer = top.get(section)
            if isinstance(layer, Object):
                yield layer


def overridden(layers: Layers) -> Iterator[Finding]:
    """Each entry that loses against one of the same name in a higher file, with both places."""
    for section in NAMED:
        if len([top for top in layers.tops if section in top]) < 2:
            continue
        counting: dict[Hashable, tuple[Object, tuple[str, ...]]] = {}
        for identity, owner, path in _identified(layers, section):
            loser, lost = counting.get(identity, (owner, path))
            if loser.source is not owner.source:
                text = f"replaced by {owner.place_of(path[-1])}"
                place = loser.place_of(lost[-1])
                yield Finding(Level.DEBUG, "entry-overridden", text, place, path_of(*lost))
            counting[identity] = (owner, path)


def _identified(layers: Layers, section: str) -> Iterator[tuple[Hashable, Object, tuple[str, ...]]]:
    """Every entry of *section*: what makes it the same as another, its owner and its path."""
    if section == TARGETS:
        for kind_of_target, name, _, owner in layers.target_entries():
            identity = (kind_of_target.strip(), name.strip())
            yield identity, owner, (section, kind_of_target, name)
        return
    for key, _, owner in layers.entries(section):
        same = MAC.maybe(key) if section == MACHINES else None
        yield same or key.strip(), owner, (section, key)


def name_of(file: Path) -> str:
    """The name of *file*, where bytes that are not UTF-8 would break the printing of it."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")
