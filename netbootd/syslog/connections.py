"""
Syslog over TCP: the connections, which are bounded in number, and wait while the log is behind.

A node that is switched off never says goodbye, so its connection is found dead by the kernel's own
probes (RFC 9293, 3.8.4); and where there are too many, the one that has been silent for longest
goes.  A plain TCP sender does not learn that its last line was not read, so a connection that is
merely quiet is left alone for hours.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall

from netbootd.errors import WireError
from netbootd.syslog.framing import Frames
from netbootd.syslog.inbox import Inbox
from netbootd.syslog.senders import Senders

MOST = 2048  # connections, of all senders
MOST_OF_ONE = 16
_IDLE_S = 4 * 3600.0
_FRAME_S = 120.0  # for the rest of a message that has begun
_LOOK_S = 10.0
_PAUSE_S = 0.05
_PROBES = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class Connection(Protocol):
    """One sender's stream."""

    transport: Any

    def __init__(self, room: Connections) -> None:
        self.peer, self.port = "", 0
        self.heard = 0.0
        self.begun: float | None = None  # since when a message lacks its rest
        self._room = room
        self._frames = Frames()

    def connectionMade(self) -> None:
        """Let it in, if it may."""
        address = self.transport.getPeer()
        self.peer, self.port = address.host, address.port
        self._room.enter(self)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of a few messages, or of a part of one."""
        try:
            frames = self._frames.feed(data)
        except WireError as problem:
            self._room.broken(self, str(problem))
            return
        if frames or not self._frames.pending:
            self.begun = None
        if self._frames.pending and self.begun is None:
            self.begun = self._room.seconds()
        self._room.received(self, frames)

    def connectionLost(self, reason: Any = None) -> None:
        """It is over."""
        self.finish()

    def finish(self) -> None:
        """What it had begun to say is a message too; nothing more is taken of it."""
        self._room.received(self, self._frames.end())
        self._room.leave(self)


class Connections(Factory):
    """
    All of them; *now* gives Unix seconds.  ``refused`` counts those that had to go because there
    were too many, or that sent what cannot be read.
    """

    noisy = False

    def __init__(
        self, reactor: Any, inbox: Inbox, senders: Senders, now: Callable[[], float]
    ) -> None:
        self.refused = 0
        self.seconds = reactor.seconds
        self._inbox = inbox
        self._senders = senders
        self._now = now
        self._all: OrderedDict[Connection, None] = OrderedDict()
        self._of: dict[str, OrderedDict[Connection, None]] = {}
        self._resume = LoopingCall(self._perhaps_resume)
        self._look = LoopingCall(self._end_stuck)
        self._resume.clock = self._look.clock = reactor

    def buildProtocol(self, _address: IAddress | None) -> Connection:
        """A connection has come."""
        return Connection(self)

    def __len__(self) -> int:
        return len(self._all)

    # -- for the connections -------------------------------------------------------------------

    def enter(self, connection: Connection) -> None:
        """It is here; others may have to go for it."""
        if not self._senders.allows(connection.peer):
            self._senders.refused += 1
            connection.transport.abortConnection()
            return
        transport = connection.transport
        transport.setTcpKeepAlive(1)
        for option, value in _PROBES:
            transport.socket.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.heard = self.seconds()
        own = self._of.setdefault(connection.peer, OrderedDict())
        self._all[connection] = own[connection] = None
        if len(own) > MOST_OF_ONE:
            self._refuse(next(iter(own)))
        elif len(self._all) > MOST:
            self._refuse(next(iter(self._all)))
        if self._resume.running:
            transport.pauseProducing()
        if not self._look.running:
            self._look.start(_LOOK_S, now=False)

    def received(self, connection: Connection, frames: list[bytes]) -> None:
        """Messages have come over it."""
        if connection not in self._all:
            return
        connection.heard = self.seconds()
        self._all.move_to_end(connection)
        self._of[connection.peer].move_to_end(connection)
        received = self._now()
        for frame in frames:
            self._inbox.counts["received_tcp"] += 1
            if self._senders.takes(connection.peer, connection.heard):
                self._inbox.take(frame, connection.peer, connection.port, received)
        if self._inbox.is_high and not self._resume.running:
            self._pause()

    def broken(self, connection: Connection, problem: str) -> None:
        """It cannot be read any further; that is told in its own log."""
        text = f"<43>netbootd: connection closed: {problem}".encode()  # syslog.err
        self._inbox.take(text, connection.peer, connection.port, self._now())
        self._refuse(connection)

    def leave(self, connection: Connection) -> None:
        """It has ended."""
        if self._all.pop(connection, self) is self:
            return
        own = self._of[connection.peer]
        del own[connection]
        if not own:
            del self._of[connection.peer]
        if not self._all and self._look.running:
            self._look.stop()

    def close(self) -> None:
        """All of them end."""
        for connection in list(self._all):
            connection.transport.loseConnection()
        if self._resume.running:
            self._resume.stop()

    # -- for themselves ------------------------------------------------------------------------

    def _refuse(self, connection: Connection) -> None:
        self.refused += 1
        connection.finish()  # at once: what is aborted is told so only in the reactor's next turn
        connection.transport.abortConnection()

    def _pause(self) -> None:
        for connection in self._all:
            connection.transport.pauseProducing()
        self._resume.start(_PAUSE_S, now=False)

    def _perhaps_resume(self) -> None:
        if not self._inbox.is_high:
            self._resume.stop()
            for connection in self._all:
                connection.transport.resumeProducing()

    def _end_stuck(self) -> None:
        now = self.seconds()
        for connection in list(self._all):
            stuck = connection.begun is not None and now - connection.begun > _FRAME_S
            if stuck or now - connection.heard > _IDLE_S:
                self._refuse(connection)
