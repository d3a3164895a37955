# mypy: allow-untyped-calls
"""
The open ports, and the short visits: a whole simple request in one segment is answered at once.

Thousands of nodes knock within a second, each for a text of half a kilobyte.  Twisted's channel,
request and headers cost three times what there is to decide, so a visitor gets none of them while
its requests are plain: a GET or HEAD that has come whole, alone, in HTTP/1.1, without a body, whose
answer is at hand and small.  Everything else (a request in pieces or several at once, one with a
body, one that is no HTTP, an answer that is late, or does not fit into the socket) is for
the ordinary ``Channel``: the connection is handed over with what was read of it and, where the
site was asked already, with its reply, so that nobody is asked twice.

Both write the same bytes and publish the same events; ``tests/http/test_door.py`` compares.

::

    accept -> admitted? -> a Visitor (``visitor``), which reads, answers and waits for the next
                |
              reset

Sockets are in an epoll of our own, one reader to the reactor: a turn of it serves _AT_ONCE of them
and then lets others in.  A visitor has the site's REQUEST_S for each request, as in a channel.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import address
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from netbootd.http.visitor import Visitor
from netbootd.opener.client import LowSocket

#: Connections the kernel keeps until we accept them; cut to net.core.somaxconn.  A thousand nodes
#: that are switched on together knock within the same second.
BACKLOG = 4096
#: Sockets that are served, and connections accepted, before the reactor turns to others.
_AT_ONCE = 256
#: Seconds that the kernel waits for the first bytes of a connection before we hear of it (tcp(7)).
_DEFER_S = 1
_SWEEP_S = 5.0  # how often those that have waited for too long are looked for
_SHORT_OF_FILES_S = 0.2  # until the next try where there are no descriptors left
_TOLD_EACH_S = 60.0
_OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = Logger(namespace="netbootd.http")


@implementer(IReadDescriptor)
class Door:
    """The open ports of *site* and its short visitors."""

    def __init__(self, reactor: Any, site: Any) -> None:
        self._reactor = reactor
        self.site = site
        self._epoll: select.epoll | None = None
        self._wakes: dict[int, Callable[[], None]] = {}
        #: Visitors that may ask for more; each knows when it has waited for too long.
        self._waiting: set[Visitor] = set()
        self._sweeps: Any = None

    def open(self, number: int) -> Port:
        """Listen on the TCP port *number*, 0 for any that is free; raises OSError."""
        port = Port(self._reactor, self, number)
        self.register(port.socket, port.accept)
        return port

    def close(self) -> None:
        """Send all visitors away."""
        for visitor in list(self._waiting):
            visitor.close()
        if self._sweeps is not None and self._sweeps.active():
            self._sweeps.cancel()
        if self._epoll is not None:
            self._reactor.removeReader(self)
            self._epoll.close()
            self._epoll = None
            self._wakes.clear()

    # -- the epoll -----------------------------------------------------------------------------

    def register(self, connection: socket.socket, wake: Callable[[], None]) -> None:
        """Call *wake* whenever *connection* has something to read."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._reactor.addReader(self)
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        self._wakes[connection.fileno()] = wake

    def forget(self, connection: socket.socket) -> None:
        """No more of it."""
        if self._epoll is not None and self._wakes.pop(connection.fileno(), None) is not None:
            self._epoll.unregister(connection.fileno())

    def fileno(self) -> int:
        """The epoll's own descriptor."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        """For Twisted."""
        return "http"

    def connectionLost(self, reason: object) -> None:
        """For Twisted; the reactor ends."""

    def doRead(self) -> None:
        """Serve some of those that have something to say."""
        if self._epoll is None:
            return
        for number, _ in self._epoll.poll(0, _AT_ONCE):
            wake = self._wakes.get(number)
            if wake is not None:
                try:
                    wake()
                except Exception:
                    log.failure("fault at the door")

    # -- who waits -----------------------------------------------------------------------------

    def await_requests(self, visitor: Visitor) -> None:
        """*visitor* may take its time for each from now on."""
        self._waiting.add(visitor)
        if self._sweeps is None or not self._sweeps.active():
            self._sweeps = self._reactor.callLater(_SWEEP_S, self._sweep)

    def gone(self, visitor: Visitor) -> None:
        """*visitor* waits no more."""
        self._waiting.discard(visitor)

    def _sweep(self) -> None:
        now = self.site.clock.seconds()
        for visitor in [one for one in self._waiting if one.until <= now]:
            visitor.close()
        if self._waiting:
            self._sweeps = self._reactor.callLater(_SWEEP_S, self._sweep)


class Port:
    """One listening socket, in what Twisted's own has of an interface."""

    def __init__(self, reactor: Any, door: Door, number: int) -> None:
        self._reactor = reactor
        self._door = door
        self._count = 0
        self._told = -_TOLD_EACH_S  # when it was last said that there are no descriptors left
        self.socket = LowSocket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER_S)
            self.socket.bind(("", number))
            self.socket.listen(BACKLOG)
        except OSError:
            self.socket.close()
            raise
        self._realPortNumber = self.socket.getsockname()[1]  # Twisted's transports tell it

    def getHost(self) -> address.IPv4Address:
        """Where it is."""
        return address.IPv4Address("TCP", *self.socket.getsockname())

    def stopListening(self) -> None:
        """No new visitors; those that are there may stay."""
        self._door.forget(self.socket)
        self.socket.close()

    def accept(self) -> None:
        """Let some in, and read what they have brought along."""
        for _ in range(_AT_ONCE):
            try:
                connection, peer = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno in _OUT_OF_FILES:
                    self._pause()
                    return
                continue  # it went before it was let in (accept(2))
            self._count += 1
            Visitor(self._reactor, self._door, self, connection, peer, self._count).enter()

    def _pause(self) -> None:
        """Those who wait in the backlog would wake us without end."""
        if (now := self._reactor.seconds()) - self._told >= _TOLD_EACH_S:
            log.warn("no descriptor is left for another connection; it waits")
            self._told = now
        self._door.forget(self.socket)
        self._reactor.callLater(_SHORT_OF_FILES_S, self._resume)

    def _resume(self) -> None:
        if self.socket.fileno() >= 0:
            self._door.register(self.socket, self.accept)
