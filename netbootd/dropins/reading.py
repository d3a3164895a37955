"""
Reads the files of a configuration: the drop-ins, the main file, and all that is included.

``includes`` is Config::JSON's: an array of file patterns.  Here they are relative to the folder of
the file that names them (there to the working directory), what a pattern matches is taken in the
order of its names, and a file named twice counts where it is named first.

Everything is read before anything is refused, so that one syntax error does not hide another.

Files may be *pending*: not written yet, but read as if they were, to see what would come of it.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from netbootd import custody
from netbootd.dropins.layers import Layers, name_of, overridden
from netbootd.dropins.sections import INCLUDES, faults
from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.relaxedjson import Array, Object, decode, kind, path_of

FOLDER = "machines.d"
#: How the names of drop-ins begin that netbootd wrote.
MANAGED = "managed-"
#: Bytes of one file: a hundred thousand machines are a tenth of it.
LARGEST = 256 << 20

#: What files in the folder of drop-ins are about to hold, None for those that are about to go.
Pending = Mapping[Path, bytes | None]
NOTHING_PENDING: Pending = MappingProxyType({})


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
    found = (*layers.findings, *faults(layers.tops), *overridden(layers))
    return Layers(main, layers.tops, layers.files, found)


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
            circle = " -> ".join(map(name_of, (*named.chain, named.file)))
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
            document = decode(raw, name_of(named.file))
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
            text = f'no file matches "{pattern}" in {name_of(folder)}'
            self._say(Level.WARNING, "include-empty", text, place, path)
        for name in names:
            self._watch((folder / name).parent)
        return [folder / name for name in names]

    def _unreadable(self, named: _Named, problem: OSError) -> None:
        text = f"cannot be read: {problem.strerror or problem}"
        if isinstance(problem, PermissionError):
            text = custody.refused(named.file)
        by = f"; included at {named.by}" if named.by else ""
        self._say(Level.ERROR, "file-read", text + by, Place(name_of(named.file)))

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


def _is_drop_in(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _precedence(name: str) -> tuple[bool, str]:
    return name.startswith(MANAGED), name
