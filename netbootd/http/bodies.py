"""
Bodies leave through one helper thread with sendfile(2), beside the reactor and never in its way.

Interface: ``Bodies.send(request, content, offset, count)``.  Everything else here is private.

Two threads and one connection
------------------------------
The reactor owns the connection from first to last: it reads (what the client sends ahead is kept
by Twisted for later, and a client that goes away is noticed), and it alone opens, closes and
aborts.  The helper owns a *duplicate* of the socket's descriptor, made for this one body.  A
descriptor number is used again as soon as it is closed, and Twisted closes when it likes; the
duplicate cannot be mistaken for another connection, because only the helper closes it.  When
Twisted closes, it shuts the socket down, which both descriptors feel: the helper's next sendfile
fails with EPIPE.

States of a body
----------------
::

    HEADERS   in the reactor; the headers are still in Twisted's buffer
      |   the buffer has drained (Twisted asks its pull producer for more): order "take" -> SENDING
      |   the connection is lost, or nothing has moved for STALL_S                      -> BACK
    SENDING   in the helper: registered with its epoll, PER_TURN bytes whenever there is room
      |   all sent; the client is gone; the file ends early or cannot be read;
      |   not a byte accepted for STALL_S                                               -> BACK
      |   the connection is lost (in the reactor): order "drop", obeyed by the helper   -> BACK
    BACK      in the reactor again, once for each body: the helper has let go of socket and file
              complete: the request is finished, and the connection goes on with the next one
              short, and the connection still there: it is closed, so that the client notices

If the helper itself fails, it ends, and the bodies under way end with it: those it had come BACK,
those in HEADERS lose their connections.  The next body starts a new helper.

Orders go to the helper through one queue, so that "drop" cannot overtake "take"; a "drop" for a
body that is already on its way back finds nothing to do.  The helper obeys after it has served what
epoll told it, so that no event can meet a newcomer with an old number.  The way back is
``reactor.callFromThread``.  The Deferred fires in BACK only, so whoever waits for it may close the
file.

What is odd: Twisted calls a pull producer at once when it is registered, before the headers have
left; the first call is therefore not the signal.  And Twisted's own HTTPChannel is the transport's
producer at all other times: it is put back, and told to resume, because it may have been paused.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from netbootd.content import Content

#: Bytes one connection gets before the next is served.  More costs less CPU and makes the others
#: wait longer; in the helper 2 MiB is where both are small, as in nginx (sendfile_max_chunk).
PER_TURN = 2 << 20
#: Bodies of up to so many bytes are simply written: the way through the helper costs more.
SMALL = 64 << 10
#: Seconds without a byte accepted after which a client is given up.
STALL_S = 300.0

_SWEEP_S = 5.0  # how often the helper looks for stalled bodies
_AT_ONCE = 256  # epoll events taken in one turn

_CLIENT_IS_GONE = {
    errno.EPIPE,
    errno.ECONNRESET,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENETDOWN,
}

log = Logger(namespace="netbootd.http")


_SHORTER = "the file has become shorter"
_STALLED = "the client has long taken nothing"
_FAULT = "a fault of ours; the log has more"


@dataclass(frozen=True, slots=True)
class Sent:
    """
    How a body ended: after *count* bytes that the kernel took, or of one that is short, that the
    client's TCP confirmed: the kernel takes megabytes ahead.

    *problem* is why we could not send the rest, empty if the client went away or has it all.
    """

    count: int
    problem: str = ""


class Bodies:
    """
    The reactor's side: begins bodies, and takes them back.

    ``start`` before the first ``send``; ``stop`` at the end, and nothing after it.
    """

    def __init__(self, reactor: Any, stall_s: float = STALL_S) -> None:
        self._reactor = reactor
        self._stall_s = stall_s
        self._under_way: set[_Body] = set()
        self._helper: _Helper | None = None
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
        self._helper = _Helper(self._let_go, self._failed, self._stall_s)
        self._helper.start()

    def stop(self, grace: float) -> Deferred[None]:
        """Let bodies finish for *grace* seconds, then abort the rest; fires when all have ended."""
        patience = self._reactor.callLater(grace, self._abort_all)
        self._emptied = Deferred()
        ended = self._emptied.addCallback(self._end, patience)
        self._maybe_empty()
        return ended

    def send(self, request: Any, content: Content, offset: int, count: int) -> Deferred[Sent]:
        """
        Send *request*'s headers and *count* bytes of *content* from *offset*, and finish it.

        Fires when the body has ended, with fewer bytes than *count* if the connection is over;
        never fails.  The content is the caller's to close then.  Raises OSError, with nothing sent,
        when the file cannot be read or there is no descriptor left.
        """
        if count <= SMALL:
            return succeed(_write(request, content.read(offset, count), count))
        if self._helper is None:  # it has failed
            self.start()
        assert self._helper is not None
        body = _Body(request, content, offset, count, self._helper, self._back)
        self._under_way.add(body)
        body.begin(self._reactor, self._stall_s)
        return body.done

    def _let_go(self, body: _Body) -> None:
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

    def _back(self, body: _Body) -> None:
        self._under_way.discard(body)
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
    return Sent(len(data), _SHORTER)


def _unconfirmed(descriptor: int) -> int:
    """
    Bytes that TCP has taken and the other end has not confirmed (SIOCOUTQ in tcp(7)); 0 where that
    is not to be learned, as on a Unix socket.
    """
    try:
        looked_at = socket.socket(fileno=descriptor)
        family = looked_at.family
        looked_at.detach()
        if family not in (socket.AF_INET, socket.AF_INET6):
            return 0
        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


class _State(Enum):
    HEADERS = auto()
    SENDING = auto()
    BACK = auto()


class _Body:
    """
    One body under way, Twisted's pull producer meanwhile; the module's text has its states.

    *socket*, *offset*, *left*, *moved_at*, *unconfirmed*, *problem* and *stalled* are the helper's
    while SENDING, everything else is the reactor's.
    """

    def __init__(
        self,
        request: Any,
        content: Content,
        offset: int,
        count: int,
        helper: _Helper,
        on_back: Callable[[_Body], None],
    ) -> None:
        self.content = content
        self.offset = offset
        self.left = count
        self.moved_at = 0.0
        self.unconfirmed = 0  # bytes that the kernel had left when the helper let go of them
        self.problem = ""  # why the *file* could not be sent to its end
        self.stalled = False
        self.done: Deferred[Sent] = Deferred()
        self.request = request
        self._channel = request.channel
        self._transport = request.channel.transport
        self.socket = os.dup(self._transport.fileno())
        self._count = count
        self._helper = helper
        self._on_back = on_back
        self._state = _State.HEADERS
        self._lost = False
        self._drained = False
        self._patience: Any = None  # a timer, while in HEADERS
        self._given_up = ""  # why the *connection* was ended by us

    # -- in the reactor ------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """Bytes that the kernel took."""
        return self._count - self.left

    def begin(self, reactor: Any, stall_s: float) -> None:
        """Write the headers, and wait until they have left."""
        self._patience = reactor.callLater(stall_s, self.abort, _STALLED)
        self.request.write(b"")
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Twisted's buffer is empty; not so in the first call, which is the registration's."""
        if not self._drained:
            self._drained = True
            self._transport.startWriting()
        elif self._state is _State.HEADERS:
            self._state = _State.SENDING
            self._patience.cancel()
            self._helper.order(self._helper.take, self)

    def stopProducing(self) -> None:
        """The connection is lost; Twisted forgets us by itself."""
        self._lost = True
        if self._state is _State.HEADERS:
            if self._patience.active():
                self._patience.cancel()
            self.close_socket()
            self.back()
        elif self._state is _State.SENDING:
            self._helper.order(self._helper.drop, self)

    def abort(self, why: str) -> None:
        """Give the client up; the way back is that of every lost connection."""
        if not self._lost:
            self._given_up = why
            self._transport.abortConnection()

    def orphaned(self) -> None:
        """The helper is no more."""
        self._given_up = _FAULT
        if self._state is _State.SENDING:
            self.close_socket()
            self.back()
        else:
            self.abort(_FAULT)

    def back(self) -> None:
        """Nobody else touches this body any more."""
        self._state = _State.BACK
        if not self._lost:
            self._give_back_the_connection()
        self._on_back(self)
        arrived = max(self.sent - self.unconfirmed, 0)
        self.done.callback(Sent(arrived, self._why() if self.left else ""))

    def _why(self) -> str:
        return self.problem or self._given_up or (_STALLED if self.stalled else "")

    def _give_back_the_connection(self) -> None:
        self._transport.unregisterProducer()
        self._transport.registerProducer(self._channel, True)
        self._channel.resumeProducing()
        if not self.left:
            self.request.finish()
        elif self.problem:
            self.request.loseConnection()  # in good order: what was sent arrives, and then the end
        else:
            self._transport.abortConnection()

    # -- in the helper -------------------------------------------------------------------------

    def close_socket(self) -> None:
        """Close the duplicate, once: its number soon belongs to somebody else."""
        number, self.socket = self.socket, -1
        if number >= 0:
            os.close(number)

    def measure(self) -> None:
        """See how much of a short body is still in the kernel's hands."""
        if self.left:
            self.unconfirmed = _unconfirmed(self.socket)

    def step(self) -> None:
        """Send what there is room for; raises OSError as write(2) and sendfile(2) do."""
        count = min(self.left, PER_TURN)
        if self.content.held is not None:
            view = memoryview(self.content.held)[self.offset : self.offset + count]
            sent = os.write(self.socket, view)
        else:
            sent = os.sendfile(self.socket, self.content.fd, self.offset, count)
        if not sent:
            raise EOFError(_SHORTER)
        self.offset += sent
        self.left -= sent
        self.moved_at = time.monotonic()


class _Helper(threading.Thread):
    """The one thread; only ``order`` and ``quit`` may be called from outside it."""

    def __init__(
        self,
        let_go: Callable[[_Body], None],
        failed: Callable[[Failure], None],
        stall_s: float,
    ) -> None:
        super().__init__(name="netbootd-bodies", daemon=True)
        self._let_go = let_go
        self._failed = failed
        self._stall_s = stall_s
        self._orders: deque[Callable[[], None]] = deque()
        self._epoll = select.epoll()  # first, since it closes itself if there is no bell to be had
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._bodies: dict[int, _Body] = {}
        self._next_sweep = 0.0
        self._quitting = False

    # -- from the reactor ----------------------------------------------------------------------

    def order(self, what: Callable[[_Body], None], body: _Body) -> None:
        """Have ``take`` or ``drop`` done to *body* by the thread."""
        self._orders.append(lambda: what(body))
        os.eventfd_write(self._bell, 1)

    def quit(self) -> None:
        """End the thread if it has not ended by itself; it lets go of nothing any more."""
        self._orders.append(self._stop)
        os.eventfd_write(self._bell, 1)
        self.join()
        self._epoll.close()
        os.close(self._bell)

    # -- in the thread -------------------------------------------------------------------------

    def run(self) -> None:
        """Turn after turn; a fault is the reactor's to log, and to clean up after."""
        try:
            while not self._quitting:
                self._turn()
        except Exception:
            self._failed(Failure())

    def _turn(self) -> None:
        """Serve whoever has room, obey orders, and now and then look for the stalled."""
        ready = dict(self._epoll.poll(_SWEEP_S if self._bodies else None, _AT_ONCE))
        rung = ready.pop(self._bell, 0)
        for fd, events in ready.items():
            self._serve(self._bodies[fd], events)
        if rung:
            self._obey()
        self._sweep(time.monotonic())

    def _obey(self) -> None:
        os.eventfd_read(self._bell)
        while self._orders:
            self._orders.popleft()()

    def take(self, body: _Body) -> None:
        """Begin to send."""
        body.moved_at = time.monotonic()
        self._bodies[body.socket] = body
        self._epoll.register(body.socket, select.EPOLLOUT)

    def drop(self, body: _Body) -> None:
        """Let go of *body*, if it is still here."""
        if self._bodies.get(body.socket) is body:
            self._release(body)

    def _stop(self) -> None:
        self._quitting = True

    def _serve(self, body: _Body, events: int) -> None:
        try:
            body.step()
        except BlockingIOError:
            if not events & (select.EPOLLERR | select.EPOLLHUP):
                return
            self._release(body)  # no room and no hope of any
        except Exception as problem:
            if getattr(problem, "errno", None) not in _CLIENT_IS_GONE:
                body.problem = str(problem)  # EIO, ESTALE, the file's end, or a fault of ours
            self._release(body)
        else:
            if not body.left:
                self._release(body)

    def _release(self, body: _Body) -> None:
        self._epoll.unregister(body.socket)
        del self._bodies[body.socket]
        body.measure()
        body.close_socket()
        self._let_go(body)

    def _sweep(self, now: float) -> None:
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_S
        for body in list(self._bodies.values()):
            if now - body.moved_at > self._stall_s:
                body.stalled = True
                self._release(body)
