"""
The fragments of node scripts: those of the folder ``scripts/`` beside the configuration over the
built-in ones, read and compiled when the configuration is loaded; and which machine runs which.

Names are looked up as they stand and with ``.j2``, ``.sh`` and ``.sh.j2`` behind them; what ends in
``.j2`` is rendered for each machine.  A template may include others of the folder as
``scripts/NAME``, and ours as ``netbootd/NAME``; nothing else.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import GROUPS, MACHINES, TARGETS
from netbootd.errors import Finding, Level, Place, RenderError
from netbootd.nearest import did_you_mean
from netbootd.registry.facts import everybody, for_a_look
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import Array, Object, Value, kind, path_of
from netbootd.rendering import SUFFIX, compile_later, compile_together
from netbootd.scripts import network
from netbootd.scripts.interfaces import VARIABLE
from netbootd.scripts.script import Fragment, Piece, node_script
from netbootd.targets.base import Facts
from netbootd.targets.notice import Notice

SECTION = "scripts"
#: Beside the configuration.
FOLDER = "scripts"
#: In the section, for the machines of every type.
ALL = "*"
#: In a list, what a machine gets where nothing is named at all.
DEFAULT = "default"
#: The built-in fragments of the default, each with the variables one of which a machine must have.
_DEFAULTS = {
    "hostname": ("hostname",),
    "hosts": ("hostname", "hosts"),
    "network": ("interfaces",),
    "dns": ("dns",),
    "ntp": ("ntp",),
    "timezone": ("timezone",),
    "modules": ("modules",),
    "mounts": ("mounts",),
    "ssh_keys": ("ssh_keys",),  # in homes, which may be mounts
    "syslog": ("syslog",),
}
_VMS = "smartos-vms"
_OURS = "netbootd/"
_ENDINGS = ("", SUFFIX, ".sh", ".sh" + SUFFIX)
_BUILT_IN = Path(network.__file__).parent / "fragments"
_LARGEST = 1 << 20  # bytes of one fragment


Report = Callable[[Finding], None]


class Found(NamedTuple):
    """*fragments* by name, *lists* of names by type, and the files and folders to *watch*."""

    fragments: Mapping[str, Fragment]
    lists: Mapping[str, tuple[str, ...]]
    watch: tuple[str, ...]


def survey(layers: Layers, folder: Path, report: Report) -> Found:
    """
    The section ``scripts``, and the fragments of *folder* over the built-in ones.

    What is wrong with them is reported, names that stand for nothing among it.
    """
    own, watch = _own(folder / FOLDER, report)
    fragments = {**built_in(), **own}
    for name, place, path in _named(layers):
        if name not in fragments and name != DEFAULT:
            told = f'there is no script fragment "{name}"{did_you_mean(name, sorted(fragments))}'
            report(Finding(Level.RELOAD, "script-unknown", told, place, path))
    return Found(fragments, _lists(layers, report), watch)


def _named(layers: Layers) -> Iterator[tuple[str, Place, str]]:
    """Every name of a fragment, with its place and path."""
    for key, entry in {entry.key: entry for entry in layers.entries(SECTION)}.items():
        yield from _names_in(entry.value, entry.owner.place_of(key), path_of(SECTION, key))
    targets = {(entry.kind, entry.name): entry for entry in layers.target_entries()}
    for (kind_, name), target in targets.items():
        yield from _names_under(target.value, TARGETS, kind_, name)
    for section in (GROUPS, MACHINES):
        for key, entry in {entry.key: entry for entry in layers.entries(section)}.items():
            yield from _names_under(entry.value, section, key)


def _names_under(value: Value, *steps: str) -> Iterator[tuple[str, Place, str]]:
    if isinstance(value, Object) and SECTION in value:
        path = path_of(*steps, SECTION)
        yield from _names_in(value[SECTION], value.place_of(SECTION), path)


def _names_in(value: Value, place: Place, path: str) -> Iterator[tuple[str, Place, str]]:
    if isinstance(value, str):
        yield value.strip(), place, path
    elif isinstance(value, Array):
        for index, name in enumerate(value):
            if isinstance(name, str):
                yield name.strip(), value.place_of(index), f"{path}[{index}]"


@functools.cache
def built_in() -> Mapping[str, Fragment]:
    """The fragments that come with netbootd."""
    named = {
        path.removeprefix(_OURS).removesuffix(_ENDINGS[-1]): text
        for path, text in compile_later(_built_in_texts()).items()
        if path.endswith(SUFFIX)
    }
    return {name: Fragment(name, "built in", text) for name, text in named.items()}


@functools.cache
def _built_in_texts() -> Mapping[str, str]:
    return {f"{_OURS}{path.name}": path.read_text() for path in sorted(_BUILT_IN.iterdir())}


def _own(folder: Path, report: Report) -> tuple[dict[str, Fragment], tuple[str, ...]]:
    texts: dict[str, str] = {}
    watch = [folder]
    for path in _walk(folder, report):
        watch.append(path)
        text = _text(path, folder, report) if not path.is_dir() else None
        if text is not None:
            texts[f"{FOLDER}/{path.relative_to(folder)}"] = text
    return _fragments(texts), tuple(map(str, watch))


def _walk(folder: Path, report: Report) -> Iterator[Path]:
    """Everything in *folder*, in order; what editors leave and what is hidden is left out."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as problem:
        report(_unreadable(folder, problem.strerror or str(problem)))
        return
    for name in names:
        path = folder / name
        if name.startswith((".", "#")) or name.endswith("~"):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, report)


def _text(path: Path, folder: Path, report: Report) -> str | None:
    """The text of a file; None, and a finding, where that cannot be had."""
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()):
            raise ValueError(f"it is a link that leaves {folder}")
        if not path.is_file():
            raise ValueError("it is no regular file")
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} bytes")
        return path.read_bytes().decode()
    except UnicodeDecodeError as problem:
        report(_unreadable(path, f"it is no text in UTF-8: {problem.reason}"))
    except (OSError, ValueError) as problem:
        report(_unreadable(path, getattr(problem, "strerror", None) or str(problem)))
    return None


def _unreadable(path: Path, told: str) -> Finding:
    return Finding(Level.RELOAD, "script-unreadable", told, Place(str(path)))


def _fragments(texts: Mapping[str, str]) -> dict[str, Fragment]:
    """*texts* under each name that stands for them; templates where they end in ``.j2``."""
    ours = _built_in_texts() if any(_OURS in text for text in texts.values()) else {}
    compiled = compile_together({**ours, **texts})
    found: dict[str, Fragment] = {}
    for ending in _ENDINGS:  # a name as it stands comes first
        for path, text in texts.items():
            name = path.removeprefix(f"{FOLDER}/").removesuffix(ending)
            if path.endswith(ending) and not name.endswith(SUFFIX):
                content = compiled[path] if path.endswith(SUFFIX) else text
                found.setdefault(name, Fragment(name, path, content))
    return found


def _lists(layers: Layers, report: Report) -> dict[str, tuple[str, ...]]:
    found = {}
    for key, entry in {entry.key.strip(): entry for entry in layers.entries(SECTION)}.items():
        names = entry.value if isinstance(entry.value, list) else [entry.value]
        if not all(isinstance(name, str) and name.strip() for name in names):
            told = f"must be a name or an array of names, not {kind(entry.value)}"
            place = entry.owner.place_of(entry.key)
            path = path_of(SECTION, entry.key)
            report(Finding(Level.RELOAD, "section-type", told, place, path))
            continue
        found[key] = tuple(str(name).strip() for name in names)
    return found


# -- which machine runs which ----------------------------------------------------------------------


def build(machine: Machine, facts: Facts, registry: Registry) -> str:
    """The node script of *machine*; raises RenderError, which names file and line."""
    return node_script(pieces(machine, registry), facts)


def trouble(registry: Registry, machine: Machine, facts: Facts, boot_script: str) -> str:
    """
    Why *machine* cannot have its script, where its system is one that will ask for it.

    Tried only where the configuration is known to have such a fault: a storm of boots must not pay
    for it.
    """
    suspect = any(finding.code.startswith("script-") for finding in registry.findings)
    if not suspect or not (facts.overlay or "/scripts/" in boot_script):
        return ""
    try:
        build(machine, facts, registry)
    except RenderError as problem:
        return f"its script has an error: {problem}"
    return ""


def pieces(machine: Machine, registry: Registry) -> list[Piece]:
    """
    What *machine* runs, in order: what is named for all machines, its type, its target, itself.

    A name that comes twice runs once, where it comes first.  Raises RenderError for one that stands
    for nothing.
    """
    found: dict[str, Piece] = {}
    for part, name in _names_of(machine, registry):
        if name not in registry.fragments:
            raise RenderError(f'there is no script fragment "{name}"')
        found.setdefault(name, Piece(part, registry.fragments[name]))
    return list(found.values())


def _names_of(machine: Machine, registry: Registry) -> Iterator[tuple[str, str]]:
    """The part of the configuration that names a fragment, and the fragment."""
    lists = [(part, names) for part, names in _lists_of(machine, registry) if names]
    for part, names in lists or [("by default", (DEFAULT,))]:
        for name in names:
            meant = _default(machine, registry) if name == DEFAULT else (name,)
            yield from ((part, one) for one in meant)


def _lists_of(machine: Machine, registry: Registry) -> Iterator[tuple[str, tuple[str, ...]]]:
    type_ = machine.title.partition("/")[0]
    yield "all machines", registry.script_lists.get(ALL, ())
    yield f"type {type_}", registry.script_lists.get(type_, ())
    yield f"target {machine.title}", machine.target.common.scripts
    yield f"machine {machine.mac}", machine.scripts


def _default(machine: Machine, registry: Registry) -> list[str]:
    variables = registry.variables_of(machine)
    names = [name for name, wanted in _DEFAULTS.items() if any(one in variables for one in wanted)]
    return [*names, _VMS] if machine.vms and machine.title.startswith("smartos/") else names


# -- whether they are right ------------------------------------------------------------------------


def remarks(registry: Registry) -> list[Finding]:
    """What is wrong with ``interfaces`` of any machine, and the script of one of each kind."""
    found = [fault for one in _networked(registry) for fault in _faults_of_network(one, registry)]
    return [*found, *faults(registry, one_of_each_kind(registry))]


def _networked(registry: Registry) -> Iterable[Machine]:
    """A machine for each ``interfaces`` that our fragment reads; many may share theirs."""
    ours = {kind_ for kind_, one in _kinds(registry).items() if _runs_our_network(one, registry)}
    found: dict[Place, Machine] = {}
    for machine in scripted(registry) if ours else ():
        if _kind_of(machine) in ours:
            written = registry.variables_of(machine)[VARIABLE]
            found.setdefault(_place_of(written, ()) or machine.place, machine)
    return found.values()


def one_of_each_kind(registry: Registry) -> list[Machine]:
    """A machine for each set of fragments and variables that there is."""
    return list(_kinds(registry).values())


def _kinds(registry: Registry) -> dict[object, Machine]:
    kinds: dict[object, Machine] = {}
    for machine in scripted(registry):
        kinds.setdefault(_kind_of(machine), machine)
    return kinds


def _kind_of(machine: Machine) -> object:
    """Equal for machines that run the same fragments with the same names."""
    return id(machine.target), machine.scripts, bool(machine.vms), frozenset(machine.variables)


def _runs_our_network(machine: Machine, registry: Registry) -> bool:
    name, (ours, used) = "network", (built_in(), registry.fragments)
    runs = any(name == one for _, one in _names_of(machine, registry))
    return runs and used[name] is ours[name] and VARIABLE in registry.variables_of(machine)


def scripted(registry: Registry) -> Iterator[Machine]:
    """Every machine that may ask for a script; one stands for all that are not listed."""
    for machine in everybody(registry):
        if not isinstance(machine.target, Notice):
            yield machine


def faults(registry: Registry, machines: Iterable[Machine]) -> list[Finding]:
    """What comes up when the scripts of *machines* are made; each fault once."""
    found: dict[str, tuple[Machine, int]] = {}
    for machine in machines:
        if any(name not in registry.fragments for _, name in _names_of(machine, registry)):
            continue  # which was said with the place of the name
        try:
            build(machine, for_a_look(machine, registry), registry)
        except RenderError as problem:
            first, count = found.get(str(problem), (machine, 0))
            found[str(problem)] = first, count + 1
    return [_told_of(told, *whose) for told, whose in found.items()]


def _told_of(told: str, first: Machine, count: int) -> Finding:
    key = str(first.mac) if first.known else "default"
    more = f" and {count - 1} more" if count > 1 else ""
    text = f"{key} ({first.title}){more}: {told}"
    return Finding(Level.RELOAD, "script-error", text, first.place, path_of(MACHINES, key))


def _faults_of_network(machine: Machine, registry: Registry) -> Iterator[Finding]:
    """What is wrong with its ``interfaces``."""
    interfaces = registry.variables_of(machine)[VARIABLE]
    for fault in network.faults(for_a_look(machine, registry)):
        level = Level.WARNING if fault.ignored else Level.RELOAD
        place = _place_of(interfaces, fault.path) or machine.place
        path = path_of(VARIABLE, *fault.path)
        yield Finding(level, "interfaces", f"{machine.mac}: {fault.text}", place, path)


def _place_of(value: Any, steps: tuple[str, ...]) -> Place | None:
    """The place of the key at the end of *steps*; None where it was not read from a file."""
    place = value.place if isinstance(value, Object) else None
    for step in steps:
        if not isinstance(value, Object) or step not in value:
            break
        place, value = value.place_of(step), value[step]
    return place
