"""
Bodies leave through one helper thread with sendfile(2), beside the reactor and never in its way;
those of HTTPS by Twisted (``copied``).

Interface: ``Bodies.send(request, part)`` for a request of Twisted's, and ``Bodies.lend`` for a
visitor at the door.  ``body`` has the states of a body, ``helper`` the thread, and ``precedence``
how it gives way.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from netbootd.http.body import SHORTER, Body, Lent, Sent, Written
from netbootd.http.copied import Copied
from netbootd.http.helper import Helper
from netbootd.http.precedence import giving_way
from netbootd.http.resource import Part

#: Bodies of up to so many bytes are simply written: the way through the helper costs more.
SMALL = 64 << 10
#: Seconds without a byte accepted after which a client is given up.
STALL_S = 300.0

log = Logger(namespace="netbootd.http")


class Bodies:
    """
    The reactor's side: begins bodies, and takes them back.

    ``start`` before the first ``send``; ``stop`` at the end, and nothing after it.
    """

    def __init__(self, reactor: Any, stall_s: float = STALL_S) -> None:
        self._reactor = reactor
        self._stall_s = stall_s
        self._under_way: set[Body | Copied] = set()
        self._helper: Helper | None = None
        self._emptied: Deferred[None] | None = None

    def __len__(self) -> int:
        """How many bodies are under way."""
        return len(self._under_way)

    def under_way(self) -> list[tuple[Any, int]]:
        """
        The requests whose bodies are under way, each with the bytes of it that the kernel took.

        What the helper counts is read without asking it: a number that is a moment old will do.
        """
        return [(body.request, body.sent) for body in self._under_way]

    def start(self) -> None:
        """Start the helper thread."""
        self._helper = Helper(self._let_go, self._failed, self._stall_s, giving_way(self._reactor))
        self._helper.start()

    def stop(self, grace: float) -> Deferred[None]:
        """Let bodies finish for *grace* seconds, then abort the rest; fires when all have ended."""
        patience = self._reactor.callLater(grace, self._abort_all)
        self._emptied = Deferred()
        ended = self._emptied.addCallback(self._end, patience)
        self._maybe_empty()
        return ended

    def send(self, request: Any, part: Part) -> Deferred[Sent]:
        """
        Send *request*'s headers and *part*, and finish it.

        Fires when the body has ended, with fewer bytes than *part* has if the connection is over;
        never fails.  The content is the caller's to close then.  Raises OSError, with nothing sent,
        when the file cannot be read or there is no descriptor left.
        """
        if part.count <= SMALL:
            data = part.content.read(part.offset, part.count)
            return succeed(_write(request, data, part.count))
        body: Written | Copied = (
            Copied(request, part, self._back)
            if request.isSecure()
            else Written(request, part, self._sender(), self._back)
        )
        self._under_way.add(body)
        body.begin(self._reactor, self._stall_s)
        return body.done

    def lend(
        self, visitor: Any, connection: socket.socket, part: Part, head: bytes = b""
    ) -> Deferred[Sent]:
        """
        Send *part* by *connection*, which belongs to the helper meanwhile.

        The headers have been sent, but for *head*.  Fires as ``send`` does; *visitor* tells of its
        progress.
        """
        body = Lent(visitor, connection, part, self._sender(), self._back, head)
        self._under_way.add(body)
        body.lend()
        return body.done

    def _sender(self) -> Helper:
        """The helper, a new one where the last has failed."""
        if self._helper is None:
            self.start()
        assert self._helper is not None
        return self._helper

    def _let_go(self, body: Body) -> None:
        """Called in the helper thread, its last word on *body*."""
        self._reactor.callFromThread(body.back)

    def _helper_failed(self, failure: Failure) -> None:
        log.failure("the thread that sends bodies has failed; all of them end", failure)
        if self._helper is not None:
            self._helper.quit()
            self._helper = None
        for body in list(self._under_way):
            body.orphaned()

    def _failed(self, failure: Failure) -> None:
        """Called in the helper thread, its last word of all."""
        self._reactor.callFromThread(self._helper_failed, failure)

    def _back(self, body: Body | Copied, sent: Sent) -> None:
        """Whoever waits for *body* is told first: what it opens then, ``stop`` is to find."""
        self._under_way.discard(body)
        body.done.callback(sent)
        self._maybe_empty()

    def _maybe_empty(self) -> None:
        if self._emptied is not None and not self._under_way:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    def _abort_all(self) -> None:
        for body in list(self._under_way):
            body.abort("netbootd stops")

    def _end(self, _: None, patience: Any) -> None:
        if patience.active():
            patience.cancel()
        if self._helper is not None:
            self._helper.quit()
            self._helper = None


def _write(request: Any, data: bytes, count: int) -> Sent:
    """The short way; a file that shrank meanwhile ends the connection, so that it is noticed."""
    request.write(data)
    if len(data) == count:
        request.finish()
        return Sent(count)
    request.loseConnection()
    return Sent(len(data), SHORTER)
