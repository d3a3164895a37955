"""
Several files of one folder, written all or none, whatever happens in between.

Each new content is first a file of its own whose name begins with a dot, which nobody reads as a
drop-in.  Then a list of them is written: from there on it is decided.  Then each gets its name, and
the list goes last.  If that fails, what was done is taken back; if we die, ``finish`` at the next
start does the rest of the list.

::

    .netbootd-new-NAME    what NAME is to hold
    .netbootd-old-NAME    what it held, a second link to that file
    .netbootd-batch       the list: {NAME: true, or false for one that goes}

The order of it (content, then name, then folder) is that of rename(2) and fsync(2): after a loss of
power there is the old file or the new one, never half of it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

LIST = ".netbootd-batch"
_NEW = ".netbootd-new-"
_OLD = ".netbootd-old-"

#: What tells one state of a file from another; None where there is none.
Stamp = tuple[int, int, int] | None


class Changed(Exception):
    """A file is not any more what it was when it was looked at; nothing was written."""


def stamp(file: Path) -> Stamp:
    """The state of *file*."""
    try:
        status = os.stat(file)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def write(
    folder: Path,
    files: Mapping[str, bytes | None],
    mode: int,
    before: Mapping[str, Stamp],
) -> None:
    """
    Have the *files* of *folder* hold what is given, with *mode*; None for gone.

    *before* is what they must still be.  Raises Changed or OSError, and then nothing has changed.
    """
    try:
        for name, content in files.items():
            if content is not None:
                _prepare(folder, name, content, mode)
        _sync_all(folder, files)
        for name in files:
            if stamp(folder / name) != before[name]:
                raise Changed(name)
            _keep_old(folder, name)
        _carry_out(folder, files)
    finally:
        clear(folder, files)


def finish(folder: Path) -> int:
    """
    Do what is left of a list that we died over, and remove what was never decided.

    Returns how many files the list had, 0 for none.  Raises OSError.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    files: dict[str, bool] = {}
    with contextlib.suppress(FileNotFoundError, ValueError):
        files = dict(json.loads((folder / LIST).read_bytes()))
    for name, stays in files.items():
        with contextlib.suppress(FileNotFoundError):
            if stays:
                os.replace(folder / f"{_NEW}{name}", folder / name)
            else:
                os.unlink(folder / name)
    if files:
        _sync_folder(folder)
    left = [name for name in names if name.startswith((_NEW, _OLD))]
    for name in (*left, *([LIST] if LIST in names else [])):
        _remove(folder / name)
    return len(files)


def clear(folder: Path, files: Mapping[str, object]) -> None:
    """Remove what a batch leaves beside its *files*, unless its list is still there."""
    if os.path.lexists(folder / LIST):
        return
    for name in (*files, LIST):
        _remove(folder / f"{_NEW}{name}")
        _remove(folder / f"{_OLD}{name}")


# -- the steps -------------------------------------------------------------------------------------


def _prepare(folder: Path, name: str, content: bytes, mode: int) -> None:
    new = folder / f"{_NEW}{name}"
    _remove(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as opened:
        os.fchmod(descriptor, mode)  # whatever the umask says
        opened.write(content)


def _sync_all(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """After all are written: the first takes the others of the file system's journal along."""
    for name, content in files.items():
        if content is not None:
            _sync(folder / f"{_NEW}{name}", os.O_RDONLY)


def _keep_old(folder: Path, name: str) -> None:
    _remove(folder / f"{_OLD}{name}")
    with contextlib.suppress(FileNotFoundError):
        os.link(folder / name, folder / f"{_OLD}{name}")


def _decide(folder: Path, files: Mapping[str, bytes | None]) -> None:
    stays = {name: content is not None for name, content in files.items()}
    _prepare(folder, LIST, json.dumps(stays).encode("ascii"), 0o600)
    _sync(folder / f"{_NEW}{LIST}", os.O_RDONLY)
    os.replace(folder / f"{_NEW}{LIST}", folder / LIST)
    _sync_folder(folder)


def _carry_out(folder: Path, files: Mapping[str, bytes | None]) -> None:
    try:
        if len(files) > 1:
            _decide(folder, files)
        for name, content in files.items():
            if content is not None:
                os.replace(folder / f"{_NEW}{name}", folder / name)
            else:
                _remove(folder / name)
        _sync_folder(folder)
    except OSError:
        _take_back(folder, files)
        raise
    _remove(folder / LIST)


def _take_back(folder: Path, files: Mapping[str, object]) -> None:
    """If this fails as well, the list stays, and the next start does what is left of it."""
    for name in files:
        if os.path.lexists(folder / f"{_OLD}{name}"):
            os.replace(folder / f"{_OLD}{name}", folder / name)
        elif not os.path.lexists(folder / f"{_NEW}{name}"):
            _remove(folder / name)
    _remove(folder / LIST)


def _remove(file: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(file)


def _sync_folder(folder: Path) -> None:
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
