# mypy: allow-untyped-calls
"""
A body that goes through TLS: read by pieces in a thread, encrypted and written by Twisted.

``sendfile`` is of no use where every byte is to be encrypted, so the ordinary thread for bodies has
no part in this.  A piece is asked for when the one before it was written and the connection has
room, so one body holds one piece beside what is in the connection.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from zope.interface import implementer

from netbootd.http.body import SHORTER, STALLED, OnBack, Sent
from netbootd.http.resource import Part

_PIECE = 64 << 10  # bytes


@implementer(IPushProducer)
class Copied:
    """
    One body under way: *part*, for *request*.  As ``body.Body`` for those who watch it.

    The content may be closed when ``done`` fires: no thread reads it any more.
    """

    def __init__(self, request: Any, part: Part, on_back: OnBack) -> None:
        self.request = request
        self.sent = 0
        self.done: Deferred[Sent] = Deferred()
        self._part = part
        self._on_back = on_back
        self._paused = self._reading = self._gone = False
        self._why = ""
        self._patience: Any = None
        self._reactor: Any = None
        self._stall_s = 0.0

    def begin(self, reactor: Any, stall_s: float) -> None:
        """Write the headers and what follows them."""
        self._reactor, self._stall_s = reactor, stall_s
        self._patience = reactor.callLater(stall_s, self.abort, STALLED)
        self.request.notifyFinish().addErrback(lambda _: self._lost())
        self.request.registerProducer(self, True)
        self._go_on()

    def abort(self, why: str) -> None:
        """Give the client up."""
        self._why = self._why or why
        self.request.transport.abortConnection()

    def orphaned(self) -> None:
        """The thread that sends other bodies is no more, which is nothing to this one."""

    def pauseProducing(self) -> None:
        """The connection is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It has room again."""
        self._paused = False
        self._go_on()

    def stopProducing(self) -> None:
        """The connection is lost, which its request tells as well."""

    def _go_on(self) -> None:
        if self._paused or self._reading or self._gone:
            return
        self._reading = True
        part = self._part
        count = min(_PIECE, part.count - self.sent)
        read = deferToThread(part.content.read, part.offset + self.sent, count)
        read.addCallbacks(self._take, self._unreadable)

    def _take(self, data: bytes) -> None:
        self._reading = False
        if self._gone:
            self._end()
            return
        if not data:
            self._broken(SHORTER)
            return
        self.sent += len(data)
        self._patience.reset(self._stall_s)
        self.request.write(data)
        if self.sent == self._part.count:
            self.request.unregisterProducer()
            self._gone = True
            self._end()
            self.request.finish()
        else:
            self._go_on()

    def _unreadable(self, failure: Failure) -> None:
        self._reading = False
        if self._gone:
            self._end()
        else:
            self._broken(getattr(failure.value, "strerror", "") or str(failure.value))

    def _broken(self, why: str) -> None:
        """The file is at fault: the connection ends before the body does, so that it is noticed."""
        self._gone, self._why = True, why
        self.request.unregisterProducer()
        self.request.loseConnection()
        self._end(of_file=True)

    def _lost(self) -> None:
        """The client has gone, or was sent away; a thread may still be reading."""
        if not self._gone:
            self._gone = True
            if not self._reading:
                self._end()

    def _end(self, *, of_file: bool = False) -> None:
        if self._patience.active():
            self._patience.cancel()
        why = self._why if self.sent < self._part.count else ""
        self._on_back(self, Sent(self.sent, why, of_file=of_file))
