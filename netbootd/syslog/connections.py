"""
Syslog over TCP: the connections, which are bounded in number, and wait while the log is behind.

What they bring is read piece by piece, a piece of each in turn, and for a short time only before
the reactor may serve others: a few bytes can be thousands of messages.  A connection whose last
bytes were not read yet is paused, so it holds no more than these.

A node that is switched off never says goodbye, so its connection is found dead by the kernel's own
probes (RFC 9293, 3.8.4); and where there are too many, the one that has been silent for longest
goes.  A plain TCP sender does not learn that its last line was not read, so a connection that is
merely quiet is left alone for hours.
"""

from __future__ import annotations

import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall

from netbootd.opener.client import LowSocket
from netbootd.syslog.framing import Frames
from netbootd.syslog.inbox import TURN_S, Inbox
from netbootd.syslog.senders import Senders

MOST = 2048  # connections, of all senders
MOST_OF_ONE = 16
#: Bytes of messages that lack their rest, of all connections: 256 of the longest.
MOST_HELD = 64 << 20
_IDLE_S = 4 * 3600.0
_FRAME_S = 120.0  # for the rest of a message that has begun
_LOOK_S = 10.0
_PAUSE_S = 0.05
_AT_ONCE = 1 << 13  # bytes that a connection holds unread
_PIECE = 512  # bytes of them that are read before another's turn
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
        self._unread = b""
        self._counted = 0

    @property
    def held(self) -> int:
        """Bytes of a message that lacks its rest."""
        return self._frames.pending

    def connectionMade(self) -> None:
        """Let it in, if it may."""
        address = self.transport.getPeer()
        self.peer, self.port = address.host, address.port
        self.transport.bufferSize = _AT_ONCE
        self._room.enter(self)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of a few messages, or of a part of one: they wait for their turn."""
        self._unread += data
        self.transport.pauseProducing()
        self._room.wait(self)

    def read_on(self) -> bool:
        """A piece of what has come; whether there is more."""
        piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
        frames = self._frames.feed(piece)
        if frames or not self._frames.pending:
            self.begun = None
        if self._frames.pending and self.begun is None:
            self.begun = self._room.seconds()
        self._room.received(self, frames)
        self._count()
        if self._frames.problem:
            self._unread = b""
            self._room.broken(self, self._frames.problem)
        return bool(self._unread)

    def take_rest(self) -> bool:
        """What the kernel has of it; False where that is nothing."""
        self.transport.doRead()
        some = bool(self._unread)
        while self._unread:
            self.read_on()
        return some

    def connectionLost(self, reason: Any = None) -> None:
        """It is over."""
        self.finish()

    def finish(self) -> None:
        """What it had begun to say is a message too; nothing more is taken of it."""
        while self._unread:
            self.read_on()
        self._room.received(self, self._frames.end())
        self._room.leave(self)
        self._count()

    def _count(self) -> None:
        before, self._counted = self._counted, self.held
        self._room.holds(self._counted - before)


class _Port(tcp.Port):
    def createInternetSocket(self) -> socket.socket:
        """One that may have a port below 1024."""
        return LowSocket(fileno=super().createInternetSocket().detach())  # type: ignore[no-untyped-call]


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
        self._held = 0
        self._all: OrderedDict[Connection, None] = OrderedDict()
        self._of: dict[str, OrderedDict[Connection, None]] = {}
        self._reactor = reactor
        self._waiting: deque[Connection] = deque()  # with something unread
        self._turn: Any = None  # a timer, while there are any
        self._look = LoopingCall(self._end_stuck)
        self._look.clock = reactor

    def listen(self, port: int, backlog: int, address: str) -> Any:
        """As ``reactor.listenTCP``; raises CannotListenError as well."""
        factory = cast(IProtocolFactory, self)
        opened = _Port(port, factory, backlog, address, self._reactor)
        opened.startListening()
        return opened

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

    def holds(self, more: int) -> None:
        """So many bytes *more* wait for their rest; where that is too much, who has most goes."""
        self._held += more
        if self._held > MOST_HELD:
            self._refuse(max(self._all, key=lambda one: one.held))

    def wait(self, connection: Connection) -> None:
        """It has something unread."""
        self._waiting.append(connection)
        self._soon(0.0)

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

    def close(self, end: float) -> None:
        """All of them end; what has come of them is read until *end*, in the reactor's seconds."""
        for connection in list(self._all):
            while self.seconds() < end and connection in self._all and connection.take_rest():
                pass
        for connection in list(self._all):
            connection.transport.loseConnection()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    # -- for themselves ------------------------------------------------------------------------

    def _refuse(self, connection: Connection) -> None:
        self.refused += 1
        connection.finish()  # at once: what is aborted is told so only in the reactor's next turn
        connection.transport.abortConnection()

    def _soon(self, seconds: float) -> None:
        if self._turn is None:
            self._turn = self._reactor.callLater(seconds, self._read_on)

    def _read_on(self) -> None:
        """A piece of each in turn, for a moment; none while the log is behind."""
        self._turn = None
        until = self.seconds() + TURN_S
        while self._waiting and not self._inbox.is_high:
            connection = self._waiting.popleft()
            if connection.read_on():
                self._waiting.append(connection)
            elif connection in self._all:
                connection.transport.resumeProducing()
            if self.seconds() >= until:
                break
        if self._waiting:
            self._soon(_PAUSE_S if self._inbox.is_high else 0.0)

    def _end_stuck(self) -> None:
        now = self.seconds()
        for connection in list(self._all):
            stuck = connection.begun is not None and now - connection.begun > _FRAME_S
            if stuck or now - connection.heard > _IDLE_S:
                self._refuse(connection)
