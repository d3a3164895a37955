"""
The boot programs of a configuration, and what of those that it chooses is not there.

Which of them a machine gets is said by ``loader``, in many places: all the words are collected here
once, so that nobody has to look at the disk for one later.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from netbootd import loaders
from netbootd.arch import TABLE, Arch, arch_of
from netbootd.config import Config
from netbootd.content import Library
from netbootd.dropins import GROUPS, MACHINES, SUBNETS, Layers
from netbootd.errors import Finding, Level, Place
from netbootd.loaders import NO_CHOICE, Choice
from netbootd.programs import LARGEST, Program, find_programs
from netbootd.registry.entries import DEFAULT
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import Object, path_of
from netbootd.targets.settings import LOADER


def find(layers: Layers, config: Config) -> dict[str, Program]:
    """Every program of the folders and the file root that could be asked for by name."""
    wanted = {word for choice in _choices(layers, config) for word in choice.words}
    return find_programs(config.files, config.firmware, wanted - loaders.SETS.keys())


def _choices(layers: Layers, config: Config) -> Iterator[Choice]:
    """All that the files say; what is wrong in them is found by whoever reads it in its place."""
    yield config.loader
    entries = [layers.entries(section) for section in (MACHINES, GROUPS, SUBNETS)]
    values = [entry.value for section in entries for entry in section]
    values += [one[DEFAULT] for one in values if isinstance(one, Object) and DEFAULT in one]
    for value in (*values, *(entry.value for entry in layers.target_entries())):
        if isinstance(value, Object) and LOADER in value:
            try:
                yield Choice.parse(value[LOADER])
            except ValueError:
                continue


@dataclass(frozen=True, slots=True)
class Chosen:
    """
    A *word* that somebody chose for *arch*, or for every architecture where that is None.

    *by* tells who, *place* and *path* where it is written, as well as they are known.
    """

    word: str
    arch: Arch | None
    by: str
    place: Place
    path: str = ""

    def arches(self) -> tuple[Arch, ...]:
        """All that it speaks of, one row of each family."""
        return (self.arch,) if self.arch else FIRSTS

    def there(self, library: Library) -> bool:
        """Whether one of them at least would get something."""
        return any(
            library.program(name)
            for arch in self.arches()
            for name in loaders.names(self.word, arch)
        )


#: One row of the table for each family.
FIRSTS: tuple[Arch, ...] = tuple({arch.family: arch for arch in reversed(TABLE.values())}.values())[
    ::-1
]


def chosen(registry: Registry) -> Iterator[Chosen]:
    """Every word that is chosen anywhere; of machines who say the same the first counts for all."""
    home = Place(next(iter(registry.documents), ""))
    setting = registry.config.loader
    yield from _of(setting, "the setting 'loader'", home, "netbootd.loader")
    if not setting.usual:
        yield Chosen(loaders.USUAL, None, "nobody chose another", home)
    for subnet in registry.subnets:
        yield from _of(subnet.loader, f"subnet {subnet.name}", home, path_of(SUBNETS, subnet.name))
    for title, target in registry.targets.items():
        path = path_of("targets", *title.split("/", 1), LOADER)
        yield from _of(target.common.loader, f"target {title}", home, path)
    said: set[tuple[str, str]] = set()
    for machine in _machines(registry):
        if machine.loader != NO_CHOICE:
            for one in _of(
                machine.loader,
                f"machine {machine.written}",
                machine.place,
                path_of(MACHINES, machine.written, LOADER),
            ):
                who = one.word, one.arch.family if one.arch else ""
                if who not in said:
                    said.add(who)
                    yield one


def remarks(registry: Registry) -> Iterator[Finding]:
    """Choices whose file is not there, whatever asks."""
    for one in chosen(registry):
        if one.word != loaders.USUAL and not one.there(registry.library):
            told = f'{one.by} chooses "{one.word}", {_absent(one, registry.library)}'
            yield Finding(Level.WARNING, "loader-missing", told, one.place, one.path)


def _absent(one: Chosen, library: Library) -> str:
    names = [name for arch in one.arches() for name in loaders.names(one.word, arch)]
    if not names:
        return f"which has nothing for {one.arch}"
    if there := next((name for name in names if os.path.isfile(library.root / name)), ""):
        return f"and {there} cannot be read, or is larger than {LARGEST >> 20} MiB"
    source = next((f" ({where})" for name in names if (where := loaders.where_from(name))), "")
    return f"and there is no {' or '.join(dict.fromkeys(names))}{source}"


def _of(choice: Choice, by: str, place: Place, path: str) -> Iterator[Chosen]:
    if choice.usual:
        yield Chosen(choice.usual, None, by, place, path)
    for key, word in choice.by_family.items():
        yield Chosen(word, arch_for(key), by, place, path)


def arch_for(key: str) -> Arch:
    """The row that a key of a choice stands for: a family, one with ``-http``, or a number."""
    if key.isdecimal():
        return arch_of(int(key))
    family, by_http = key.removesuffix("-http"), key.endswith("-http")
    rows = [arch for arch in TABLE.values() if arch.family == family]
    return next((arch for arch in rows if arch.http == by_http), rows[0] if rows else TABLE[0])


def _machines(registry: Registry) -> Iterator[Machine]:
    yield from registry.machines.values()
    yield from registry.cardless
    yield from registry.wildcards.values()
    if registry.default is not None:
        yield registry.default
    yield from (subnet.default for subnet in registry.subnets if subnet.default)
