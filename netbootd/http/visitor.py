# mypy: allow-untyped-calls
"""
One visitor at the door: what it asks for, what it is sent, and when it is handed over.

::

    read -> simple? -> site.answer -> short? -> send -> wait for the next
      |        |                       |          |          |
    closed     |                       +- long? --|- lent to Bodies
               +-------- handed over --+----------+-> Channel, for good
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

from twisted.internet import address, tcp
from twisted.logger import Logger

from netbootd.events.event import Served
from netbootd.events.progress import Progress
from netbootd.http import simple
from netbootd.http.bodies import SMALL
from netbootd.http.body import Sent
from netbootd.http.channel import Made, progress_of, tell_begin, tell_end
from netbootd.http.resource import Answer, Asked, Part, Reply, asked_simply

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, and say so (socket(7))
_NOTHING = Sent(0)  # of a file
_NO_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

log = Logger(namespace="netbootd.http")


class Keeper(Protocol):
    """Whoever keeps the door: knows who waits at it, and wakes whom something has come for."""

    site: Any

    def register(self, connection: socket.socket, wake: Callable[[], None]) -> None: ...

    def forget(self, connection: socket.socket) -> None: ...

    def await_requests(self, visitor: Visitor) -> None: ...

    def gone(self, visitor: Visitor) -> None: ...


class Visitor:
    """One connection, until it ends or is handed over."""

    __slots__ = (
        "_body",
        "_connection",
        "_door",
        "_here",
        "_is_lent",
        "_known",
        "_number",
        "_peer",
        "_port",
        "_reactor",
        "until",
    )

    def __init__(
        self,
        reactor: Any,
        door: Keeper,
        port: Any,
        connection: socket.socket,
        peer: tuple[str, int],
        number: int,
    ) -> None:
        self._reactor = reactor
        self._door = door
        self._port = port
        self._connection = connection
        self._peer = peer
        self._number = number
        self._here: tuple[str, int] = connection.getsockname()
        self._known = False
        self._is_lent = False
        #: When it has waited for too long, by the site's clock.
        self.until = 0.0
        self._body: tuple[Served | None, float] = (None, 0.0)

    def enter(self) -> None:
        """Whoever is not served is sent away before a byte is read."""
        site = self._door.site
        if site.allowed(self._here[0]) and site.guests.enter(self, self._peer[0]):
            self.read()
        else:
            self._reset()

    def close(self) -> None:
        """The end."""
        self._leave()
        self._door.site.guests.leave(self)
        self._connection.close()

    def send_away(self) -> None:
        """Its place is wanted; the thread for bodies lets go of the connection first."""
        if self._is_lent:
            with contextlib.suppress(OSError):  # it is gone
                self._connection.shutdown(socket.SHUT_RDWR)
        else:
            self._reset()

    def _leave(self) -> None:
        if self._known:
            self._known = False
            self._door.forget(self._connection)
            self._door.gone(self)
            self._door.site.guests.answered(self)

    def _stay(self) -> None:
        """Wait for the next request."""
        if not self._known:
            try:
                self._door.register(self._connection, self.read)
            except OSError as problem:  # epoll(7): max_user_watches
                log.warn("a connection cannot be waited for: {problem}", problem=str(problem))
                self.close()
                return
            self._known = True
            self._door.await_requests(self)
        site = self._door.site
        site.guests.waits(self)
        self.until = site.clock.seconds() + site.timeOut

    def read(self) -> None:
        """What has come: a request, an end, or too little."""
        try:
            data = self._connection.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._stay()
        except OSError:
            self.close()
        else:
            if data:
                self._serve(data)
            else:
                self.close()

    def _serve(self, data: bytes) -> None:
        request = simple.read(data)
        if request is None:
            self._hand_over(data)
            return
        method, target, head = request
        site = self._door.site
        begun = site.clock.seconds()
        asked = asked_simply(
            method, target, head.headers, self._here, self._peer[0], site.live.sightings
        )
        try:
            reply = site.answer(asked)
        except Exception:
            log.failure("fault while answering {path!r}", path=asked.path[:200])
            self.close()
            return
        if type(reply) is Answer and (text := _text(reply)) is not None:
            get = method == b"GET"
            first = simple.head_of(reply, close=head.close)
            self._send(first + text if get else first, close=head.close)
            tell_end(site, reply.event, _NOTHING, head=not get, begun=begun)
        else:
            self._serve_file(data, Made(asked, reply), head, begun)

    def _serve_file(self, data: bytes, made: Made, head: simple.Head, begun: float) -> None:
        asked, reply = made
        if _is_long(reply, asked):
            self._lend(data, made, head, begun)
            return
        body = _short(reply, asked)
        if body is None:
            self._hand_over(data, made)
            return
        assert isinstance(reply, Answer)
        self._send(simple.head_of(reply, close=head.close) + body, close=head.close)
        sent, no_body = 0, asked.method == "HEAD"
        if isinstance(reply.body, Part) and not no_body:
            sent = reply.body.count
            if isinstance(reply.event, Served):
                tell_begin(self._door.site, reply.event, reply.body)
        tell_end(self._door.site, reply.event, Sent(sent), head=no_body, begun=begun)

    def _lend(self, data: bytes, made: Made, head: simple.Head, begun: float) -> None:
        """Send the headers, and have the thread for bodies send the rest by this connection."""
        answer = made.reply
        assert isinstance(answer, Answer)
        assert isinstance(answer.body, Part)
        first = simple.head_of(answer, close=head.close)
        try:
            if self._connection.getblocking():  # sendfile(2) has no flag for it
                self._connection.setblocking(False)
            self._wait_for_more(True)
            sent = self._connection.send(first, socket.MSG_DONTWAIT | socket.MSG_MORE)
        except OSError:  # no room, for one
            sent = 0
        if not sent:
            self._hand_over(data, made)
            return
        self._leave()
        self._is_lent = True
        part, site = answer.body, self._door.site
        self._body = answer.event if isinstance(answer.event, Served) else None, begun
        done = site.bodies.lend(self, self._connection, part, first[sent:])
        if self._body[0] is not None:
            tell_begin(site, self._body[0], part)
        done.addCallback(self._lent, answer, part, head.close, begun)

    def progress(self, sent: int) -> Progress | None:
        """*sent* bytes of the body are out; None for what is no file's."""
        served, begun = self._body
        return progress_of(self._door.site, served, sent, begun=begun)

    def _lent(self, sent: Sent, *of_it: Any) -> None:
        """A fault is caught here: an errback of its own is half a kilobyte for each that waits."""
        try:
            self._take_back(sent, *of_it)
        except Exception:
            log.failure("fault after a body")

    def _take_back(self, sent: Sent, answer: Answer, part: Part, close: bool, begun: float) -> None:
        """The connection is ours again."""
        self._is_lent = False
        part.content.close()
        whole = sent.count == part.count
        if whole and not close:
            with contextlib.suppress(OSError):  # it is gone
                self._wait_for_more(False)
            self._stay()
        elif whole or (sent.of_file and not sent.mixed):
            self.close()  # in good order: what was sent arrives, and then the end
        else:
            self._reset()
        tell_end(self._door.site, answer.event, sent, head=False, begun=begun)

    def _wait_for_more(self, yes: bool) -> None:
        """
        Whether the kernel may keep less than a segment until there is more (Nagle, tcp(7)).

        With TCP_NODELAY meanwhile, a GiB for a lone client costs a fifth more.  To set it sends
        what has been kept.
        """
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not yes)

    def _reset(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def _send(self, data: bytes, *, close: bool) -> None:
        """Send it, and stay or go; what the socket cannot take is for Twisted's to send."""
        try:
            sent = self._connection.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:  # it is gone, which its answer has to do with no more
            self.close()
            return
        if sent < len(data):
            transport = self._hand_over(b"")
            transport.write(data[sent:])
            if close:
                transport.protocol.loseConnection()
        elif close:
            self.close()
        else:
            self._stay()

    def _hand_over(self, data: bytes, made: Made | None = None) -> Any:
        """The connection is an ordinary one from now on, and has just received *data*."""
        self._leave()
        self._connection.setblocking(False)
        protocol = self._door.site.buildProtocol(address.IPv4Address("TCP", *self._peer))
        protocol.made = made
        self._door.site.guests.hand_over(self, protocol)
        port = self._port  # whose number is all that Twisted wants of it
        transport = tcp.Server(
            self._connection, protocol, self._peer, port, self._number, self._reactor
        )
        protocol.makeConnection(transport)
        if data:
            try:
                protocol.dataReceived(data)
            except Exception:
                log.failure("fault while answering")
                transport.abortConnection()
        return transport


def _text(answer: Answer) -> bytes | None:
    """The text of an answer that is at hand and short; None for all others."""
    body = answer.body
    if type(body) is not bytes or len(body) > SMALL or answer.status in _NO_BODY:
        return None
    return body


def _is_long(reply: Reply, asked: Asked) -> bool:
    """Whether it is a file for the thread that sends bodies."""
    if type(reply) is not Answer or not isinstance(reply.body, Part):
        return False
    return reply.body.count > SMALL and asked.method == "GET"


def _short(reply: Reply, asked: Asked) -> bytes | None:
    """The bytes of a file that is at hand and short; None for all else, which stays as it is."""
    if type(reply) is not Answer or reply.status in _NO_BODY:
        return None
    body = reply.body
    if isinstance(body, bytes):
        return None
    return _whole(body) if asked.method == "GET" else _unread(body)


def _whole(part: Part) -> bytes | None:
    if part.count > SMALL:
        return None
    try:
        data = part.content.read(part.offset, part.count)
    except OSError:
        return None
    if len(data) < part.count:  # it has become shorter
        return None
    part.content.close()
    return data


def _unread(part: Part) -> bytes:
    part.content.close()
    return b""
