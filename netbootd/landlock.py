"""
What this process may read, confined to some folders by the kernel: landlock(7), Linux 5.13.

For a thread, what it starts and for good.  Only reading is: what may be written, the rights of the
user say.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

# The same numbers on every architecture (since 424, asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1
_TOO_MUCH = {Path("/"), Path("/etc")}
_READ_FILE, _READ_DIR, _REFER = 1 << 2, 1 << 3, 1 << 13


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled_access_fs", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def confine_reading(paths: Iterable[Path]) -> bool:
    """
    Let this thread read only *paths* (files, or folders with all below them), as far as it may;
    False where the kernel knows no Landlock.  It must have given up new privileges (prctl(2)).

    For a path that is not there yet it is the folder that it will lie in, if anybody may read that;
    but not all of ``/etc``, nor of the host.
    """
    try:
        version = _syscall(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return False
    # From version 2 on, moving files between folders is forbidden where it is not allowed.
    moving = _REFER if version >= 2 else 0
    handled = _Ruleset(_READ_FILE | _READ_DIR | moving)
    ruleset = _syscall(_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    try:
        if moving:
            _allow(ruleset, Path("/"), moving)
        for path in filter(None, map(_existing, paths)):
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        _syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _existing(path: Path) -> Path | None:
    if path.exists():
        return path
    folder = path.parent
    is_open = folder.exists() and folder.stat().st_mode & stat.S_IROTH
    return folder if is_open and folder not in _TOO_MUCH else None


def _allow(ruleset: int, path: Path, access: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _READ_FILE
        rule = _PathBeneath(access, descriptor)
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _syscall(number: int, *arguments: object) -> int:
    result: int = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        problem = ctypes.get_errno()
        raise OSError(problem, os.strerror(problem))
    return result
