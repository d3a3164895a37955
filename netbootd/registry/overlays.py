"""
The folders of ``overlays/``: what is laid over the root of machines, read when the configuration is
loaded.  No request reads a file or compiles a template of them.

Only those that a target or machine names are read.  One with a fault is used by nobody: half of
what an admin wrote is worse on a machine than a boot that says why it does not go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from netbootd.errors import Finding, Level, Place, RenderError
from netbootd.nearest import did_you_mean
from netbootd.overlay import tree
from netbootd.overlay.initrd import Unfit, initrd
from netbootd.overlay.tree import Fault, Tree
from netbootd.pieces import Pieces
from netbootd.registry.facts import everybody, for_a_look
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import path_of
from netbootd.rendering import told_at
from netbootd.targets.base import Facts, Target
from netbootd.targets.notice import Notice

#: Beside the configuration.
FOLDER = "overlays"
#: In no file of an overlay: what is wrong is in the machine's entry.
_NOWHERE = Place("")

Report = Callable[[Finding], None]


class Found(NamedTuple):
    """*trees* by name, and the files and folders to *watch*."""

    trees: dict[str, Tree]
    watch: tuple[str, ...]


def survey(folder: Path, wanted: Mapping[str, Place], report: Report) -> Found:
    """
    The overlays *wanted*, each with the place that names it, from *folder*.

    What is wrong with them is reported.
    """
    trees: dict[str, Tree] = {}
    watch = [folder] if wanted else []
    for name, place in wanted.items():
        faults: list[Fault] = []
        try:
            found = tree.read(_folder_of(name, folder), faults)
        except OSError as problem:
            told = _missing(name, folder, problem)
            report(Finding(Level.RELOAD, "overlay-unknown", told, place, path_of("overlays", name)))
            continue
        for fault in faults:
            report(_finding(fault))
        reason = f'overlay "{name}" has a fault: {faults[0].text}' if faults else ""
        trees[name] = replace(found, broken=reason)
        watch += found.read
    return Found(trees, tuple(map(str, watch)))


def named(
    targets: Mapping[str, Target], place_of: Callable[[str], Place], machines: Iterable[Machine]
) -> dict[str, Place]:
    """Every overlay that a target or machine names, with the first place that does."""
    found: dict[str, Place] = {}
    for title, target in targets.items():
        for name in target.common.overlays:
            found.setdefault(name, place_of(title))
    for machine in machines:
        for name in names_of(machine):
            found.setdefault(name, machine.place)
    return found


def _folder_of(name: str, folder: Path) -> Path:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise NotADirectoryError(f"{name!r} is no name of a folder")
    return folder / name


def _missing(name: str, folder: Path, problem: OSError) -> str:
    if isinstance(problem, NotADirectoryError):
        return f'overlay "{name}" must be a folder in {folder}, and no link'
    if not isinstance(problem, FileNotFoundError):
        return f'overlay "{name}" in {folder}: {problem.strerror}'
    try:
        known = sorted(path.name for path in folder.iterdir() if path.is_dir())
    except OSError:
        known = []
    return f'there is no overlay "{name}" in {folder}{did_you_mean(name, known)}'


def _finding(fault: Fault) -> Finding:
    place, told = Place(str(fault.file)), fault.text
    if fault.code == "template-error" and told.startswith(str(fault.file)):
        place, told = told_at(RenderError(told))
    return Finding(Level.RELOAD, fault.code, told, place)


def names_of(machine: Machine) -> tuple[str, ...]:
    """Its target's overlays and then its own; the later lie over the earlier."""
    return tuple(dict.fromkeys((*machine.target.common.overlays, *machine.overlays)))


def build(machine: Machine, facts: Facts, registry: Registry) -> Pieces:
    """The extra initrd of *machine*; raises RenderError, which names file and line."""
    names = names_of(machine)
    if missing := next((name for name in names if name not in registry.overlays), None):
        raise RenderError(f'there is no overlay "{missing}"')
    trees = [registry.overlays[name] for name in names]
    if broken := next((one.broken for one in trees if one.broken), None):
        raise RenderError(broken)
    return initrd(facts, trees, machine.target.overlay_size)


def trouble(registry: Registry, machine: Machine, facts: Facts, script: str) -> str | None:
    """Why the extra initrd that the boot *script* loads cannot be made, or None."""
    if facts.overlay_url not in script:
        return None
    try:
        build(machine, facts, registry)
    except RenderError as problem:
        return f"its overlay has an error: {problem}"
    return None


# -- whether they are right ------------------------------------------------------------------------


def remarks(registry: Registry) -> list[Finding]:
    """What is wrong with the extra initrd of one machine of each kind."""
    kinds: dict[object, Machine] = {}
    for machine in overlaid(registry):
        kind = id(machine.target), machine.overlays, frozenset(machine.variables)
        kinds.setdefault(kind, machine)
    return faults(registry, kinds.values())


def overlaid(registry: Registry) -> Iterator[Machine]:
    """Every machine with an extra initrd; one stands for all that are not listed."""
    for machine in everybody(registry):
        if is_overlaid(machine):
            yield machine


def is_overlaid(machine: Machine) -> bool:
    """Whether it has an extra initrd."""
    wants = machine.overlays or machine.target.wants_overlay
    return bool(wants) and not isinstance(machine.target, Notice)


def faults(registry: Registry, machines: Iterable[Machine]) -> list[Finding]:
    """What comes up when the extra initrds of *machines* are made; each fault once."""
    found: dict[tuple[Place, str], tuple[Machine, int]] = {}
    for machine in machines:
        if all(_is_whole(name, registry) for name in names_of(machine)):
            try:
                build(machine, for_a_look(machine, registry), registry)
            except Unfit as problem:
                where = _NOWHERE, str(problem)
            except RenderError as problem:
                where = told_at(problem)
            else:
                continue
            first, count = found.get(where, (machine, 0))
            found[where] = first, count + 1
    return [_told_of(*where, *whose) for where, whose in found.items()]


def _is_whole(name: str, registry: Registry) -> bool:
    """What is not was said when it was read."""
    return name in registry.overlays and not registry.overlays[name].broken


def _told_of(place: Place, told: str, first: Machine, count: int) -> Finding:
    key = str(first.mac) if first.known else "default"
    more = f" and {count - 1} more" if count > 1 else ""
    place = first.place if place == _NOWHERE else place
    text = f"{key} ({first.title}){more}: {told}"
    return Finding(Level.RELOAD, "overlay-error", text, place, path_of("machines", key))
