"""
One body on its way through two threads: its states, and whose connection it has meanwhile.

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

The end is held back
--------------------
sendfile(2) lends the file's own pages to the connection: what overwrites the file changes what is
still on its way.  So the last bytes are copied, and the very last go when the client's TCP has
confirmed all that was lent, and the file is still the one that was opened.  Otherwise the
connection is reset, and no client takes what it has for the whole.  The helper asks for that at
intervals (there is no event for it); the copied ones keep the line busy meanwhile.

If the helper itself fails, it ends, and the bodies under way end with it: those it had come BACK,
those in HEADERS lose their connections.  The next body starts a new helper.

Orders go to the helper through one queue, so that "drop" cannot overtake "take"; a "drop" for a
body that is already on its way back finds nothing to do.  The helper obeys after it has served what
epoll told it, so that no event can meet a newcomer with an old number.  The way back is
``reactor.callFromThread``.  The Deferred fires in BACK only, so whoever waits for it may close the
file.

A visitor at the door has no Twisted around it: it has sent its headers and waits for nothing else,
so its own descriptor is lent and nobody closes it before it is BACK.  It begins in SENDING; to drop
it, its connection is shut down.

What is odd: Twisted calls a pull producer at once when it is registered, before the headers have
left; the first call is therefore not the signal.  And Twisted's own HTTPChannel is the transport's
producer at all other times: it is put back, and told to resume, because it may have been paused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import sys
import termios
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from netbootd.http.resource import Part

#: Bytes one connection gets before the next is served.  More costs less CPU and makes the others
#: wait longer: in a storm of 500 the helper took 3.9 s of CPU with 2 MiB, as nginx has
#: (sendfile_max_chunk), 3.5 with 4 and 3.3 with 8.
PER_TURN = 4 << 20

#: What a file system says that has no sendfile(2) for its files, as some of FUSE have not.
_NO_SENDFILE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_COPIED = 64 << 10  # bytes at a time: 256 KiB cost 0.42 s/GB, out of the cache, these 0.30
_HELD_BACK = 16 << 10  # of a lent file, until all else of it is confirmed

STALLED = "the client has long taken nothing"
SHORTER = "the file has become shorter"
_FAULT = "a fault of ours; the log has more"


@dataclass(frozen=True, slots=True)
class Sent:
    """
    How a body ended: after *count* bytes that the kernel took, or of one that is short, that the
    client's TCP confirmed: the kernel takes megabytes ahead.

    *problem* is why we could not send the rest, empty if the client went away or has it all;
    *of_file*: it is with the file and not with the connection; *mixed*: what was sent may be of
    the file as it was and of what it is now.
    """

    count: int
    problem: str = ""
    of_file: bool = False
    mixed: bool = False


#: Called when a body is BACK.
OnBack = Callable[[Any, Sent], None]


class Sender(Protocol):
    """The helper, as the reactor speaks to it."""

    def take(self, body: Body) -> None:
        """Send it from now on."""

    def drop(self, body: Body) -> None:
        """Let go of it, if it is still there."""


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


class Body(ABC):
    """
    One body under way: *part*, which *request* asked for; the module's text has its states.

    *socket*, *offset*, *left*, *moved_at*, *left_then*, *unconfirmed*, *problem*, *mixed* and
    *stalled* are the helper's while SENDING, everything else is the reactor's.
    """

    def __init__(self, request: Any, part: Part, sender: Sender, on_back: OnBack) -> None:
        self.content = part.content
        self.offset = part.offset
        self.left = part.count
        self.moved_at = 0.0  # when it was seen to get on, with so many bytes left
        self.left_then = 0
        self.unconfirmed = 0  # bytes that the kernel had left when the helper let go of them
        self.problem = ""  # why the *file* could not be sent to its end
        self.mixed = False  # because it changed
        self._lent_to: int | None = None  # the end of what was lent and not copied
        self.stalled = False
        self._copies = False  # its file system does not give files away by sendfile(2)
        self.done: Deferred[Sent] = Deferred()
        self.request = request
        self._count = part.count
        self._sender = sender
        self._on_back = on_back
        self._lost = False
        self._given_up = ""  # why the *connection* was ended by us
        self.socket = -1
        self._state = _State.HEADERS

    # -- in the reactor ------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """Bytes that the kernel took."""
        return self._count - self.left

    @abstractmethod
    def abort(self, why: str) -> None:
        """Give the client up; the way back is that of every lost connection."""

    @abstractmethod
    def orphaned(self) -> None:
        """The helper is no more."""

    @abstractmethod
    def _give_back_the_connection(self) -> None:
        """It is for others to go on with."""

    def back(self) -> None:
        """Nobody else touches this body any more."""
        self._state = _State.BACK
        if not self._lost:
            self._give_back_the_connection()
        arrived = max(self.sent - self.unconfirmed, 0)
        why = self._why() if self.left else ""
        of_file = bool(self.left and self.problem)
        self._on_back(self, Sent(arrived, why, of_file=of_file, mixed=self.mixed))

    def _why(self) -> str:
        return self.problem or self._given_up or (STALLED if self.stalled else "")

    # -- in the helper -------------------------------------------------------------------------

    @abstractmethod
    def close_socket(self) -> None:
        """Let go of the descriptor, once: its number soon belongs to somebody else."""

    def measure(self) -> None:
        """See how much of a short body is still in the kernel's hands."""
        if self.left:
            self.unconfirmed = _unconfirmed(self.socket)

    def step(self) -> bool:
        """
        Send what there is room for; raises OSError as write(2) and sendfile(2) do, and Changed.

        False where the end is to wait until ``confirmed``.
        """
        if self.content.held is not None:
            view = self.content.view(self.offset, min(self.left, PER_TURN))
            sent = os.write(self.socket, view)
        elif (lent := self.left - _COPIED - _HELD_BACK) > 0 and not self._copies:
            sent = self._sendfile(min(lent, PER_TURN))
            self.content.confirm()
        elif (ahead := self.left - _HELD_BACK) > 0:
            sent = self._copy(min(ahead, _COPIED))
        elif self.confirmed():
            sent = self._copy(self.left)
        else:
            return False
        if not sent:
            raise EOFError(SHORTER)
        self.offset += sent
        self.left -= sent
        return True

    def confirmed(self) -> bool:
        """Whether the client's TCP has all that was lent."""
        lent_to = self._lent_to
        return lent_to is None or _unconfirmed(self.socket) <= self.offset - lent_to

    def _sendfile(self, count: int) -> int:
        try:
            sent = os.sendfile(self.socket, self.content.fd, self.offset, count)
        except OSError as problem:
            if problem.errno not in _NO_SENDFILE:
                raise
            self._copies = True
            return self._copy(min(count, _COPIED))
        self._lent_to = self.offset + sent
        return sent

    def _copy(self, count: int) -> int:
        return os.write(self.socket, self.content.read(self.offset, count))


class Written(Body):
    """One for a request of Twisted's, whose pull producer it is meanwhile."""

    def __init__(self, request: Any, part: Part, sender: Sender, on_back: OnBack) -> None:
        super().__init__(request, part, sender, on_back)
        self._channel = request.channel
        self._transport = request.channel.transport
        self.socket = os.dup(self._transport.fileno())
        self._drained = False
        self._patience: Any = None  # a timer, while in HEADERS

    def begin(self, reactor: Any, stall_s: float) -> None:
        """Write the headers, and wait until they have left."""
        self._patience = reactor.callLater(stall_s, self.abort, STALLED)
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
            self._sender.take(self)

    def stopProducing(self) -> None:
        """The connection is lost; Twisted forgets us by itself."""
        self._lost = True
        if self._state is _State.HEADERS:
            if self._patience.active():
                self._patience.cancel()
            self.close_socket()
            self.back()
        elif self._state is _State.SENDING:
            self._sender.drop(self)

    def abort(self, why: str) -> None:
        if not self._lost:
            self._given_up = why
            self._transport.abortConnection()

    def orphaned(self) -> None:
        self._given_up = _FAULT
        if self._state is _State.SENDING:
            self.close_socket()
            self.back()
        else:
            self.abort(_FAULT)

    def _give_back_the_connection(self) -> None:
        self._transport.unregisterProducer()
        self._transport.registerProducer(self._channel, True)
        self._channel.resumeProducing()
        if not self.left:
            self.request.finish()
        elif self.problem and not self.mixed:
            self.request.loseConnection()  # in good order: what was sent arrives, and then the end
        else:
            self._transport.abortConnection()

    def close_socket(self) -> None:
        number, self.socket = self.socket, -1
        if number >= 0:
            os.close(number)


class Lent(Body):
    """One whose connection is a visitor's at the door; *head* is to be sent before it."""

    def __init__(
        self,
        visitor: Any,
        connection: socket.socket,
        part: Part,
        sender: Sender,
        on_back: OnBack,
        head: bytes = b"",
    ) -> None:
        super().__init__(visitor, part, sender, on_back)
        self._head = head
        self._connection = connection
        self.socket = connection.fileno()
        self._state = _State.SENDING

    def lend(self) -> None:
        """The helper's from now on."""
        self._sender.take(self)

    def abort(self, why: str) -> None:
        self._given_up = why
        with contextlib.suppress(OSError):  # it is gone
            self._connection.shutdown(socket.SHUT_RDWR)

    def orphaned(self) -> None:
        self._given_up = _FAULT
        if self._state is _State.SENDING:
            self.back()

    def step(self) -> bool:
        if self._head:
            self._head = self._head[os.write(self.socket, self._head) :]
            return True
        return super().step()

    def _give_back_the_connection(self) -> None:
        """Whoever waits for the end has it."""

    def close_socket(self) -> None:
        self.socket = -1
