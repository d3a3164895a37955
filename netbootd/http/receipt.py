"""
Whether all of an answer has arrived: the client's TCP has acknowledged it.

That an answer was written says only that the kernel took it.  So the connection is kept open beside
whoever closes it, by a second descriptor, and looked at until its end is acknowledged, or lost; it
costs a connection that we close some milliseconds.

Source: linux/tcp.h, struct tcp_info; RFC 4898, tcpEStatsAppHCThruOctetsAcked.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import Any

#: tcpi_state and tcpi_bytes_acked in struct tcp_info.
_STATE = slice(0, 1)
_ACKED = slice(120, 128)
_CLOSED = b"\x07"  # TCP_CLOSE in linux/tcp_states.h: both are done, or one has reset it
_FIRST_LOOK_S = 0.002
_LONGEST_PAUSE_S = 0.5
#: A client that has acknowledged nothing more by then has gone without a word.
_PATIENCE_S = 60.0


class Receipt:
    """
    Of one answer; *ended* is called once, with whether all of it is with the client.

    It begins when the answer ``leaves``, and is asked for by ``look`` in between.
    """

    def __init__(self, ended: Callable[[bool], None]) -> None:
        self._ended: Callable[[bool], None] | None = ended
        self._reactor: Any = None
        self._transport: Any = None
        self._connection: Any = None
        self._end = 0
        self._end_known = False
        self._left = 0
        self._until = 0.0

    def leaves(self, reactor: Any, transport: Any, size: int) -> None:
        """*size* bytes of a body are about to be sent by *transport*; raises OSError."""
        self._reactor = reactor
        self._transport = _plain(transport)
        self._connection = self._transport.socket.dup()
        self._end = self._sent() + size  # and headers, and what encrypts it

    def written(self, _: Any = None) -> None:
        """All of it is with Twisted, whose TLS collects small pieces until the next turn."""
        self._reactor.callLater(0, self._begin_to_look)

    def broken(self, _: Any = None) -> None:
        """The connection ended before, or as the client had the last of it."""
        self.look()
        self.end(whole=False)

    def look(self) -> None:
        """Who asks for the same again may have acknowledged all of it a moment ago."""
        if self._ended is not None and self._connection is not None and self._all_acked():
            self.end(whole=True)

    def end(self, *, whole: bool) -> None:
        """Nothing more will come; not *whole* where it never left, too."""
        ended, self._ended = self._ended, None
        if ended is not None:
            if self._connection is not None:
                self._connection.close()
            ended(whole)

    def _begin_to_look(self) -> None:
        """
        All of it is below TLS, and nothing that came of it has been read: here it ends.

        What follows may never be acknowledged: a client that closes TLS gets an alert from us, and
        resets a connection that it has left already.
        """
        if self._ended is not None:
            self._end = self._sent() + _buffered(self._transport)
            self._end_known = True
            self._left = _unacked(self._connection)
            self._until = self._reactor.seconds() + _PATIENCE_S
            self._reactor.callLater(_FIRST_LOOK_S, self._look_again, _FIRST_LOOK_S)

    def _look_again(self, pause: float) -> None:
        closed = _told(self._connection, _STATE) == _CLOSED  # first: what it acknowledged counts
        self.look()
        if self._ended is None:
            return
        if closed:
            self.end(whole=False)
            return
        before, self._left = self._left, _unacked(self._connection)
        if self._left < before:
            self._until = self._reactor.seconds() + _PATIENCE_S
        if self._reactor.seconds() > self._until:
            self.end(whole=False)
            return
        longer = min(2 * pause, _LONGEST_PAUSE_S)
        self._reactor.callLater(longer, self._look_again, longer)

    def _sent(self) -> int:
        """Bytes that the kernel took, since the connection began."""
        return _acked(self._connection) + _unacked(self._connection)

    def _all_acked(self) -> bool:
        if _acked(self._connection) < self._end:
            return False
        return self._end_known or not _unacked(self._connection)


def _plain(transport: Any) -> Any:
    """The transport below whatever encrypts, which has the socket."""
    while not hasattr(transport, "socket"):
        transport = transport.transport
    return transport


def _buffered(transport: Any) -> int:
    """Bytes that *transport* holds for the kernel; Twisted has no public word for them."""
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)


def _acked(connection: socket.socket) -> int:
    """Bytes that the other end has acknowledged, of all that were sent."""
    (count,) = struct.unpack("=Q", _told(connection, _ACKED))
    return int(count)


def _told(connection: socket.socket, field: slice) -> bytes:
    """One field of struct tcp_info."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.stop)[field]


def _unacked(connection: socket.socket) -> int:
    """Bytes that it has not (SIOCOUTQ, tcp(7))."""
    (count,) = struct.unpack("=i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(count)
