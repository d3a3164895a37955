# mypy: allow-untyped-calls
"""
The HTTP edge: a request in, the answer of the right page out, one event published.

``channel`` makes an ``Asked`` of what comes in, ``urls.route`` says whose it is, and what goes back
is an ``Answer``.  Errors become status codes here and nowhere else.  (The first line is for
twisted.web.http, which has hardly any annotations.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.web import http

from netbootd import configfiles, urls
from netbootd.api.no import No
from netbootd.boot.kept import Kept
from netbootd.boot.waiting import Pacer
from netbootd.content import parts_of
from netbootd.errors import Forbidden, NotFound
from netbootd.events.stream import Stream
from netbootd.http import (
    api,
    bootscript,
    files,
    health,
    metrics,
    node_script,
    origin,
    overlay,
    report,
    status,
    ui,
)
from netbootd.http import vms as descriptions
from netbootd.http.audit import Audit
from netbootd.http.authority import Authority
from netbootd.http.bodies import Bodies
from netbootd.http.channel import Channel
from netbootd.http.guests import Guests
from netbootd.http.resource import (
    LATER,
    METHODS,
    NO_STORE,
    REPORTS,
    WRITES,
    Answer,
    Asked,
    Awaited,
    Reply,
    Work,
    refused,
    unreadable,
)
from netbootd.http.vault import Vault
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
#: The methods of pages that take something; all others are only read.
_PAGE_METHODS = {*REPORTS, *WRITES}
#: What is for machines alone, beside the scripts, which say themselves who is not served.
_FOR_MACHINES = frozenset({Kind.NODE_SCRIPT, Kind.OVERLAY, Kind.FILE, Kind.MACHINE_VMS})
#: What goes by HTTPS alone where the setting says so: the page, and whatever a token is sent to.
_BY_HTTPS = frozenset({Kind.UI, Kind.API, Kind.VMS})
_METHODS = {
    Kind.DONE: REPORTS,
    Kind.FAILED: REPORTS,
    Kind.VMS: WRITES,
    Kind.API: api.METHODS,
}

log = Logger(namespace="netbootd.http")


class Site(http.HTTPFactory):
    """
    Builds a Channel for each connection, and the Answer to each request.

    *status_of* gives what ``/status`` shows; *allowed* is asked for the address of ours that a
    connection came to; *authority* knows who may change something.
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
        authority: Authority | None = None,
    ) -> None:
        super().__init__(timeout=REQUEST_S, reactor=reactor)
        self.clock = reactor
        self.live = live
        self.events = events
        self.bodies = bodies
        self.allowed = allowed
        self.stopping = False
        #: Everybody who is connected.
        self.guests = Guests(reactor.seconds, _tell)
        #: Answers below ``/api/v1``, None while there is no API.
        self.api: api.Api | None = None
        #: What ``/healthz`` and ``/metrics`` show; the latter in OpenMetrics if told True.
        self.health_of: Callable[[], health.Health] = health.Health
        self.metrics_of: Callable[[bool], bytes] = lambda _: b""
        #: Who says whose turn it is, None while all may load at once.
        self.pacer_of: Callable[[], Pacer | None] = lambda: None
        self._kept = Kept(live.snapshot)
        self._status_of = status_of
        self._pages = ui.read()
        self.authority = authority or Authority(live, Audit(events.publish, reactor.seconds))
        store = Store(live.snapshot.config.state / FOLDER)
        self.shelf = descriptions.Shelf(store, live.record, self.authority)
        self.vault = Vault(live.record, self.shelf, events)

    def buildProtocol(self, addr: Any, kind: type[Channel] = Channel) -> Any:
        """A Channel, set up as HTTPFactory does it; HTTP/2 is not ours."""
        channel: Any = kind()
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

    def admits(self, transport: Any) -> bool:
        """Whether the connection *transport* is served."""
        return self.allowed(transport.getHost().host)

    def address_of(self, address: Any) -> tuple[str, int]:
        """Address and port of one end of a connection."""
        return str(address.host), int(address.port)

    def uid_of(self, transport: Any, method: bytes) -> int | None:
        """The user at the other end, who asks by *method*; no network tells that."""
        return None

    def answer(self, asked: Asked) -> Reply:
        """Whatever is asked, an answer."""
        if self.stopping:
            return refused(asked, HTTPStatus.SERVICE_UNAVAILABLE, "netbootd stops", LATER)
        if asked.method in METHODS and (mac := urls.scripted(asked.path)) is not None:
            return self._script(asked, mac, self.live.snapshot)  # the way of a storm
        is_path = asked.path.startswith("/")
        if asked.method not in (*_PAGE_METHODS, *(api.METHODS if is_path else ())):
            return _not_allowed(asked, METHODS)
        if not is_path:
            return refused(asked, HTTPStatus.BAD_REQUEST, "the request target is no path")
        try:
            route = urls.route(parts_of(asked.path))
            methods = _METHODS.get(route.kind, METHODS)
            if asked.method not in methods:
                return _not_allowed(asked, methods)
            if route.kind is Kind.SCRIPT and route.mac is not None:
                return self._script(asked, route.mac, self.live.snapshot)
            return self._page(asked, route, self.live.snapshot)
        except Forbidden as problem:  # which tells about our disk
            return refused(asked, HTTPStatus.FORBIDDEN, str(problem), words="not served")
        except NotFound:
            return refused(asked, HTTPStatus.NOT_FOUND, "no such file")

    def _script(self, asked: Asked, mac: MAC, registry: Registry) -> Reply:
        """The boot script of *mac*; iPXE tells of its machine when it asks for that."""
        live = self.live
        if asked.query:
            live.sightings.note(mac, Marks.of(asked.query))
        if self._kept.registry is not registry:
            self._kept = Kept(registry)
        try:
            return bootscript.machine(
                asked, mac, registry, live.record, self.pacer_of(), self._kept
            )
        except bootscript.Unproven:
            return Awaited(self._script_of_whom(asked, mac, registry))
        except Exception:
            log.failure("fault while answering {path!r}", path=asked.path[:200])
            return bootscript.fault(asked, mac, registry)

    async def _script_of_whom(self, asked: Asked, mac: MAC, registry: Registry) -> Answer:
        """The same, once the kernel has said who asks."""
        tie = await deferToThread(self.vault.who_has, asked.peer)
        record, pacer = self.live.record, self.pacer_of()
        reply = bootscript.machine(asked, mac, registry, record, pacer, tie=tie)
        return await deferToThread(reply.make) if isinstance(reply, Work) else reply

    def _page(self, asked: Asked, route: Route, registry: Registry) -> Reply:
        if route.kind in _BY_HTTPS and (elsewhere := _by_https(asked, route, registry)):
            return elsewhere
        subnet = registry.subnets.of(asked.peer)
        if not subnet.served and route.kind in _FOR_MACHINES:
            told = f"{asked.peer} is in subnet {subnet.name}, where nobody is served"
            return refused(asked, HTTPStatus.FORBIDDEN, told, mac=route.mac)
        try:
            if registry.seals and (seal := self.vault.seal_of(asked, route, registry)):
                page = partial(self._open_page, route=route, registry=registry)
                return Awaited(self.vault.give(asked, seal, registry, page))
            return self._open_page(asked, route, registry)
        except (Forbidden, NotFound):
            raise
        except Exception:
            log.failure("fault while answering {path!r}", path=asked.path[:200])
            if route.kind is Kind.FIRST:
                return bootscript.fault(asked, route.mac, registry)
            return refused(asked, HTTPStatus.INTERNAL_SERVER_ERROR, "our fault; the log has more")

    def _open_page(self, asked: Asked, route: Route, registry: Registry) -> Reply:
        match route:
            case Route(kind=Kind.FIRST):
                return bootscript.first(asked, registry)
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

    def _for_people(self, asked: Asked, route: Route, registry: Registry) -> Reply:
        """What is about the daemon, for whoever looks after it."""
        match route.kind:
            case Kind.STATUS:
                return status.answer(self._status_of())
            case Kind.HEALTH:
                return health.answer(self.health_of())
            case Kind.METRICS:
                return metrics.answer(asked, self.metrics_of)
            case Kind.API if self.api is not None:
                return self.api.answer(asked, route.path)
            case Kind.UI:
                return self._ui(asked, route.path, on=registry.config.web)
        raise NotFound(asked.path)

    def _ui(self, asked: Asked, path: str, *, on: bool) -> Answer:
        try:
            origin.must_call_us_ours(asked, self.authority.names)
        except No as no:
            return refused(asked, no.status, no.text, ui.HEADERS)
        return ui.answer(asked, path, self._pages, on=on)


def _by_https(asked: Asked, route: Route, registry: Registry) -> Answer | None:
    """Where *asked* must come by HTTPS and did not: the way to the page, else a "no"."""
    tls = registry.config.tls
    if not (tls.only and tls.ports) or asked.secure or asked.uid is not None or _is_here(asked):
        return None
    host = urlsplit(bootscript.base_of(asked, registry)).hostname or asked.here[0]
    base = urls.base_url(host, tls.ports[0], secure=True)
    if route.kind is Kind.UI:
        headers = {"Location": f"{base}{asked.path}", **NO_STORE}
        return Answer(HTTPStatus.TEMPORARY_REDIRECT, headers)
    if asked.method in METHODS and route.kind is Kind.VMS:
        return None  # what nodes read, and needs no token
    return refused(asked, HTTPStatus.FORBIDDEN, f"by HTTPS alone: {base}{asked.path}")


def _is_here(asked: Asked) -> bool:
    """Whether a program of this host asks, by a cable that nobody can listen at."""
    return ip_address(asked.peer.partition("%")[0] or "127.0.0.1").is_loopback


def _tell(text: str) -> None:
    log.warn("{text}", text=text)


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
