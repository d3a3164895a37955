"""
Sockets for what takes capabilities, as the daemon opens them: by itself where it may, else by the
opener, where the unit says that there is one (``$NETBOOTD_OPENER``, the path of its socket).

These are calls that block, for a fraction of a millisecond.  An opener that stands still keeps who
calls for ``_PATIENCE_S``; once it was silent, nobody waits for it for ``_REST_S``.  So a daemon
that serves has a thread ``look`` before ports are opened: that one waits, and then nobody does.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import ExitStack
from typing import Any

from netbootd.errors import WireError
from netbootd.opener import sockets
from netbootd.opener.sockets import user_of
from netbootd.opener.wire import (
    ANSWER_SIZE,
    NOT_LISTED,
    Answer,
    Ask,
    Request,
    decode_answer,
    encode,
)

#: The variable that names the opener's socket.
VARIABLE = "NETBOOTD_OPENER"
_PATIENCE_S = 2.0
_REST_S = 30.0
_ANYWHERE = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
#: Without the capability, and where the unit keeps the family from us.
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT)
#: How users are called that our user namespace does not know (user_namespaces(7)).
_UNMAPPED = 65534


class NotOpened(PermissionError):
    """The opener did not do it; the text says what would help."""


class LowSocket(socket.socket):
    """
    One for UDP or TCP whose ``bind`` has the opener do it where the kernel lets only others.

    Raises NotOpened where both say no.
    """

    __slots__ = ()

    def bind(self, address: Any, /) -> None:
        """*address* is as for any socket, its host in numbers or empty."""
        try:
            super().bind(address)
        except PermissionError:
            if not _path():
                raise
            host, port, *more = address
            at = host or _ANYWHERE[self.family]
            scope = more[1] if len(more) > 1 else 0
            asked = Request(Ask.BIND, self.family, at, port, scope)
            status = _ask(asked, self)[0].status
            if status == NOT_LISTED:
                raise NotOpened(errno.EACCES, _not_listed(self, port)) from None
            _must_be_done(status)


def packet_socket() -> socket.socket:
    """A packet socket that hears nothing before it is bound; raises OSError."""
    try:
        return sockets.packet_socket()
    except OSError as problem:
        if problem.errno not in _FORBIDDEN or not _path():
            raise
    return _made(Ask.PACKET)


def raw_socket() -> socket.socket:
    """One that sends what has an IPv4 header already; raises OSError."""
    try:
        return sockets.raw_socket()
    except PermissionError:
        if not _path():
            raise
    return _made(Ask.RAW)


def user_beyond(connection: socket.socket) -> int:
    """
    The user at the other end of the Unix socket *connection*, as the host knows him.

    Where nobody can say that, it is what all users are called that are not known here, nobody's.
    """
    user = user_of(connection)
    if user != _UNMAPPED or not _path():
        return user
    try:
        answer, _ = _ask(Request(Ask.PEER), connection)
    except OSError:
        return user
    return user if answer.status else answer.value


def look() -> None:
    """
    Find out whether it answers, for a thread; nobody asks while it does not.

    Where that is known without waiting, as of one that is not there, whoever asks finds out.
    """
    if not is_named():
        return
    rest_s = 0.0
    try:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            _asked(encode(Request(Ask.PEER)), [ours.fileno()])
    except (TimeoutError, BlockingIOError):  # a queue is full where nobody takes from it
        rest_s = _REST_S
    except (OSError, WireError):
        pass
    _rest_for(rest_s)


def is_named() -> bool:
    """Whether there is to be one."""
    return bool(_path())


def _path() -> str:
    return os.environ.get(VARIABLE, "")


def _made(ask: Ask) -> socket.socket:
    answer, made = _ask(Request(ask))
    _must_be_done(answer.status)
    if made is None:
        raise NotOpened(errno.EACCES, _silent("it sent no socket"))
    made.setblocking(False)
    return made


def _must_be_done(status: int) -> None:
    if status:
        raise OSError(status, os.strerror(status))


def _not_listed(made: socket.socket, port: int) -> str:
    listed = f"{'udp' if made.type == socket.SOCK_DGRAM else 'tcp'}:{port}"
    return (
        f"netbootd-opener does not open {listed}: 'systemctl edit netbootd-opener', with the lines "
        f"[Service] and Environment=PORTS={listed} (several in one line: "
        f"Environment=\"PORTS={listed} …\"), then 'systemctl restart netbootd-opener'"
    )


def _silent(why: object) -> str:
    """The same for as long as it is silent, so that the log has it once."""
    return (
        f"netbootd-opener does not answer at {_path()} ({why}): "
        "'systemctl status netbootd-opener.socket netbootd-opener'"
    )


_rests_until = 0.0


def _rest_for(seconds: float) -> None:
    global _rests_until  # noqa: PLW0603  there is one opener
    _rests_until = time.monotonic() + seconds


def _ask(request: Request, *passed: socket.socket) -> tuple[Answer, socket.socket | None]:
    """What the opener answers; raises NotOpened where it does not."""
    silent = NotOpened(errno.EACCES, _silent(f"within {_PATIENCE_S:g} s"))
    if time.monotonic() < _rests_until:
        raise silent
    try:
        return _asked(encode(request), [one.fileno() for one in passed])
    except TimeoutError:
        _rest_for(_REST_S)
        raise silent from None
    except (OSError, WireError) as problem:
        raise NotOpened(errno.EACCES, _silent(problem)) from None


def _asked(request: bytes, beside: list[int]) -> tuple[Answer, socket.socket | None]:
    with ExitStack() as opened:
        line = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        line.settimeout(_PATIENCE_S)
        line.connect(_path())
        socket.send_fds(line, [request], beside)
        data, descriptors, _, _ = socket.recv_fds(line, ANSWER_SIZE, 1, socket.MSG_CMSG_CLOEXEC)
        made = [opened.enter_context(socket.socket(fileno=one)) for one in descriptors]
        answer = decode_answer(data)
        opened.pop_all()
        line.close()
        return answer, made[0] if made else None
