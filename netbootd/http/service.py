"""
The HTTP ports: which are open follows the configuration, and an open one that stays never closes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList

from netbootd.boot.waiting import Pacer
from netbootd.events.progress import Progress
from netbootd.events.stream import Stream
from netbootd.http import local
from netbootd.http.api import Api
from netbootd.http.audit import Audit
from netbootd.http.authority import Authority
from netbootd.http.bodies import Bodies
from netbootd.http.door import BACKLOG, Door
from netbootd.http.guests import Most
from netbootd.http.health import Health
from netbootd.http.site import Site
from netbootd.http.tls import Secure, SecurePort
from netbootd.http.vms import Shelf
from netbootd.opener.client import LowSocket
from netbootd.registry.live import LiveRegistry


class HttpService(Service):
    """
    Serves boot scripts and files on any number of TCP ports.

    *status_of* gives what ``/status`` shows; *allowed* tells for an address of ours whether
    connections to it are served.
    """

    name = "http"

    def __init__(
        self,
        reactor: Any,
        live: LiveRegistry,
        events: Stream,
        status_of: Callable[[], Mapping[str, Any]],
        allowed: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._reactor = reactor
        self._live = live
        self._bodies = Bodies(reactor)
        #: Who may change something over the network.
        self.authority = Authority(live, Audit(events.publish, reactor.seconds))
        site = (reactor, live, events, self._bodies, status_of)
        self._site = Site(*site, allowed, self.authority)
        self._local = local.LocalSite(*site, authority=self.authority)
        self._door = Door(reactor, self._site)
        self._ports: dict[int, Any] = {}
        self._ports6: dict[int, Any] = {}
        self._secure_ports: dict[tuple[int, int], SecurePort] = {}  # by family and number
        self._sockets: dict[Path, Any] = {}
        #: The certificate of HTTPS.
        self.secure = Secure()

    def serve_api(self, api: Api) -> None:
        """Answer below ``/api/v1``, over TCP and the Unix socket."""
        self._site.api = self._local.api = api

    def watched_by(
        self, health_of: Callable[[], Health], metrics_of: Callable[[bool], bytes]
    ) -> None:
        """What ``/healthz`` and ``/metrics`` show."""
        self._site.health_of = health_of
        self._site.metrics_of = metrics_of

    def paced_by(self, pacer_of: Callable[[], Pacer | None]) -> None:
        """Who says whose turn it is to load, None while all may at once."""
        self._site.pacer_of = pacer_of

    def limit(self, most: Most) -> None:
        """No more than this from now on; whoever is connected stays."""
        self._site.guests.most = most

    @property
    def shelf(self) -> Shelf:
        """What the pages of VM descriptions have beside the registry."""
        return self._site.shelf

    @property
    def ports(self) -> tuple[int, ...]:
        """The port numbers that are open."""
        return tuple(sorted(port.getHost().port for port in self._ports.values()))

    @property
    def secure_ports(self) -> tuple[int, ...]:
        """The port numbers of HTTPS that are open."""
        return tuple(sorted({port.getHost().port for port in self._secure_ports.values()}))

    def transfers(self) -> list[Progress]:
        """The files under way, small ones left aside: they are written at once."""
        parts = (request.progress(sent) for request, sent in self._bodies.under_way())
        return [part for part in parts if part is not None]

    def startService(self) -> None:
        """Ready for bodies; the ports open with ``listen``."""
        self.running = 1
        self._bodies.start()

    def listen(self, wanted: Iterable[int]) -> list[tuple[int, OSError]]:
        """Open what is new in *wanted*, close what is gone from it; return what cannot be had."""
        numbers = set(wanted)
        for number in self._ports.keys() - numbers:
            self._ports.pop(number).stopListening()
        return [
            (number, problem)
            for number in sorted(numbers - self._ports.keys())
            if (problem := self._open(number))
        ]

    def listen6(self, wanted: Iterable[int]) -> list[tuple[int, OSError]]:
        """
        As ``listen``, by IPv6.  These are sockets of their own, so that those of IPv4 are what they
        always were.
        """
        numbers = set(wanted)
        for number in self._ports6.keys() - numbers:
            self._ports6.pop(number).stopListening()
        return [
            (number, problem)
            for number in sorted(numbers - self._ports6.keys())
            if (problem := self._open6(number))
        ]

    def listen_securely(self, wanted: Iterable[int], *, by_ipv6: bool) -> list[tuple[int, OSError]]:
        """As ``listen``, with HTTPS; nowhere while there is no certificate."""
        families = (socket.AF_INET, *((socket.AF_INET6,) if by_ipv6 else ()))
        numbers = set(wanted) if self.secure.pair else set()
        ports = {(int(family), number) for family in families for number in numbers}
        for key in self._secure_ports.keys() - ports:
            self._secure_ports.pop(key).stopListening()
        failed = []
        for family, number in sorted(ports - self._secure_ports.keys()):
            try:
                with listening(family, number) as made:
                    port = SecurePort(self._reactor, self._site, self.secure, made)
                self._secure_ports[family, number] = port
            except OSError as problem:
                failed.append((number, problem))
        return failed

    @property
    def sockets(self) -> tuple[Path, ...]:
        """The Unix sockets that are open."""
        return tuple(self._sockets)

    def listen_locally(self, wanted: Path, group: str = "") -> OSError | None:
        """
        Have the Unix socket *wanted* open for *group*, and no other; return what is in the way.
        """
        for file in self._sockets.keys() - {wanted}:
            self._sockets.pop(file).stopListening()
        if wanted in self._sockets and wanted.is_socket():
            return local.belongs(wanted, group)
        if lost := self._sockets.pop(wanted, None):
            lost.stopListening()
        try:
            self._sockets[wanted] = local.listen(self._reactor, wanted, self._local)
        except OSError as problem:
            return problem
        return local.belongs(wanted, group)

    def _open(self, number: int) -> OSError | None:
        try:
            self._ports[number] = self._door.open(number)
        except OSError as problem:
            return problem
        return None

    def _open6(self, number: int) -> OSError | None:
        try:
            with listening(socket.AF_INET6, number) as made:
                self._ports6[number] = self._reactor.adoptStreamPort(
                    made.fileno(), socket.AF_INET6, self._site
                )
        except OSError as problem:
            return problem
        return None

    def stopService(self) -> Deferred[Any]:
        """No new connections; bodies under way have the configured grace to finish."""
        self.running = 0
        self._site.stopping = self._local.stopping = True
        if self._site.api is not None:
            self._site.api.stop()
        open_ones = (
            *self._ports.values(),
            *self._ports6.values(),
            *self._secure_ports.values(),
            *self._sockets.values(),
        )
        closed = [port.stopListening() for port in open_ones]
        self._ports.clear()
        self._ports6.clear()
        self._secure_ports.clear()
        self._sockets.clear()
        ended = self._bodies.stop(self._live.snapshot.config.grace)
        done = DeferredList([*(one for one in closed if one is not None), ended])
        return done.addCallback(lambda _: self._door.close())


def listening(family: int, number: int) -> socket.socket:
    """
    A socket that listens on the TCP port *number*; raises OSError.

    Twisted has no way to ask for IPv6 alone (ipv6(7), IPV6_V6ONLY).
    """
    made = LowSocket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(("::" if family == socket.AF_INET6 else "", number))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made
