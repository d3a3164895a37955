"""
A configuration file with its includes and its folder of drop-ins, read as layers.

What wins over what, highest first:

1. the drop-ins, ``machines.d/*.json`` beside the main file; a later name wins over an earlier one,
   as in systemd's ``.d`` folders, and what netbootd itself wrote (``managed-*.json``) over all that
   is written by hand: a change by command or web page is to count.  Names that begin with a dot or
   end in ``~`` are left alone;
2. the main file;
3. what it includes, an earlier include over a later one.

A drop-in or an included file may include further ones, which come directly behind it.  ``includes``
is Config::JSON's: an array of file patterns.  Here they are relative to the folder of the file that
names them (there to the working directory), what a pattern matches is taken in the order of its
names, and a file named twice counts where it is named first.

Sections are merged entry by entry: each machine, each target, each name is taken whole from the
highest layer that has it.  Nothing here knows what an entry means.

Everything is read before anything is refused, so that one syntax error does not hide another.

Files may be *pending*: not written yet, but read as if they were, to see what would come of it.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from netbootd import custody, settings
from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.mac import MAC
from netbootd.nearest import nearest, probably
from netbootd.relaxedjson import Array, Object, Value, decode, kind, path_of

FOLDER = "machines.d"
#: How the names of drop-ins begin that netbootd wrote.
MANAGED = "managed-"
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
#: Bytes of one file: a hundred thousand machines are a tenth of it.
LARGEST = 256 << 20
SECTIONS = (*NAMED, INCLUDES)

#: What files in the folder of drop-ins are about to hold, None for those that are about to go.
Pending = Mapping[Path, bytes | None]
NOTHING_PENDING: Pending = MappingProxyType({})


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
        name = _printable(self.main)
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


def read(main: Path) -> Layers:
    """The layers of *main*; raises ConfigErrors with every finding if one of them is an ERROR."""
    layers = survey(main)
    if any(finding.level is Level.ERROR for finding in layers.findings):
        raise ConfigErrors(layers.findings)
    return layers


def survey(main: Path, pending: Pending = NOTHING_PENDING) -> Layers:
    """
    The layers of *main*, with what is *pending*, as far as they can be read; never raises.

    For those who watch the files of a configuration that was refused, or check what is left of it.
    """
    reading = _Reading(main, pending)
    reading.take_drop_ins(main.parent / FOLDER)
    reading.take(_Named(main))
    layers = reading.layers()
    found = (*layers.findings, *_meaning(layers.tops), *_overridden(layers))
    return Layers(main, layers.tops, layers.files, found)


# --- reading -------------------------------------------------------------------------------------


class _Named(NamedTuple):
    """A file to read, the place that names it, and the files which led there."""

    file: Path
    by: Place | None = None
    path: str = ""
    chain: tuple[Path, ...] = ()


class _Reading:
    """What was read so far, in order of precedence."""

    def __init__(self, main: Path, pending: Pending) -> None:
        self.main = main
        self.pending = pending
        self.tops: list[Object] = []
        self.findings: list[Finding] = []
        self.files: dict[str, None] = {str(main): None}
        self.seen: set[str] = set()

    def layers(self) -> Layers:
        return Layers(self.main, tuple(self.tops), tuple(self.files), tuple(self.findings))

    def take_drop_ins(self, folder: Path) -> None:
        """Read the drop-ins of *folder*, the last name first; a missing folder has none."""
        self._watch(folder)
        try:
            names = {name for name in os.listdir(folder) if _is_drop_in(name)}
        except FileNotFoundError:
            names = set()
        except OSError as problem:
            self._unreadable(_Named(folder), problem)
            return
        for file, content in self.pending.items():
            (names.discard if content is None else names.add)(file.name)
        for name in sorted(names, key=_precedence, reverse=True):
            self.take(_Named(folder / name))

    def take(self, first: _Named) -> None:
        """Read a file and all that it includes, each file behind the one that names it."""
        waiting = [first]
        while waiting:
            named = waiting.pop()
            if self._is_new(named) and (top := self._top(named)) is not None:
                self.tops.append(top)
                waiting += reversed(list(self._included(top, named)))

    def _is_new(self, named: _Named) -> bool:
        """Whether the file was not read before; one that includes itself is an error."""
        identity = os.path.realpath(named.file)
        if identity in map(os.path.realpath, named.chain):
            circle = " -> ".join(map(_printable, (*named.chain, named.file)))
            text = f"the includes go in a circle: {circle}"
            self._say(Level.ERROR, "include-cycle", text, named.by or Place(""), named.path)
        is_new = identity not in self.seen
        self.seen.add(identity)
        return is_new

    def _top(self, named: _Named) -> Object | None:
        """The document of a file, or None and the reason among the findings."""
        self._watch(named.file)
        try:
            held = self.pending.get(named.file)
            raw = bytes_of(named.file) if held is None else held
            document = decode(raw, _printable(named.file))
        except OSError as problem:
            self._unreadable(named, problem)
            return None
        except ConfigErrors as problem:
            self.findings.extend(problem.findings)
            return None
        self.findings.extend(document.findings)
        if isinstance(document.value, Object):
            return document.value
        text = f"the document must be an object, not {kind(document.value)}"
        self._say(Level.ERROR, "top-not-object", text, document.place)
        return None

    def _included(self, top: Object, named: _Named) -> Iterator[_Named]:
        """The files that *top* includes, the highest precedence first."""
        patterns = top.get(INCLUDES)
        for index, pattern in enumerate(patterns if isinstance(patterns, Array) else ()):
            assert isinstance(patterns, Array)
            if isinstance(pattern, str):
                place, path = patterns.place_of(index), path_of(INCLUDES, index)
                for found in self._matches(pattern, named.file.parent, place, path):
                    yield _Named(found, place, path, (*named.chain, named.file))

    def _matches(self, pattern: str, folder: Path, place: Place, path: str) -> list[Path]:
        """The files that *pattern* means, in the order of their names; warns if there are none."""
        fixed = takewhile(lambda part: not glob.has_magic(part), Path(pattern).parent.parts)
        self._watch(folder.joinpath(*fixed))
        names = [] if "\0" in pattern else sorted(glob.glob(pattern, root_dir=folder))
        if not names:
            text = f'no file matches "{pattern}" in {_printable(folder)}'
            self._say(Level.WARNING, "include-empty", text, place, path)
        for name in names:
            self._watch((folder / name).parent)
        return [folder / name for name in names]

    def _unreadable(self, named: _Named, problem: OSError) -> None:
        text = f"cannot be read: {problem.strerror or problem}"
        if isinstance(problem, PermissionError):
            text = custody.refused(named.file)
        by = f"; included at {named.by}" if named.by else ""
        self._say(Level.ERROR, "file-read", text + by, Place(_printable(named.file)))

    def _watch(self, path: Path) -> None:
        self.files[str(path)] = None

    def _say(self, level: Level, code: str, text: str, place: Place, path: str = "") -> None:
        self.findings.append(Finding(level, code, text, place, path))


def bytes_of(file: Path) -> bytes:
    """
    All of a regular file; a FIFO or device in its place would keep us waiting for ever.

    Raises OSError.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            kind_of_file = "a directory" if file.is_dir() else "no regular file"
            raise OSError(errno.EINVAL, f"it is {kind_of_file}")
        if (size := os.fstat(descriptor).st_size) > LARGEST:
            told = f"it has {size >> 20} MiB, and may have {LARGEST >> 20}"
            raise OSError(errno.EFBIG, told)
        return opened.read()


def _printable(file: Path) -> str:
    """The name of *file*, where bytes that are not UTF-8 would break the printing of it."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def _is_drop_in(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _precedence(name: str) -> tuple[bool, str]:
    return name.startswith(MANAGED), name


# --- what the layers mean ------------------------------------------------------------------------


def _meaning(tops: tuple[Object, ...]) -> Iterator[Finding]:
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
    close = (known for known in nearest(name, SECTIONS) if _edits(name.lower(), known) <= 2)
    return next(close, "")


def _edits(one: str, other: str) -> int:
    """How many characters have to be added, dropped or replaced between the two (Levenshtein)."""
    row = list(range(len(other) + 1))
    for count, character in enumerate(one, 1):
        above, row = row, [count]
        for index, wanted in enumerate(other):
            replaced = above[index] + (character != wanted)
            row.append(min(replaced, above[index + 1] + 1, row[index] + 1))
    return row[-1]


def _overridden(layers: Layers) -> Iterator[Finding]:
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
