"""
Who may have a file with a secret: root and the user that the daemon runs as, and nobody else.

One rule, whoever asks: root, who checks a configuration or starts a daemon that becomes another
user then, and that user, at a reload.  What is wrong is told with the line that mends it for the
daemon's user.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netbootd import privilege
from netbootd.privilege import ROOT, SERVICE, NotGivenUp, User

#: At its start it keeps the right to read what is named then.
_RESTART = "restart netbootd, which root starts and then reads it, or type: "
_OVERFLOW = 65534  # of whoever is unknown to a user namespace, as the unit's (user_namespaces(7))


def myself() -> User:
    """Who asks."""
    return User(_user(os.geteuid()), os.geteuid(), os.getegid())


def of_daemon(name: str, file: Path) -> User:
    """
    Whom a daemon runs as that has the configuration *file*, whose setting ``user`` is *name*: who
    asks, unless that is root, who becomes another.
    """
    if name != ROOT and privilege.is_root() and privilege.may_become():
        with suppress(NotGivenUp, OSError):  # which the start tells
            return privilege.chosen(name, file)
    return myself()


def wrong(file: Path, status: os.stat_result, user: User) -> str:
    """What is wrong with owner and mode of *file*, and what mends it; empty for nothing."""
    groups = {0: 0, user.uid: user.gid, **_of_service()}
    others = status.st_mode & 0o077
    if status.st_uid not in groups:
        told = f"{file} belongs to {named(status.st_uid)}, not to root or user {user.name}"
    elif others and not (others == 0o040 and status.st_gid in groups.values()):
        who = "everybody" if others & 0o007 else f"group {_group(status.st_gid)}"
        told = f"{who} may use {file} (its mode is {stat.S_IMODE(status.st_mode):04o})"
    else:
        return ""
    return f"{told}: {_mended(file, status.st_uid, user)}"


def kept_out(file: Path, barrier: Path, user: User, way: str = "") -> str:
    """
    That *barrier*, *file* or a folder, keeps *user* from reading it, and what mends that: another
    *way*, if there is one, before the line to type.
    """
    if barrier != file:
        group, folder = _group(user.gid), shlex.quote(str(barrier))
        line = f"chgrp {group} {folder} && chmod g+rx {folder}"
        return f"user {user.name} cannot enter {barrier}, where {file} lies: {way}{line}"
    owner = file.stat().st_uid
    return f"user {user.name} cannot read {file}: {way}{_mended(file, owner, user)}"


def refused(file: Path) -> str:
    """Why we may not read *file*, and what mends it."""
    user, real = myself(), file.resolve()
    if found := barrier(real):
        return kept_out(real, found, user, _RESTART if privilege.was_root() else "")
    return (
        f"user {user.name} may not read {file}, whatever its mode: a daemon that root has started"
        " reads what a reload names elsewhere after a restart"
    )


def barrier(path: Path) -> Path | None:
    """What keeps us out of *path*, of it and the folders above; None too where it is not there."""
    for one in (*reversed(path.parents), path):
        try:
            status = one.stat()
        except OSError:
            return None
        wanted = os.X_OK if stat.S_ISDIR(status.st_mode) else 0
        wanted |= os.R_OK if one == path else 0
        if not os.access(one, wanted, effective_ids=True):
            return one
    return None


@contextmanager
def acting_as(user: User) -> Iterator[None]:
    """Root as *user* meanwhile, in its groups."""
    ours = os.getgroups()
    try:
        os.setgroups(os.getgrouplist(user.name, user.gid))
        with privilege.acting_as(user.uid, user.gid):
            yield
    finally:
        os.setgroups(ours)


def named(uid: int) -> str:
    """A user, for a message."""
    return "another user" if uid == _OVERFLOW else f"user {_user(uid)}"


def _mended(file: Path, owner: int, user: User) -> str:
    """The unit's user need not be able to change it; with others their group may be everybody's."""
    name = shlex.quote(str(file))
    if user.name == SERVICE:
        return f"chown root:{_group(user.gid)} {name} && chmod 0640 {name}"
    chown = "" if owner == user.uid else f"chown {user.name} {name} && "
    return f"{chown}chmod 0600 {name}"


def _of_service() -> dict[int, int]:
    """The unit's user, and its group; empty where there is none."""
    try:
        found = pwd.getpwnam(SERVICE)
    except KeyError:
        return {}
    return {found.pw_uid: found.pw_gid}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
