# mypy: allow-untyped-calls
"""
The HTTP edge: a request in, the answer of the right page out, one event published.

Twisted parses; what is asked becomes an ``Asked``, ``urls.route`` says whose it is, and what comes
back is an ``Answer``.  Errors become status codes here and nowhere else.  (The first line is
for twisted.web.http, which has hardly any annotations.)

What a client may cost us: 16 KiB and 500 lines of headers (Twisted's limits), all of it within
REQUEST_S, and MOST_BODY bytes of a body; one beyond all reason ends the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import implementer

from netbootd import configfiles, urls
from netbootd.content import parts_of
from netbootd.errors import Forbidden, NotFound
from netbootd.events.event import Event, Refused, Served
from netbootd.events.stream import Stream
from netbootd.http import bootscript, files, node_script, overlay, report, status, ui
from netbootd.http import vms as descriptions
from netbootd.http.bodies import Bodies, Sent
from netbootd.http.resource import (
    LATER,
    METHODS,
    REPORTS,
    WRITES,
    Answer,
    Asked,
    Part,
    Work,
    asked_of,
    refused,
    unreadable,
)
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.registry.live import LiveRegistry
from netbootd.registry.marks import Marks
from netbootd.registry.snapshot import Registry
from netbootd.urls import Kind, Route
from netbootd.vms.store import FOLDER, Store

#: Seconds a connection has for one whole request, counted from its begin or from the last answer;
#: iPXE keeps connections between the files of one boot, so this is also the pause it may make.
REQUEST_S = 120
#: Bytes of a request's body that are kept: a VM description, the output of a node's script.
MOST_BODY = 1 << 20
#: Bytes of a body that are awaited, so that its sender can be told that it is too long.
_MOST_AWAITED = 8 << 20
#: The methods of pages that take something; all others are only read.
_ALL_METHODS = {*REPORTS, *WRITES}
#: What is for machines alone, beside the scripts, which say themselves who is not served.
_FOR_MACHINES = frozenset({Kind.NODE_SCRIPT, Kind.OVERLAY, Kind.FILE, Kind.MACHINE_VMS})
_METHODS = {Kind.DONE: REPORTS, Kind.FAILED: REPORTS, Kind.VMS: WRITES}

log = Logger(namespace="netbootd.http")


class Site(http.HTTPFactory):
    """
    Builds a Channel for each connection, and the Answer to each request.

    *status_of* gives what ``/status`` shows; *allowed* is asked for the address of ours that a
    connection came to.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        live: LiveRegistry,
        events: Stream,
        bodies: Bodies,
        status_of: Callable[[], Mapping[str, Any]],
        allowed: Callable[[str], bool] = lambda _: True,
    ) -> None:
        super().__init__(timeout=REQUEST_S, reactor=reactor)
        self.clock = reactor
        self.live = live
        self.events = events
        self.bodies = bodies
        self.allowed = allowed
        self.stopping = False
        self._status_of = status_of
        self._pages = ui.read()
        self.shelf = descriptions.Shelf(Store(live.snapshot.config.state / FOLDER), live.record)

    def buildProtocol(self, addr: Any) -> Any:
        """A Channel, set up as HTTPFactory does it; HTTP/2 is not ours."""
        channel: Any = Channel()
        channel.factory = self
        channel.callLater = self.clock.callLater
        channel.timeOut = self.timeOut
        return channel

    def startFactory(self) -> None:
        """No access log: the events are it."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: http.Request) -> None:
        """No access log: the events are it."""

    def answer(self, asked: Asked) -> Answer | Work:
        """Whatever is asked, an answer."""
        if self.stopping:
            return refused(asked, HTTPStatus.SERVICE_UNAVAILABLE, "netbootd stops", LATER)
        if asked.method not in _ALL_METHODS:
            return _not_allowed(asked, METHODS)
        if not asked.path.startswith("/"):
            return refused(asked, HTTPStatus.BAD_REQUEST, "the request target is no path")
        try:
            route = urls.route(parts_of(asked.path))
            methods = _METHODS.get(route.kind, METHODS)
            if asked.method not in methods:
                return _not_allowed(asked, methods)
            return self._page(self._introduced(asked, route), route, self.live.snapshot)
        except Forbidden as problem:  # which tells about our disk
            return refused(asked, HTTPStatus.FORBIDDEN, str(problem), words="not served")
        except NotFound:
            return refused(asked, HTTPStatus.NOT_FOUND, "no such file")

    def _introduced(self, asked: Asked, route: Route) -> Asked:
        """With what is known of machines; iPXE tells of its own when it asks for its script."""
        if route.kind is Kind.SCRIPT:
            self.live.sightings.note(route.mac, Marks.of(asked.query))
        return replace(asked, sightings=self.live.sightings)

    def _page(self, asked: Asked, route: Route, registry: Registry) -> Answer | Work:
        subnet = registry.subnets.of(asked.peer)
        if not subnet.served and route.kind in _FOR_MACHINES:
            told = f"{asked.peer} is in subnet {subnet.name}, where nobody is served"
            return refused(asked, HTTPStatus.FORBIDDEN, told, mac=route.mac)
        try:
            match route:
                case Route(kind=Kind.FIRST):
                    return bootscript.first(asked, registry)
                case Route(kind=Kind.SCRIPT, mac=MAC() as mac):
                    return bootscript.machine(asked, mac, registry, self.live.record)
                case Route(kind=Kind.DONE | Kind.FAILED, mac=MAC() as mac):
                    good = route.kind is Kind.DONE
                    record = self.live.record
                    return report.answer(asked, mac, good=good, registry=registry, record=record)
                case Route(kind=Kind.NODE_SCRIPT):
                    return node_script.answer(asked, route, registry, self.live.record)
                case Route(kind=Kind.OVERLAY, mac=MAC() as mac):
                    return overlay.answer(asked, mac, registry, self.live.record)
                case Route(kind=Kind.FILE):
                    return _file(asked, route, registry, self.live.record)
                case Route(kind=Kind.VMS | Kind.MACHINE_VMS):
                    return descriptions.answer(asked, route, registry, self.shelf)
            return self._for_people(asked, route, registry)
        except (Forbidden, NotFound):
            raise
        except Exception:
            log.failure("fault while answering {path!r}", path=asked.path[:200])
            if route.kind in (Kind.FIRST, Kind.SCRIPT):
                return bootscript.fault(asked, route.mac, registry)
            return refused(asked, HTTPStatus.INTERNAL_SERVER_ERROR, "our fault; the log has more")

    def _for_people(self, asked: Asked, route: Route, registry: Registry) -> Answer | Work:
        """What is about the daemon, for whoever looks after it."""
        match route.kind:
            case Kind.STATUS:
                return status.answer(self._status_of())
            case Kind.UI:
                return ui.answer(asked, route.path, self._pages, on=registry.config.web)
        raise NotFound(asked.path)


def _not_allowed(asked: Asked, methods: tuple[str, ...]) -> Answer:
    allowed = ", ".join(methods)
    told = f"{allowed} only"
    return refused(asked, HTTPStatus.METHOD_NOT_ALLOWED, told, {"Allow": allowed})


def _file(asked: Asked, route: Route, registry: Registry, record: Record) -> Answer | Work:
    try:
        return files.answer(asked, route, registry, record)
    except NotFound:
        if (file := configfiles.parse(route.path)) is None:
            raise
        return bootscript.configuration(asked, file, route.mac, registry, record)
    except OSError as problem:
        return unreadable(asked, problem)


class Request(http.Request):
    """One request, as Twisted knows it."""

    def gotLength(self, length: int | None) -> None:
        """The headers are complete, and a body may follow."""
        self.content = _Body(self.channel.loseConnection)

    def process(self) -> None:
        """Answer, and publish."""
        self._site: Site = self.channel.factory
        self._begun = self._site.clock.seconds()
        asked = self._asked()
        answer = self._site.answer(asked)
        if isinstance(answer, Work):
            made = deferToThread(answer.make)
            made.addErrback(self._fault, asked)
            made.addCallback(self._send_if_there)
        else:
            self._send(answer)

    def _fault(self, failure: Failure, asked: Asked) -> Answer:
        log.failure("fault while answering {path!r}", failure, path=asked.path[:200])
        return refused(asked, HTTPStatus.INTERNAL_SERVER_ERROR, "our fault; the log has more")

    def _send_if_there(self, answer: Answer) -> None:
        """The client may have gone while a thread was at work; what was done is told anyway."""
        if self._disconnected:
            self._publish(answer.event, Sent(0))
        else:
            self._send(answer)

    def _asked(self) -> Asked:
        return asked_of(
            self.method,
            self.uri,
            self.requestHeaders.getAllRawHeaders(),
            here=(self.host.host, self.host.port),
            peer=self.client.host,
            body=self.content.read() if self.content else b"",
            cut=bool(self.content and self.content.cut),
        )

    def _send(self, answer: Answer) -> None:
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

    def _set_headers(self, answer: Answer) -> None:
        self.setResponseCode(answer.status)
        self.setHeader("Server", "netbootd")
        self.setHeader("Date", http.datetimeToString())
        for name, value in answer.headers.items():
            self.setHeader(name, value)
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self.setHeader("Content-Length", str(answer.size))

    def _send_part(self, answer: Answer, part: Part) -> None:
        try:
            sent = self._site.bodies.send(self, part.content, part.offset, part.count)
        except OSError as problem:
            part.content.close()
            self._send_instead(answer, unreadable(self._asked(), problem))
            return
        published = sent.addCallback(self._sent, answer, part)
        published.addErrback(lambda failure: log.failure("after a body", failure=failure))

    def _send_instead(self, answer: Answer, other: Answer) -> None:
        for name in answer.headers:
            self.responseHeaders.removeHeader(name)
        self._send(other)

    def _sent(self, sent: Sent, answer: Answer, part: Part) -> None:
        part.content.close()
        self._publish(answer.event, sent)

    def _publish(self, event: Event | None, sent: Sent) -> None:
        if self.method == b"HEAD" and not isinstance(event, Refused):
            return  # the GET that follows tells it better
        if isinstance(event, Served):
            seconds = self._site.clock.seconds() - self._begun
            event = replace(event, sent=sent.count, problem=sent.problem, seconds=seconds)
        if event is not None:
            self._site.events.publish(event)


class _Body:
    """
    What a request brings along, in memory; *enough* is called when it is beyond all reason.

    Of a longer one its last MOST_BODY bytes are kept, and its end is awaited: a client that is cut
    off while it sends never reads why.
    """

    def __init__(self, enough: Callable[[], None]) -> None:
        self._enough = enough
        self._kept = bytearray()
        self._size = 0

    @property
    def cut(self) -> bool:
        """Whether some of it is not there."""
        return self._size > MOST_BODY

    def write(self, data: bytes) -> None:
        before, self._size = self._size, self._size + len(data)
        self._kept += data
        if len(self._kept) > 2 * MOST_BODY:
            del self._kept[:-MOST_BODY]
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
        pass


def _unseen(*_: Any) -> None:
    """A log observer that looks away."""


@implementer(IHalfCloseableProtocol)
class Channel(http.HTTPChannel):
    """One connection; differs from Twisted's in what it will wait for."""

    requestFactory = Request  # noqa: N815
    factory: Site
    transport: Any
    # That connections end for being idle is everyday: not worth Twisted's line in the log.
    _log = Logger(observer=_unseen)  # type: ignore[arg-type]
    _asked_all = False

    def connectionMade(self) -> None:
        """Connections to an address that is not served end here, before a byte is read."""
        if self.factory.allowed(self.transport.getHost().host):
            super().connectionMade()
        else:
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
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """The client reads again: on with what it sent ahead."""
        super().resumeProducing()
        if self.paused:
            self.paused = False
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
        peer = self.transport.getPeer().host
        bad = HTTPStatus.BAD_REQUEST
        self.factory.events.publish(
            Refused(peer=peer, protocol="HTTP", path="", status=bad, reason="not HTTP")
        )
