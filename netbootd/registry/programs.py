"""
The boot programs of a configuration, and what of those that it chooses is not there.

Which of them a machine gets is said by ``loader``, in many places: all the words are collected here
once, so that nobody has to look at the disk for one later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from netbootd import loaders
from netbootd.arch import TABLE, Arch, arch_of
from netbootd.config import Config
from netbootd.content import Library
from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import GROUPS, MACHINES, SUBNETS, TARGETS
from netbootd.errors import Finding, Level, Place
from netbootd.loaders import Choice
from netbootd.printable import counted
from netbootd.programs import LARGEST, Program, find_programs
from netbootd.registry.entries import DEFAULT, Kind
from netbootd.registry.machines import Machines
from netbootd.registry.targets import Targets
from netbootd.relaxedjson import Object, path_of
from netbootd.sums import NAME, Sums
from netbootd.targets.settings import LOADER

#: The setting that names folders of boot programs.
FIRMWARE = "firmware"


def absent_folders(layers: Layers, config: Config) -> Iterator[Finding]:
    """Folders that ``firmware`` names and that are not there; the usual ones need not be."""
    settings = layers.merged("netbootd")
    for folder in config.firmware:
        if settings and folder not in Config().firmware and not folder.is_dir():
            told = f'"{FIRMWARE}": there is no folder {folder}'
            place, path = settings.place_of(FIRMWARE), path_of("netbootd", FIRMWARE)
            yield Finding(Level.WARNING, "folder-missing", told, place, path)


def find(layers: Layers, config: Config, found: Callable[[Finding], None]) -> dict[str, Program]:
    """Every program of the folders and the file root that could be asked for by name."""
    wanted = {word for choice in _choices(layers, config) for word in choice.words}
    sums = Sums()
    programs = find_programs(config.files, config.firmware, wanted - loaders.SETS.keys(), sums)
    altered = (_altered(program) for program in programs.values() if program.altered)
    for fault in (*sums.faults, *altered):
        found(fault)
    return programs


def _altered(program: Program) -> Finding:
    told = (
        f"has SHA-256 {program.sha256}, and {NAME} lists {program.listed}: it is refused;"
        f" put the right file there, or renew the list (sha256sum)"
    )
    return Finding(Level.RELOAD, "loader-altered", told, Place(str(program.path)))


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

_PCS = frozenset({"bios", "efi-x64"})


def chosen(
    config: Config, layers: Layers, machines: Machines, targets: Targets
) -> Iterator[Chosen]:
    """Every word that is chosen anywhere; of machines who say the same the first counts for all."""
    settings = layers.merged("netbootd")
    written = settings is not None and LOADER in settings
    home = settings.place_of(LOADER) if settings and written else layers.place
    yield from _of(config.loader, "the setting 'loader'", home, path_of("netbootd", LOADER))
    if not config.loader.usual:
        yield Chosen(loaders.USUAL, None, "nobody chose another", home)
    for key, subnet in {one.key.strip(): one for one in layers.entries(SUBNETS)}.items():
        yield from _said(subnet.value, f"subnet {key}", SUBNETS, subnet.key)
    for type_, named in targets.written.items():
        for name, target in named.items():
            yield from _said(target, f"target {type_}/{name}", TARGETS, type_, name)
    members = machines.members
    for name, group in machines.groups.written.items():
        by = f"group {name} ({counted(members[name], 'machine')})"
        yield from _said(group, by, GROUPS, name)
    yield from _of_entries(machines)


def _of_entries(machines: Machines) -> Iterator[Chosen]:
    """What entries say themselves; a thousand of them may say the same."""
    found: dict[tuple[str, Arch | None], list[Chosen]] = {}
    for who, entry in machines.entries.items():
        if not isinstance(entry.value, Object) or LOADER not in entry.value:
            continue
        by = f"machine {who if entry.kind is Kind.DEFAULT else entry.key}"
        for one in _said(entry.value, by, *entry.where, entry.key):
            found.setdefault((one.word, one.arch), []).append(one)
    for first, *others in found.values():
        more = f" (and {len(others)} more)" if others else ""
        yield replace(first, by=first.by + more)


def _said(value: Any, by: str, *steps: str) -> Iterator[Chosen]:
    """The words of an object, and nothing of what is wrong in it."""
    if isinstance(value, Object) and LOADER in value:
        with suppress(ValueError):
            choice = Choice.parse(value[LOADER])
            yield from _of(choice, by, value.place_of(LOADER), path_of(*steps, LOADER))


def remarks(all_chosen: Iterable[Chosen], library: Library) -> Iterator[Finding]:
    """Choices whose file is not there, whatever asks."""
    for one in all_chosen:
        if one.word != loaders.USUAL and not one.there(library):
            told = f'{one.by} chooses "{one.word}", {_absent(one, library)}'
            yield Finding(Level.WARNING, "loader-missing", told, one.place, one.path)


def _absent(one: Chosen, library: Library) -> str:
    """Most machines are PCs: of others there need not be any."""
    by_arch = {arch: names for arch in one.arches() if (names := loaders.names(one.word, arch))}
    if not by_arch:
        return f"which has nothing for {one.arch}"
    usual = [own for arch, own in by_arch.items() if arch.family in _PCS]
    asked = [name for own in usual or by_arch.values() for name in own]
    if refused := next((name for name in asked if library.refuses(name)), ""):
        return f"and {refused} is not what {NAME} lists"
    if there := next((name for name in asked if os.path.isfile(library.root / name)), ""):
        return f"and {there} cannot be read, or is larger than {LARGEST >> 20} MiB"
    source = next((f" ({where})" for name in asked if (where := loaders.where_from(name))), "")
    others = [arch.name for arch, own in by_arch.items() if not set(own) <= set(asked)]
    more = f"; nor one for {', '.join(others)}, which is no harm where there are none"
    return f"and there is no {' or '.join(dict.fromkeys(asked))}{source}{more if others else ''}"


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
