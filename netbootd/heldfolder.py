"""
A folder that root opens on a way where others may change names at any moment: each step is looked
at as it was opened, and held while the next is taken.

Sources: path_resolution(7), open(2) on O_PATH and O_NOFOLLOW, symlink(7).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from netbootd.errors import NetbootdError

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PARENT_MODE = 0o755
_MOST_STEPS = 1000  # with those of links, which may lead in a circle


class ForeignLink(NetbootdError):
    """*link* is on the way to *target*, and not root's: its owner may lead it anywhere."""

    def __init__(self, link: Path, target: str) -> None:
        super().__init__(f"{link} is a link that root has not made, to {target}")
        self.link = link


def opened(folder: Path, mode: int) -> int:
    """
    A descriptor of *folder*, to be closed; what is missing is made, the folder itself with *mode*.

    No link is followed but root's own.  Raises ForeignLink and OSError.
    """
    steps = list(reversed(folder.absolute().parts))
    place = os.open(steps.pop(), _STEP)
    try:
        for _ in range(_MOST_STEPS):
            if not steps:
                return os.open(".", _READ, dir_fd=place)
            place = _step(steps, place, mode)
    finally:
        os.close(place)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))


def path_of(descriptor: int) -> Path:
    """How what is open is really called (proc(5))."""
    return Path(os.readlink(f"/proc/self/fd/{descriptor}"))


def _step(steps: list[str], place: int, mode: int) -> int:
    """From the folder *place*, which is closed, to the next of *steps*; or what its link says."""
    name = steps.pop()
    try:
        below = os.open(name, _STEP, dir_fd=place)
    except FileNotFoundError:
        os.mkdir(name, _PARENT_MODE if steps else mode, dir_fd=place)
        steps.append(name)
        return place
    status = os.fstat(below)
    if not stat.S_ISLNK(status.st_mode):
        os.close(place)
        return below
    try:
        target = os.readlink("", dir_fd=below)
    finally:
        os.close(below)
    if status.st_uid != 0:
        raise ForeignLink(path_of(place) / name, target)
    parts = Path(target).parts
    if Path(target).is_absolute():
        os.close(place)
        place, parts = os.open("/", _STEP), parts[1:]
    steps.extend(reversed(parts))
    return place
