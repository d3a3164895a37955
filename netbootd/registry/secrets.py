"""
Secrets that a configuration names: each is read when it is loaded, and again at each reload.

They may stand where free data does, for templates and ``__placeholders__``: in the keys of
machines, groups and targets that mean nothing to netbootd, in ``vars``, in sections of one's own;
in what the section ``vms`` describes; and as the passwords of ``iscsi``.  Elsewhere one is an
error: it would be shown, or do something.  The settings in ``_FILES`` name a file alone, which is
read when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from netbootd import custody
from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import GROUPS, MACHINES, SECTIONS, SUBNETS, TARGETS, VMS
from netbootd.errors import Finding, Level, Place
from netbootd.privilege import User
from netbootd.registry.groups import VARS
from netbootd.registry.targets import KNOWN as OF_TARGETS
from netbootd.relaxedjson import Array, Object, path_of
from netbootd.secretvalues import (
    CREDENTIAL,
    FILE,
    BadSecret,
    NoCredentials,
    Secrets,
    read_credential,
    read_file,
    stand_in,
)
from netbootd.targets.settings import VARIABLES

_NAMES = (FILE, CREDENTIAL)
_PASSWORDS = frozenset({"password", "reverse_password"})
#: How many keys lead to those of an entry.
_FILES = (("netbootd", "ddns", "key"), ("netbootd", "ship", "credentials"))
#: What a description of a virtual machine is found by.
_OF_VMS = frozenset({"uuid", "alias", "brand"})
_DEPTH = {MACHINES: 2, GROUPS: 2, TARGETS: 3}


class Found(NamedTuple):
    """The *secrets*, and the files to *watch*."""

    secrets: Secrets
    watch: tuple[str, ...]


def resolve(
    layers: Layers, folder: Path, known: frozenset[str], report: Callable[[Finding], None]
) -> Found:
    """
    Put stand-ins in the places of all secrets in *layers*, and read them.

    *known* are the keys of machines and groups that mean something.  A *folder* is where relative
    paths begin.  What cannot be read is reported; nobody has a value for it then.
    """
    user = _daemon(layers)
    values: dict[str, str | None] = {}
    watch: dict[str, None] = {}
    for top in layers.tops:
        if not any(f'"{name}"' in top.source.text for name in _NAMES):
            continue  # as nearly all: a hundred thousand machines are not walked through for it
        for owner, key, kind, name, steps in list(_secrets_in(top, ())):
            if steps in _FILES:
                continue
            place, path = _place(owner, key), path_of(*steps)
            if not _may_stand(steps, known):
                text = (
                    f'"{kind}" cannot stand here: it may be the value of a variable (in vars, or a '
                    f"key of your own), a password of iscsi, or stand in a section of your own, or "
                    f"in what a description of vms says"
                )
                report(Finding(Level.RELOAD, "secret-misplaced", text, place, path))
                continue
            file = str(folder / name) if kind == FILE else name
            shown = owner[key] = stand_in(kind, file)  # type: ignore[index]
            if kind == FILE:
                watch[file] = None
            if shown in values:
                continue
            values[shown] = None
            try:
                of_file = kind == FILE
                values[shown] = read_file(Path(file), user) if of_file else read_credential(name)
            except BadSecret as problem:
                level = Level.WARNING if isinstance(problem, NoCredentials) else Level.RELOAD
                report(Finding(level, "secret-unreadable", str(problem), place, path))
    return Found(Secrets(values), tuple(watch))


def _daemon(layers: Layers) -> User:
    """Before the settings are read, which may have secrets as well."""
    section = layers.merged("netbootd")
    name = section.get("user") if section else None
    return custody.of_daemon(name.strip() if isinstance(name, str) else "", layers.main)


def _secrets_in(
    thing: Object | Array, steps: tuple[str | int, ...]
) -> Iterator[tuple[Object | Array, str | int, str, str, tuple[str | int, ...]]]:
    """Each with what it stands in, its key there, its kind, its name, and all keys to it."""
    inside = thing.items() if isinstance(thing, Object) else enumerate(thing)
    for key, value in inside:
        if isinstance(value, Object) and len(value) == 1:
            (kind, name), *_ = value.items()
            if kind in _NAMES and isinstance(name, str):
                yield thing, key, kind, name, (*steps, key)
                continue
        if isinstance(value, Object | Array):
            yield from _secrets_in(value, (*steps, key))


def _place(owner: Object | Array, key: str | int) -> Place:
    return owner.place_of(key)  # type: ignore[arg-type]


def _may_stand(steps: tuple[str | int, ...], known: frozenset[str]) -> bool:
    section, *rest = steps
    if section not in SECTIONS:
        return True
    if section == VARS:
        return True
    if section == VMS:
        return len(rest) > 1 and (len(rest) > 2 or rest[1] not in _OF_VMS)
    if section == SUBNETS:
        return rest[1:2] == [VARS]
    depth = _DEPTH.get(str(section))
    if depth is None or len(steps) <= depth:
        return False
    key, inside = steps[depth], steps[depth + 1 :]
    if key == "iscsi":
        return len(inside) == 1 and inside[0] in _PASSWORDS
    if key == VARS and section != TARGETS:
        return bool(inside)
    return key not in (OF_TARGETS if section == TARGETS else known) - VARIABLES
