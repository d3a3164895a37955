# mypy: allow-untyped-calls
"""
A connection and its requests, as Twisted knows them: what is asked becomes an ``Asked`` for the
site, and its ``Answer`` becomes bytes.  (The first line is for twisted.web.http, which has hardly
any annotations.)

What a client may cost us: 16 KiB and 500 lines of headers (Twisted's limits), all of it within
the site's REQUEST_S, and MOST_BODY bytes of a body; one beyond all reason ends the connection, and
so does one that is more than all requests together may bring (``guests``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import implementer

from netbootd.events.event import Event, Refused, Served
from netbootd.events.progress import Progress, Started
from netbootd.http.bodies import SMALL
from netbootd.http.body import Sent
from netbootd.http.guests import Guests
from netbootd.http.receipt import Receipt
from netbootd.http.resource import (
    Answer,
    Asked,
    Awaited,
    Feed,
    Part,
    Reply,
    Work,
    asked_of,
    refused,
    unreadable,
)

#: Bytes of a request's body that are kept: a VM description, the output of a node's script.
MOST_BODY = 1 << 20
#: Bytes of a body that are awaited, so that its sender can be told that it is too long.
_MOST_AWAITED = 8 << 20

log = Logger(namespace="netbootd.http")


class Made(NamedTuple):
    """A request that the site has been asked already, and its *reply*."""

    asked: Asked
    reply: Reply


class Request(http.Request):
    """One request, as Twisted knows it; *_served* is what will be told of its file's end."""

    _served: Served | None = None

    def gotLength(self, length: int | None) -> None:
        """The headers are complete, and a body may follow."""
        self.content = _Body(self.channel.loseConnection, self.channel.factory.guests)

    def process(self) -> None:
        """Answer, and publish."""
        self._site: Any = self.channel.factory
        self._begun = self._site.clock.seconds()
        channel: Any = self.channel
        self._site.guests.answered(channel)
        made, channel.made = channel.made, None
        asked = made.asked if made else self._asked()
        match made.reply if made else self._site.answer(asked):
            case Work(make=make):
                self._send_later(deferToThread(make), asked)
            case Awaited(coming=coming):
                self._send_later(Deferred.fromCoroutine(coming), asked)
            case Feed() as feed:
                self._begin(feed)
            case Answer() as answer:
                self._send(answer)

    def _send_later(self, made: Deferred[Any], asked: Asked) -> None:
        made.addErrback(self._fault, asked)
        made.addCallback(self._send_if_there)

    def _fault(self, failure: Failure, asked: Asked) -> Answer:
        log.failure("fault while answering {path!r}", failure, path=asked.path[:200])
        return refused(asked, HTTPStatus.INTERNAL_SERVER_ERROR, "our fault; the log has more")

    def _send_if_there(self, answer: Answer | Feed) -> None:
        """The client may have gone while a thread was at work; what was done is told anyway."""
        if isinstance(answer, Feed):
            if not self._disconnected:
                self._begin(answer)
        elif self._disconnected:
            if answer.receipt is not None:
                answer.receipt.end(whole=False)
            self._publish(answer.event, Sent(0))
        else:
            self._send(answer)

    def _asked(self) -> Asked:
        return asked_of(
            self.method,
            self.uri,
            self.requestHeaders.getAllRawHeaders(),
            here=self._site.address_of(self.host),
            peer=self._site.address_of(self.client)[0],
            body=self.content.read() if self.content else b"",
            cut=bool(self.content and self.content.cut),
            uid=self._site.uid_of(self.transport, self.method),
            secure=bool(self.isSecure()),
            sightings=self._site.live.sightings,
        )

    def _begin(self, feed: Feed) -> None:
        self._set_head(HTTPStatus.OK, feed.headers)
        self.write(b"")  # the headers
        if self.method == b"HEAD":
            self.finish()
        else:
            feed.begin(self)

    def _send(self, answer: Answer) -> None:
        if answer.receipt is not None and (problem := self._watch(answer, answer.receipt)):
            answer = unreadable(self._asked(), problem)
        self._set_headers(answer)
        if isinstance(answer.body, Part) and self.method != b"HEAD":
            self._send_part(answer, answer.body)
            return
        if isinstance(answer.body, Part):
            answer.body.content.close()
        else:
            self.write(answer.body)  # of which HEAD keeps the headers
        self._publish(answer.event, Sent(0))
        self.finish()

    def _watch(self, answer: Answer, receipt: Receipt) -> OSError | None:
        """Whether *answer* arrives is to be known; where it cannot be, it is not sent."""
        try:
            receipt.leaves(self._site.clock, self.transport, answer.size)
        except OSError as problem:
            receipt.end(whole=False)
            if isinstance(answer.body, Part):
                answer.body.content.close()
            return problem
        self.notifyFinish().addCallbacks(receipt.written, receipt.broken)
        return None

    def _set_head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.setResponseCode(status)
        self.setHeader("Server", "netbootd")
        self.setHeader("Date", http.datetimeToString())
        for name, value in headers.items():
            self.setHeader(name, value)

    def _set_headers(self, answer: Answer) -> None:
        self._set_head(answer.status, answer.headers)
        if answer.status not in (HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT):
            self.setHeader("Content-Length", str(answer.size))

    def _send_part(self, answer: Answer, part: Part) -> None:
        try:
            sent = self._site.bodies.send(self, part)
        except OSError as problem:
            part.content.close()
            self._send_instead(answer, unreadable(self._asked(), problem))
            return
        self._tell_begin(answer.event, part)
        published = sent.addCallback(self._sent, answer, part)
        published.addErrback(lambda failure: log.failure("after a body", failure=failure))

    def _tell_begin(self, served: Event | None, part: Part) -> None:
        if isinstance(served, Served):
            self._served = served
            tell_begin(self._site, served, part)

    def progress(self, sent: int) -> Progress | None:
        """*sent* bytes of the body are out; None for what is no file's."""
        return progress_of(self._site, self._served, sent, begun=self._begun)

    def _send_instead(self, answer: Answer, other: Answer) -> None:
        if answer.receipt is not None:
            answer.receipt.end(whole=False)
        for name in answer.headers:
            self.responseHeaders.removeHeader(name)
        self._send(other)

    def _sent(self, sent: Sent, answer: Answer, part: Part) -> None:
        part.content.close()
        self._publish(answer.event, sent)

    def _publish(self, event: Event | None, sent: Sent) -> None:
        tell_end(self._site, event, sent, head=self.method == b"HEAD", begun=self._begun)


def progress_of(site: Any, served: Served | None, sent: int, *, begun: float) -> Progress | None:
    """*sent* bytes of a body are out that was *begun* then, by the site's clock."""
    if served is None:
        return None
    return Progress(
        protocol="HTTP",
        path=served.path,
        peer=served.peer,
        mac=served.mac,
        size=served.count,
        sent=sent,
        began=time.time() - (site.clock.seconds() - begun),
    )


def tell_begin(site: Any, served: Served, part: Part) -> None:
    """Of a block device's many small ranges only their ends are worth telling."""
    if part.count > SMALL or served.status == HTTPStatus.OK:
        site.events.publish(
            Started(
                mac=served.mac,
                target=served.target,
                peer=served.peer,
                protocol="HTTP",
                path=served.path,
                size=part.count,
            )
        )


def tell_end(site: Any, event: Event | None, sent: Sent, *, head: bool, begun: float) -> None:
    """What came of an answer, whose request began at *begun* by the site's clock."""
    if event is None or (head and not isinstance(event, Refused)):
        return  # the GET that follows tells it better
    if isinstance(event, Served):
        seconds = site.clock.seconds() - begun
        event = replace(event, sent=sent.count, problem=sent.problem, seconds=seconds)
    site.events.publish(event)


class _Body:
    """
    What a request brings along, in memory; *enough* is called when it is beyond all reason.

    Of a longer one its last MOST_BODY bytes are kept, and its end is awaited: a client that is cut
    off while it sends never reads why.
    """

    def __init__(self, enough: Callable[[], None], guests: Guests) -> None:
        self._enough = enough
        self._guests = guests
        self._kept = bytearray()
        self._size = 0

    @property
    def cut(self) -> bool:
        """Whether some of it is not there."""
        return self._size > MOST_BODY

    def write(self, data: bytes) -> None:
        before, self._size = self._size, self._size + len(data)
        kept = len(self._kept)
        self._kept += data
        if len(self._kept) > 2 * MOST_BODY:
            del self._kept[:-MOST_BODY]
        if not self._guests.keeps(len(self._kept) - kept):
            self.close()
            self._enough()
        if before <= _MOST_AWAITED < self._size:
            self._enough()

    def read(self) -> bytes:
        """All of it, or its end."""
        return bytes(self._kept[-MOST_BODY:])

    def tell(self) -> int:
        """Nothing, as Twisted shall see it: it would parse form fields."""
        return 0

    def seek(self, *_: int) -> None:
        pass

    def close(self) -> None:
        """Nobody wants it any more."""
        self._guests.held -= len(self._kept)
        self._kept.clear()


def _unseen(*_: Any) -> None:
    """A log observer that looks away."""


@implementer(IHalfCloseableProtocol)
class Channel(http.HTTPChannel):
    """One connection; differs from Twisted's in what it will wait for."""

    requestFactory = Request  # noqa: N815
    factory: Any  # the Site
    transport: Any
    #: What the site said to the request that comes next, where it was asked before.
    made: Made | None = None
    # That connections end for being idle is everyday: not worth Twisted's line in the log.
    _log = Logger(observer=_unseen)  # type: ignore[arg-type]
    _asked_all = False

    def connectionMade(self) -> None:
        """Connections to an address that is not served end here, before a byte is read."""
        site = self.factory
        peer = site.address_of(self.transport.getPeer())[0]
        if site.admits(self.transport) and site.guests.enter(self, peer):
            super().connectionMade()
            site.guests.waits(self)
        else:
            self.transport.abortConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """The end."""
        self.factory.guests.leave(self)
        super().connectionLost(reason)

    def send_away(self) -> None:
        """Its place is wanted."""
        self.transport.abortConnection()

    def resetTimeout(self) -> None:
        """Bytes in a trickle buy no time: REQUEST_S is for the whole request."""

    def pauseProducing(self) -> None:
        """
        The client does not read what it asked for: read and answer nothing more of it.

        Twisted goes on with what was sent ahead, so that requests of 30 bytes each can make it
        hold their answers by the gigabyte.
        """
        super().pauseProducing()
        self.paused = True
        self.factory.guests.answered(self)  # not yet, but who is in the middle of it stays
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """The client reads again: on with what it sent ahead."""
        super().resumeProducing()
        if self.paused:
            self.paused = False
            if not self._handlingRequest:
                self.factory.guests.waits(self)
            self.dataReceived(b"")
            self._end_when_answered()

    def readConnectionLost(self) -> None:
        """
        The client sends no more, but may still read, as netcat does: it gets what it asked for.

        One that is gone looks the same here; it is noticed when something is sent to it.  Twisted
        says it again each time it goes on reading.
        """
        self._asked_all = True
        self._end_when_answered()

    def writeConnectionLost(self) -> None:
        """Never: we do not close our half alone."""

    def requestDone(self, request: http.Request) -> None:
        """An answer is complete; those of requests sent ahead may follow within this call."""
        if not self.paused:
            self.factory.guests.waits(self)
        super().requestDone(request)
        self._end_when_answered()

    def _end_when_answered(self) -> None:
        if self._asked_all:
            self.callLater(0, self._maybe_end)  # after what was sent ahead

    def _maybe_end(self) -> None:
        if not (self._handlingRequest or self.paused or self.transport.disconnecting):
            self.loseConnection()

    def lineLengthExceeded(self, line: bytes) -> None:
        """An endless line."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        super()._respondToBadRequestAndDisconnect()
        peer = self.factory.address_of(self.transport.getPeer())[0]
        bad = HTTPStatus.BAD_REQUEST
        self.factory.events.publish(
            Refused(peer=peer, protocol="HTTP", path="", status=bad, reason="not HTTP")
        )
