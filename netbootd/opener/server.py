"""
The process that opens: one request on each connection, one connection after the other.

systemd listens for it, starts it, and starts it again should it end (sd_listen_fds(3)); it keeps
nothing from one request to the next.  Who may ask is whom the socket's file belongs to.  Ports
below 1024 are those it is told, no others.  That list cannot be systemd's (``SocketBindAllow=``):
the kernel applies that of whoever made a socket, not of whoever binds it.

Whoever asks may be an intruder.  What comes is decoded strictly; at most one descriptor is let in,
and closed again whatever happens; nobody can hold the process for longer than ``_AT_MOST_S``: a
closed socket that lingers (SO_LINGER, socket(7)) is no way either, for then SIGALRM ends it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
from collections.abc import Collection, Mapping
from typing import NoReturn

from netbootd.errors import NetbootdError, WireError
from netbootd.opener.sockets import packet_socket, raw_socket, user_of
from netbootd.opener.wire import (
    NOT_LISTED,
    REQUEST_SIZE,
    Answer,
    Ask,
    Request,
    decode,
    encode_answer,
)
from netbootd.systemd import Notifier

#: Seconds until whoever says nothing is sent away, and until we rather end than stay with him.
_PATIENCE_S = 0.5
_AT_MOST_S = 3.0
_FIRST_PASSED = 3  # SD_LISTEN_FDS_START
_PRIVILEGED = 1024  # ip(7); where the kernel begins elsewhere, these are nobody's in particular
_DESCRIPTOR = struct.Struct("=i")
_NOBODY = 0xFFFFFFFF
_KINDS = {
    (socket.SOCK_DGRAM, socket.IPPROTO_UDP): "udp",
    (socket.SOCK_STREAM, socket.IPPROTO_TCP): "tcp",
}
_FAMILIES = (socket.AF_INET, socket.AF_INET6)

#: Protocol and number, as ``("udp", 67)``.
Ports = Collection[tuple[str, int]]


def run(ports: Ports, environ: Mapping[str, str]) -> NoReturn:
    """Serve on the socket that systemd has passed; raises NetbootdError where there is none."""
    with _passed(environ) as listening:
        Notifier(environ).ready(f"opens {len(ports)} ports, packet and raw sockets")
        serve(listening, ports)


def _passed(environ: Mapping[str, str]) -> socket.socket:
    if environ.get("LISTEN_PID") != str(os.getpid()) or environ.get("LISTEN_FDS") != "1":
        raise NetbootdError("netbootd opener is started by systemd: see netbootd-opener.socket")
    listening = socket.socket(fileno=_FIRST_PASSED)
    listening.setblocking(True)
    return listening


def serve(listening: socket.socket, ports: Ports) -> NoReturn:
    """Answer whoever comes to *listening*."""
    owner = os.stat(listening.getsockname()).st_uid
    while True:
        connection, _ = listening.accept()
        signal.setitimer(signal.ITIMER_REAL, _AT_MOST_S)
        with contextlib.suppress(OSError), connection:  # he has gone, or says nothing
            connection.settimeout(_PATIENCE_S)
            _attend(connection, owner, ports)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _attend(connection: socket.socket, owner: int, ports: Ports) -> None:
    if user_of(connection) != owner:
        return
    data, descriptors, whole = _receive(connection)
    with contextlib.ExitStack() as opened:
        made = None
        try:
            passed = [opened.enter_context(_adopted(one)) for one in descriptors]
            if not whole:
                raise WireError("more than there may be")
            answer, made = _do(decode(data), passed, ports)
        except WireError:
            answer = Answer(errno.EBADMSG)
        except OSError as problem:
            answer = Answer(problem.errno or errno.EIO)
        beside = [] if made is None else [opened.enter_context(made).fileno()]
        socket.send_fds(connection, [encode_answer(answer)], beside)


def _receive(connection: socket.socket) -> tuple[bytes, list[int], bool]:
    """A message, the descriptor beside it, and whether that is all that was sent."""
    room = socket.CMSG_LEN(_DESCRIPTOR.size)  # the kernel lets no second one in
    data, beside, flags, _ = connection.recvmsg(REQUEST_SIZE, room, socket.MSG_CMSG_CLOEXEC)
    found = [
        number
        for level, kind, what in beside
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (number,) in _DESCRIPTOR.iter_unpack(what)
    ]
    return data, found, not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)


def _adopted(descriptor: int) -> socket.socket:
    """*descriptor*, which is ours to close; raises OSError where it is no socket."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise


def _do(
    request: Request, passed: list[socket.socket], ports: Ports
) -> tuple[Answer, socket.socket | None]:
    """The answer, and a socket to pass on.  Raises WireError where the two do not go together."""
    if len(passed) != (request.ask in (Ask.BIND, Ask.PEER)):
        raise WireError("a socket too many, or too few")
    match request.ask:
        case Ask.BIND:
            return Answer(_bind(passed[0], request, ports)), None
        case Ask.PEER:
            return Answer(0, _peer(passed[0])), None
        case Ask.PACKET:
            return Answer(0), packet_socket()
        case Ask.RAW:
            return Answer(0), raw_socket()


def _bind(passed: socket.socket, request: Request, ports: Ports) -> int:
    kind = _KINDS.get((passed.type, passed.proto))
    if kind is None or passed.family not in _FAMILIES or passed.family != request.family:
        return errno.EPROTOTYPE
    if request.port < _PRIVILEGED and (kind, request.port) not in ports:
        return NOT_LISTED
    scoped = (0, request.scope) if passed.family == socket.AF_INET6 else ()
    passed.bind((request.address, request.port, *scoped))
    return 0


def _peer(passed: socket.socket) -> int:
    if (passed.family, passed.type) != (socket.AF_UNIX, socket.SOCK_STREAM):
        raise OSError(errno.EPROTOTYPE, "no connection to the API")
    if (user := user_of(passed)) == _NOBODY:
        raise OSError(errno.ENOTCONN, "not connected")
    return user
