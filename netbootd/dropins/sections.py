"""The sections of a configuration: their names, and what is wrong at the top level."""

from __future__ import annotations

from collections.abc import Iterator

from netbootd import settings
from netbootd.errors import Finding, Level, Place
from netbootd.nearest import edits, nearest, probably
from netbootd.relaxedjson import Array, Object, Value, kind, path_of

INCLUDES = "includes"
TARGETS = "targets"
MACHINES = "machines"
VMS = "vms"
GROUPS = "groups"
SUBNETS = "subnets"
NAMED = (
    *("boot_servers", "servers", "bootargs", "vars", "scripts"),
    *(TARGETS, GROUPS, SUBNETS, MACHINES, VMS, "netbootd"),
)
"""The sections that are objects: names, or MACs, and an entry for each."""
SECTIONS = (*NAMED, INCLUDES)


def faults(tops: tuple[Object, ...]) -> Iterator[Finding]:
    """What is wrong with the top level of each file, before anybody looks at an entry."""
    unknown: dict[str, Place] = {}
    for top in tops:
        for section, value in top.items():
            if section not in SECTIONS:
                unknown.setdefault(section, top.place_of(section))
            elif section == INCLUDES:
                yield from _pattern_types(top)
            elif not isinstance(value, Object):
                place = top.value_place_of(section)
                yield _wrong_type(Level.ERROR, "an object", value, place, section)
            elif section == TARGETS:
                yield from _target_types(value)
    for section, place in unknown.items():
        level, hint = _unknown_section(section)
        text = f'no section "{section}" is known{hint}'
        yield Finding(level, "unknown-section", text, place, path_of(section))


def _unknown_section(name: str) -> tuple[Level, str]:
    """How bad it is, and what was probably meant."""
    if settings.is_known(name):
        level = Level.RELOAD if name in settings.POLICIES else Level.WARNING
        return level, '; this is a setting: put it into section "netbootd"'
    meant = _nearest_section(name)
    if not meant:
        return Level.WARNING, ""
    hint = f'; did you mean "{meant}"?'
    if meant != probably(name, SECTIONS):  # switched off
        return Level.WARNING, hint
    if meant == SUBNETS:  # who was to be served nothing there would be served
        return Level.ERROR, hint
    # Taken for nothing, it would make strangers of all who stand in it.
    return Level.RELOAD, f"{hint} (what is yours, and not netbootd's, needs another name)"


def _pattern_types(top: Object) -> Iterator[Finding]:
    """``includes`` has to be an array of strings."""
    patterns = top[INCLUDES]
    if not isinstance(patterns, Array):
        place = top.value_place_of(INCLUDES)
        yield _wrong_type(Level.ERROR, "an array of file patterns", patterns, place, INCLUDES)
        return
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str):
            place = patterns.place_of(index)
            yield _wrong_type(Level.ERROR, "a file pattern", pattern, place, INCLUDES, index)


def _target_types(targets: Object) -> Iterator[Finding]:
    """A type of targets which is no object costs its own targets only."""
    for name, value in targets.items():
        if not isinstance(value, Object):
            place = targets.value_place_of(name)
            yield _wrong_type(Level.TARGET, "an object of targets", value, place, TARGETS, name)


def _wrong_type(level: Level, wanted: str, value: Value, place: Place, *path: str | int) -> Finding:
    text = f"must be {wanted}, not {kind(value)}"
    return Finding(level, "section-type", text, place, path_of(*path))


def _nearest_section(name: str) -> str:
    """A known section within two edits of *name* that looks like it; empty for none."""
    close = (known for known in nearest(name, SECTIONS) if edits(name.lower(), known) <= 2)
    return next(close, "")
