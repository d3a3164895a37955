"""
The descriptions that were put by HTTP: files in a folder of the daemon's own, all held in memory.

Reading is a look at ``vms``, which is replaced whole and never changed.  ``put`` and ``remove``
write to the disk and wait for it, so they belong into a thread; they take turns, and each checks
its caller's condition in its turn, so that of two writers with one ETag only one succeeds.  A file
is written beside its place, forced to the disk and renamed: a crash leaves the old or the new one.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from netbootd.errors import Finding, Level, NetbootdError, Place
from netbootd.vms.strict import NotStrict
from netbootd.vms.vm import KEY_RULE, LARGEST, MOST, STORED, Vm, Vms, is_key, make

FOLDER = "vms"
_ENDING = ".json"
_NEW = ".new-"  # how the names of files begin that are not complete yet

#: Asked with the description that is kept under the key now, or None; raises to prevent the change.
Condition = Callable[[Vm | None], None]


class Full(NetbootdError):
    """There are as many descriptions as there may be."""


@dataclass(frozen=True, slots=True)
class Files:
    """
    What was found in a folder: the descriptions, and what is wrong with the other files.

    *paths* are the folder and all its ``*.json`` files.
    """

    vms: tuple[Vm, ...]
    findings: tuple[Finding, ...]
    paths: tuple[str, ...]


def read_folder(folder: Path, level: Level, source: str = "") -> Files:
    """
    The ``*.json`` files of *folder*, which may be missing, in the order of their names.

    Each is a description; a finding of *level* says why where it is none.  *source* is what the
    descriptions get for theirs, empty for the files' own paths.
    """
    vms: list[Vm] = []
    findings: list[Finding] = []
    try:
        names = sorted(name for name in os.listdir(folder) if _counts(name))
    except FileNotFoundError:
        names = []
    except OSError as problem:
        findings.append(_unreadable(folder, problem, level))
        names = []
    if len(names) > MOST:
        told = f"{len(names)} descriptions; there may be {MOST}"
        findings.append(Finding(level, "vm-too-many", told, Place(_shown(folder))))
    for name in names[:MOST]:
        try:
            vms.append(read_file(folder / name, source))
        except NotStrict as problem:
            findings.append(Finding(level, "vm-invalid", problem.text, problem.place))
        except OSError as problem:
            findings.append(_unreadable(folder / name, problem, level))
    paths = (str(folder), *(str(folder / name) for name in names))
    return Files(tuple(vms), tuple(findings), paths)


def _counts(name: str) -> bool:
    return name.endswith(_ENDING) and not name.startswith(".")


def read_file(file: Path, source: str = "") -> Vm:
    """The description in *file*; raises NotStrict where it is none, OSError if not to be read."""
    key, place = file.name.removesuffix(_ENDING), _shown(file)
    if not is_key(key):
        raise NotStrict(f'no name for a description: "{key}"; {KEY_RULE}', Place(place))
    # Not blocking: a FIFO in a file's place would keep us waiting for ever.
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise NotStrict("it is no regular file", Place(place))
        text = opened.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise NotStrict(f"larger than {LARGEST} bytes", Place(place))
    return make(key, text, source or place)


def _unreadable(path: Path, problem: OSError, level: Level) -> Finding:
    told = f"cannot be read: {problem.strerror or problem}"
    return Finding(level, "vm-unreadable", told, Place(_shown(path)))


def _shown(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Store:
    """The descriptions kept in *folder*; ``read`` before anything else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vms = Vms()
        self._turn = threading.Lock()

    def read(self) -> tuple[Finding, ...]:
        """Take in what the folder has, and clear away what was never completed."""
        with self._turn:
            with contextlib.suppress(OSError):
                for left in self.folder.glob(f"{_NEW}*"):
                    left.unlink()
            found = read_folder(self.folder, Level.WARNING, STORED)
            self.vms = Vms(found.vms)
        return found.findings

    def put(self, vm: Vm, condition: Condition) -> bool:
        """
        Keep *vm*, in the place of another of its key; whether it is new.

        Raises OSError, Full, or what *condition* raises; then nothing has changed.
        """
        with self._turn:
            before = self.vms.get(vm.key)
            condition(before)
            if before is None and len(self.vms) >= MOST:
                raise Full(f"there are {MOST} descriptions already")
            after = self.vms.plus(vm)
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(vm)
            self.vms = after
        return before is None

    def remove(self, key: str, condition: Condition) -> None:
        """Forget the description kept under *key*; raises as ``put`` does."""
        with self._turn:
            condition(self.vms.get(key))
            self._file(key).unlink(missing_ok=True)
            self._settle()
            self.vms = self.vms.minus(key)

    def _file(self, key: str) -> Path:
        assert is_key(key), "no path of somebody else's making"
        return self.folder / f"{key}{_ENDING}"

    def _write(self, vm: Vm) -> None:
        new = self.folder / f"{_NEW}{vm.key}"
        with _cleared_away_on_failure(new):
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(vm.text)
                file.flush()
                os.fsync(file.fileno())
            new.rename(self._file(vm.key))
        self._settle()

    def _settle(self) -> None:
        """Force the folder's names to the disk, as far as that can be had: the change is made."""
        with contextlib.suppress(OSError):
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@contextlib.contextmanager
def _cleared_away_on_failure(file: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            file.unlink()
        raise
