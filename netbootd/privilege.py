"""
Root's rights, given up for those of a user before the first socket is opened.

A daemon that root has started reads its configuration, hands the folders that it writes to the
user, and becomes that user for good: no groups but its own, no rights of root's but ports below
1024 and raw sockets, which a reload may ask for at any time, and none for the programs that it
starts.  Where that user may not read what is to be served, the right to read whatever is there
stays as well, confined to the folders that are needed (``landlock``), with a warning that says what
to do.

Capabilities belong to a thread, and pass on to those that it starts: so this comes before any other
thread.  The unit of systemd does the same by itself, and there nothing is left to do here.

Sources: capabilities(7), credentials(7), prctl(2), capset(2); linux/capability.h and securebits.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import os
import pwd
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from netbootd.errors import NetbootdError

ROOT = "root"
SERVICE = "netbootd"  # the user of the unit
_NOBODY = "nobody"


class Capability(IntEnum):
    """Of linux/capability.h those that are asked for here."""

    DAC_READ_SEARCH = 2
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    NET_BIND_SERVICE = 10
    NET_RAW = 13


#: Ports below 1024; raw and packet sockets.
FOR_SOCKETS = frozenset({Capability.NET_BIND_SERVICE, Capability.NET_RAW})
_TO_BECOME = frozenset({Capability.SETGID, Capability.SETUID, Capability.SETPCAP})

# prctl(2)
_SET_PDEATHSIG, _GET_PDEATHSIG = 1, 2
_SET_KEEPCAPS, _CAPBSET_READ, _CAPBSET_DROP = 8, 23, 24
_GET_SECUREBITS, _SET_SECUREBITS = 27, 28
_SET_NO_NEW_PRIVS, _CAP_AMBIENT, _CAP_AMBIENT_RAISE = 38, 47, 2
# User 0 is a user as any other (SECBIT_NOROOT), and nothing is added to the ambient set; for ever.
_NOROOT, _NOROOT_LOCKED, _FIXUP_LOCKED, _KEEP_CAPS_LOCKED = 1, 2, 8, 32
_NO_AMBIENT, _NO_AMBIENT_LOCKED = 64, 128
_SECUREBITS = (
    _NOROOT | _NOROOT_LOCKED | _FIXUP_LOCKED | _KEEP_CAPS_LOCKED | _NO_AMBIENT | _NO_AMBIENT_LOCKED
)
_VERSION_3 = 0x20080522  # of capset(2): 64 capabilities, the lower half first
_UMASK = 0o077


class NotGivenUp(NetbootdError):
    """Root's rights cannot be given up as the configuration wants it; the text says why."""


class User(NamedTuple):
    """Who the daemon becomes: *name* for messages, and what the kernel knows."""

    name: str
    uid: int
    gid: int


def is_root() -> bool:
    """Whether there is anything to give up."""
    return os.geteuid() == 0


def was_root() -> bool:
    """Whether this process, or who started it, became what it is by ``become``."""
    return _prctl(_GET_SECUREBITS) == _SECUREBITS


def may_become() -> bool:
    """Whether root may be another user here; some containers keep that from it."""
    return _of_thread("CapEff").issuperset(_TO_BECOME)


def chosen(name: str, file: Path) -> User:
    """
    The user *name*; where none is named, the service's, else the owner of the configuration *file*,
    as in a developer's clone, else nobody.  Raises NotGivenUp where there is none of that name.
    """
    owner = file.stat()
    for one in (name,) if name else (SERVICE, owner.st_uid, _NOBODY):
        if one == 0:
            continue
        try:
            found = pwd.getpwuid(one) if isinstance(one, int) else pwd.getpwnam(one)
        except KeyError:
            if isinstance(one, int):  # from another system: it has a number all the same
                return User(str(one), one, owner.st_gid)
            continue
        if found.pw_uid == 0:
            raise NotGivenUp(
                f'user {found.pw_name} is root by another name (number 0): "user" in section'
                f' netbootd names another, or "{ROOT}" to keep all rights of root\'s'
            )
        return User(found.pw_name, found.pw_uid, found.pw_gid)
    raise NotGivenUp(
        f'there is no user {name or _NOBODY} to run as: "user" in section netbootd names one that'
        f' there is, or "{ROOT}" to keep all rights of root\'s'
    )


def last_resort() -> User | None:
    """
    Who a daemon is where the host has no other user for it; None for none.  Others may be so, too.
    """
    try:
        found = pwd.getpwnam(_NOBODY)
    except KeyError:
        return None
    return User(found.pw_name, found.pw_uid, found.pw_gid)


def is_for_all(group: int) -> bool:
    """Whether anybody's programs may be in *group*, with nothing in common but that."""
    nobody = last_resort()
    return nobody is not None and nobody.gid == group


def become(user: User, *, reading: bool, group: str = "") -> None:
    """
    Be *user* from here on, in this thread and what it starts, and of the socket's *group* if one is
    named; *reading* keeps the right to read everything, and passes it on to programs.

    Raises NotGivenUp, and then nothing must be served.
    """
    kept = FOR_SOCKETS | ({Capability.DAC_READ_SEARCH} if reading else set())
    try:
        _prctl(_SET_KEEPCAPS, 1)
        for number in _known():
            if number not in kept:
                _prctl(_CAPBSET_DROP, number)
        os.setgroups(_numbers(group))
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
        lent = kept - FOR_SOCKETS
        _capset({*kept, Capability.SETPCAP}, lent)
        for number in lent:
            _prctl(_CAP_AMBIENT, _CAP_AMBIENT_RAISE, number)
        _prctl(_SET_SECUREBITS, _SECUREBITS)
        _capset(kept, lent)
    except OSError as problem:
        raise NotGivenUp(
            f"root cannot become user {user.name} ({user.uid}): {problem.strerror}; another one,"
            f' or "{ROOT}": "user" in section netbootd'
        ) from None
    stay_low()


def _numbers(group: str) -> list[int]:
    try:
        return [grp.getgrnam(group).gr_gid] if group else []
    except KeyError:  # whoever sets up the socket tells
        return []


@contextlib.contextmanager
def ending_with_parent() -> Iterator[None]:
    """Whoever started us may have wanted a signal for us when it ends: so it stays (prctl(2))."""
    number = ctypes.c_int()
    _call("prctl", _GET_PDEATHSIG, ctypes.byref(number))
    yield
    _prctl(_SET_PDEATHSIG, number.value)  # that a process becomes another user's has cleared it


@contextlib.contextmanager
def acting_as(uid: int, gid: int, *, reading: bool = False) -> Iterator[None]:
    """Root as another user meanwhile, in every thread; *reading* lets it get everywhere."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        if reading and Capability.DAC_READ_SEARCH in (held := _of_thread("CapPrm")):
            _capset({Capability.DAC_READ_SEARCH}, (), held)
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def stay_root_without_rights() -> None:
    """Where root may not become another: what it has beyond ``FOR_SOCKETS`` goes."""
    _capset(_of_thread("CapEff") & FOR_SOCKETS, ())
    stay_low()


def stay_low() -> None:
    """Nothing that is started gets rights by being set-user-ID, and files are for their owner."""
    _prctl(_SET_NO_NEW_PRIVS, 1)
    os.umask(_UMASK)


def _known() -> Iterable[int]:
    """The capabilities of this kernel."""
    for number in range(64):
        try:
            _prctl(_CAPBSET_READ, number)
        except OSError:  # beyond the last
            return
        yield number


def _of_thread(name: str) -> frozenset[int]:
    """The capabilities of this thread's set *name*, as proc(5) calls it."""
    lines = Path("/proc/thread-self/status").read_text("ascii", "replace").splitlines()
    (bits,) = (int(line.split()[1], 16) for line in lines if line.startswith(f"{name}:"))
    return frozenset(number for number in range(64) if bits >> number & 1)


# -- the kernel ------------------------------------------------------------------------------------


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def _capset(used: Iterable[int], lent: Iterable[int], held: Iterable[int] | None = None) -> None:
    """
    *used* is what this thread may do, *lent* what the programs that it starts may have, *held* what
    it may take up again, None for no more than it uses.
    """
    whole = (_bits(used), _bits(used if held is None else held), _bits(lent))
    sets = (_Sets * 2)(*(_Sets(*(bits >> at & 0xFFFFFFFF for bits in whole)) for at in (0, 32)))
    _call("capset", ctypes.byref(_Header(_VERSION_3, 0)), sets)


def _bits(numbers: Iterable[int]) -> int:
    return sum(1 << number for number in numbers)


def _prctl(option: int, *arguments: int) -> int:
    four = [*arguments, 0, 0, 0, 0][:4]
    return _call("prctl", option, *map(ctypes.c_ulong, four))


def _call(name: str, *arguments: object) -> int:
    result: int = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
