"""
One daemon to a state folder: two would give the same address twice, and each would undo what the
other keeps.

The lock is the kernel's, on the folder itself: it ends with the process, however that ends, needs
no room on the disk, and is there on a read-only one as well.  A daemon that stops gives it up
before its last transfers have ended, so that its successor need not wait for these; what it writes
then, it writes as any other writer of the same SQLite files.

Sources: flock(2), proc_locks(5).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import time
from pathlib import Path

from netbootd.errors import NetbootdError

_LOCKS = Path("/proc/locks")
_PATIENCE_S = 2.0  # for one that has just been told to end
_LOOK_S = 0.05


class InUse(NetbootdError):
    """Another daemon has the state folder; the text says who, as far as it can be seen."""


class Lock:
    """Nobody's at first."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def take(self, folder: Path) -> None:
        """Have *folder*, which is made where it is missing, to ourselves; raises InUse."""
        if self._descriptor is not None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:  # whoever keeps something there will tell
            return
        if _taken(opened):
            self._descriptor = opened
            return
        holder = _holder(opened)
        os.close(opened)
        raise InUse(
            f"another netbootd{holder} has the state folder {folder}: end that one first, or name a"
            ' folder of its own for this one ("state" in section netbootd)'
        )

    def release(self) -> None:
        """Another may have the folder now."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _taken(folder: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
        except OSError:  # a file system without locks: as it always was there
            return True
        else:
            return True


def _holder(folder: int) -> str:
    """Who has the lock, for a message; empty where the sandbox does not show it (ProcSubset=)."""
    inode = os.fstat(folder).st_ino
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _LOCKS.read_text().splitlines():
            # 1: FLOCK  ADVISORY  WRITE 2164 08:01:1835 0 EOF
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
                return _named(int(fields[4]))
    return ""


def _named(pid: int) -> str:
    """*pid*, with its user as /proc/PID/status says it; the folder is root's for who was root."""
    try:
        lines = Path("/proc", str(pid), "status").read_text("ascii", "replace").splitlines()
        (uid,) = (int(line.split()[1]) for line in lines if line.startswith("Uid:"))
    except (OSError, ValueError):  # hidden, or in another PID namespace
        return f" (process {pid})"
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return f" (process {pid}, user {user})"
