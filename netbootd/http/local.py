# mypy: allow-untyped-calls
"""
The Unix socket: the API for whoever may open it, with all rights.

Who that is, the kernel says (SO_PEERCRED, unix(7)); may, whoever its file's group and mode let in:
root, our user, and our group or the one that the configuration names.  Where ours is nobody's, in
which any program may be, no group may that is not named.
"""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory

from netbootd import privilege, urls
from netbootd.content import parts_of
from netbootd.errors import Forbidden
from netbootd.http.resource import Asked, Reply, refused
from netbootd.http.site import Site
from netbootd.opener.client import user_beyond
from netbootd.opener.sockets import user_of
from netbootd.sqlitefile import identity
from netbootd.urls import Kind

#: In the state folder, where the configuration names no other.
SOCKET = "api.sock"
_MODE, _WITHOUT_GROUP = 0o660, 0o600
_BACKLOG = 64
_READING = (b"GET", b"HEAD")
_ACL = "system.posix_acl_access"  # acl(5); setfacl(1)
_SERVED = frozenset({Kind.API, Kind.STATUS})


class LocalSite(Site):
    """What is served there: ``/api/v1`` and ``/status``."""

    def admits(self, transport: Any) -> bool:
        """Whoever got in may stay."""
        return True

    def address_of(self, address: Any) -> tuple[str, int]:
        """Sockets that are files have no address."""
        return "", 0

    def uid_of(self, transport: Any, method: bytes) -> int | None:
        """
        Who was at the other end when it connected; who it was exactly, where something is changed.
        """
        connection = transport.getHandle()
        return user_of(connection) if method in _READING else user_beyond(connection)

    def answer(self, asked: Asked) -> Reply:
        """As everywhere, but of few pages."""
        try:
            served = urls.route(parts_of(asked.path)).kind in _SERVED
        except Forbidden:
            served = False
        if not served:
            return refused(asked, HTTPStatus.NOT_FOUND, "only /api/v1 and /status are here")
        return super().answer(asked)


class _Port(unix.Port):
    """
    Twisted's removes whatever has its name at the end, be it the socket of its successor, and stays
    open where there is nothing to remove, as when another disk is mounted over the folder.
    """

    def __init__(self, reactor: Any, file: Path, site: LocalSite) -> None:
        factory = cast(IProtocolFactory, site)
        super().__init__(os.fsencode(file), factory, _BACKLOG, _mode(), reactor)
        self._file = file

    def startListening(self) -> None:
        super().startListening()
        self._own = identity(self._file)

    def connectionLost(self, reason: Any) -> None:
        if identity(self._file) == self._own:
            with suppress(OSError):
                self._file.unlink()
        tcp.Port.connectionLost(self, reason)


def listen(reactor: Any, file: Path, site: LocalSite) -> Any:
    """
    The open port; one that a daemon has left behind is replaced.

    Raises OSError where *file* cannot be had: another daemon answers there, or it is no socket.
    """
    _make_way(file)
    try:
        port = _Port(reactor, file, site)
        port.startListening()
        return port
    except CannotListenError as problem:
        error: OSError = problem.socketError
        raise error from None


def belongs(file: Path, group: str) -> OSError | None:
    """
    Have the socket *file* be for the members of *group*, which is empty for those of our own.

    Returns what is in the way; then it is for our own.
    """
    try:
        number = grp.getgrnam(group).gr_gid if group else os.getegid()
        status, wanted = file.stat(), _mode(group)
        mode = stat.S_IMODE(status.st_mode)
        if status.st_gid != number or mode == _WITHOUT_GROUP:
            file.chmod(mode & wanted)  # at no moment it is for more than before or then
            os.chown(file, -1, number)
            file.chmod(wanted)
        if group and _keeps_out(file.parent, number):
            return OSError(
                f'the group "{group}" has it, but cannot get into its folder: set "api_socket" to '
                f'"/run/netbootd/{SOCKET}", or another folder that the group can enter'
            )
    except KeyError:
        return OSError(f'there is no group "{group}", which "api_group" names')
    except OSError as problem:
        # EPERM: not a member, or the unit's filter of system calls.  EINVAL: the user namespace
        # does not know the group (chown(2)).
        if problem.errno in (errno.EPERM, errno.EINVAL):
            return OSError(
                f'it cannot be given to the group "{group}": put SupplementaryGroups={group}, '
                "PrivateUsers=no and SystemCallFilter=@chown into the unit, and restart it; a "
                "daemon that root started joins the group at its start, so a restart will do"
            )
        return problem
    return None


def _mode(group: str = "") -> int:
    return _MODE if group or not privilege.is_for_all(os.getegid()) else _WITHOUT_GROUP


def _keeps_out(folder: Path, group: int) -> bool:
    """Whether who is in *group* alone cannot enter *folder*, unless a list of its own says so."""
    status = folder.stat()
    enters = stat.S_IXGRP if status.st_gid == group else stat.S_IXOTH
    with suppress(OSError):  # a file system without
        if _ACL in os.listxattr(folder):
            return False
    return not status.st_mode & enters


def _make_way(file: Path) -> None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise OSError(f"{file} is there, and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(file))
        except (ConnectionRefusedError, FileNotFoundError):
            file.unlink(missing_ok=True)
            return
        except BlockingIOError:  # its queue is full, so somebody is there
            pass
    raise OSError(f"another netbootd answers at {file}")
