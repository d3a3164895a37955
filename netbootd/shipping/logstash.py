"""
Logstash, by its tcp input with the codec ``json_lines`` or by its http input.

The tcp input acknowledges nothing.  So each block of lines goes over a connection of its own,
whose sending half is closed behind it: Logstash closes the other half when it has read all, and
that is taken for "it has arrived".  Who never closes is believed after a while, if its kernel has
acknowledged every byte.  A block whose connection breaks is sent again, and some of its lines may
then be there twice: ``event.id`` is the same, and can be the ``document_id`` of Logstash's output.

The http input answers 200 once it has everything, and 429 while its queue is full.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from netbootd.shipping import answers
from netbootd.shipping.items import Item, Outcome
from netbootd.shipping.web import Address, BadSetting, NoAnswer, Web, authorization

_CONNECT_S = 10.0
_LOOK_S = 0.5  # how often somebody who waits looks whether to end
_BELIEVED_S = 30.0  # after the last byte was acknowledged
_STALLED_S = 600  # who takes or acknowledges nothing for so long is gone


class Broken(OSError):
    """The connection ended before all had arrived."""


class LogstashTcp:
    """``HOST:PORT`` of a tcp input; *ends* tells whether netbootd stops."""

    name = "logstash"

    def __init__(self, where: str, ends: Callable[[], bool]) -> None:
        self.where = where
        self._ends = ends

    def send(self, items: Sequence[Item]) -> Outcome:
        """All of *items*, each on a line of its own, with its newline."""
        block = b"".join(item.raw + b"\n" for item in items)
        host, _, port = self.where.rpartition(":")
        try:
            address = host.strip("[]"), int(port)
            with socket.create_connection(address, timeout=_CONNECT_S) as connection:
                self._deliver(connection, block)
        except OSError as problem:
            return Outcome(items, problem=problem.strerror or str(problem))
        return Outcome()

    def _deliver(self, connection: socket.socket, block: bytes) -> None:
        """Wait for long: a Logstash that is busy reads nothing."""
        connection.settimeout(_LOOK_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_S * 1000)
        rest = memoryview(block)
        until = time.monotonic() + _STALLED_S
        while rest:
            self._may_go_on()
            try:
                rest = rest[connection.send(rest) :]
                until = time.monotonic() + _STALLED_S
            except TimeoutError:
                if time.monotonic() > until:
                    raise Broken("it is there, and reads nothing") from None
        connection.shutdown(socket.SHUT_WR)
        self._await_end(connection)

    def _await_end(self, connection: socket.socket) -> None:
        acknowledged: float | None = None
        while True:
            self._may_go_on()
            try:
                if not connection.recv(4096):  # what it may say means nothing to us
                    return
            except TimeoutError:
                pass
            if _unacknowledged(connection):
                continue
            acknowledged = acknowledged or time.monotonic()
            if time.monotonic() - acknowledged > _BELIEVED_S:
                return

    def _may_go_on(self) -> None:
        if self._ends():
            raise Broken("netbootd stops")

    def close(self) -> None:
        """There is nothing to end."""


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that the other kernel has not acknowledged yet (SIOCOUTQ, tcp(7))."""
    (count,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(count)


class LogstashHttp:
    """The URL of an http input; *credentials* and *ca* as for Elasticsearch."""

    name = "logstash"

    def __init__(self, url: str, credentials: Path | None, ca: Path | None) -> None:
        self._address = Address.parse(url)
        self.where = self._address.url
        self._credentials = credentials
        self._ca = ca
        self._web: Web | None = None

    def send(self, items: Sequence[Item]) -> Outcome:
        """All of *items* as one array."""
        headers = {"Content-Type": "application/json"}
        body = b"[" + b",\n".join(item.raw for item in items) + b"]"
        try:
            if given := authorization(self._credentials):
                headers["Authorization"] = given
            web = self._web = self._web or Web(self._ca)
            reply = web.post(self._address, "", headers, body)
        except BadSetting as problem:
            return Outcome(items, problem=str(problem), grave=True)
        except NoAnswer as problem:
            self.close()
            return Outcome(items, problem=str(problem))
        return answers.of_request(reply.status, reply.headers, reply.body, items, time.time())

    def close(self) -> None:
        """End its connections."""
        if self._web is not None:
            self._web.close()
        self._web = None
