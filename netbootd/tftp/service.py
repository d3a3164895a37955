"""
TFTP on every address that is served: ports open and close, transfers go on.

    datagram → Port → Admission → Crowd

The first is the socket of port 69, the second makes transfers of requests, the third runs them.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Container, Iterable
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.application import service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from netbootd.events.progress import Progress
from netbootd.events.stream import Stream
from netbootd.tftp.admission import Admission
from netbootd.tftp.crowd import Crowd
from netbootd.tftp.files import Locate
from netbootd.tftp.limits import USUAL, Limits
from netbootd.tftp.port import BUFFER, Listener, Port
from netbootd.tftp.running import Running

_Where = tuple[IPv4Address | IPv6Address, int]

log = Logger()


class TftpService(service.Service):
    """
    Serves reads on every address it was told to listen on.

    *locate* is called for each request; what it may raise is said in ``files``.  *grace* is the
    time in seconds that transfers have when the service stops.  *now* gives seconds that never go
    back, as the reactor's own clock does when the host's is set; *today* those since 1970.
    *known* are the addresses that go before others where too many ask, *proved* those that
    somebody hears for sure, whatever a TFTP client says.
    """

    def __init__(
        self,
        reactor: Any,  # IReactorTime and IReactorFDSet
        locate: Locate,
        events: Stream,
        limits: Limits = USUAL,
        *,
        grace: float = 10.0,
        now: Callable[[], float] = time.monotonic,
        today: Callable[[], float] = time.time,
        known: Container[str] = (),
        proved: Container[str] = (),
    ) -> None:
        self._reactor = reactor
        self._now, self._today = now, today
        #: Seconds, as *grace*.
        self.grace_s = grace
        self._wanted: dict[_Where, Listener] = {}
        self._ports: dict[_Where, Port] = {}
        #: Not wanted any more, but some transfers go on there.
        self._retired: dict[_Where, Port] = {}
        self._small_buffer_told = False
        self._crowd = Crowd(reactor, events, _report, now)
        self._admission = Admission(
            self._crowd, locate, events, limits, _report, _tell, known, proved
        )

    @property
    def limits(self) -> Limits:
        """For transfers from now on; a reload may bring others."""
        return self._admission.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._admission.limits = limits

    @property
    def under_way(self) -> int:
        """How many transfers there are, also to those who never answered."""
        return len(self._crowd)

    def transfers(self) -> list[Progress]:
        """Those that go on; one whose client never answered does not."""
        passed = self._today() - self._now()
        return [_progress(running, passed) for running in self._crowd.heard()]

    @property
    def addresses(self) -> dict[IPv4Address | IPv6Address, int]:
        """What is listened on, and the number of the port there."""
        return {address: port.socket.getsockname()[1] for (address, _), port in self._ports.items()}

    # Start and stop.

    def startService(self) -> None:
        """Begin; ports that were wanted before and cannot be had are logged."""
        super().startService()  # type: ignore[no-untyped-call]
        self._crowd.open()
        for listener, problem in self.listen_on(self._wanted.values()):
            log.warn("TFTP on {address}: {problem}", address=listener.address, problem=problem)

    def stopService(self) -> Deferred[None]:
        """
        Close the ports at once, and let running transfers end within the grace.

        A closed port refuses new requests: the kernel answers with ICMP, and firmware asks again
        until our successor is there.  An ERROR packet would end its boot.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        for where in list(self._ports):
            self._close(where)
        if not self._crowd:
            self._crowd.close()
            return succeed(None)
        return self._last_call()

    def _last_call(self) -> Deferred[None]:
        stopped: Deferred[None] = Deferred()
        cut = self._reactor.callLater(self.grace_s, self._crowd.cut)

        def emptied() -> None:
            if cut.active():
                cut.cancel()
            self._crowd.emptied = None
            self._crowd.close()
            stopped.callback(None)

        self._crowd.emptied = emptied
        return stopped

    def listen_on(self, wanted: Iterable[Listener]) -> list[tuple[Listener, OSError]]:
        """
        Serve exactly *wanted*; return those that failed, to be tried again by the next call.

        A port that is wanted still does not close, it merely learns a new MTU; no transfer ends
        with its port.  Before the service starts, *wanted* is only noted.
        """
        self._wanted = {(listener.address, listener.port): listener for listener in wanted}
        if not self.running:
            return []
        for where in self._ports.keys() - self._wanted.keys():
            self._close(where)
        failed: list[tuple[Listener, OSError]] = []
        for listener in self._wanted.values():
            try:
                self._serve(listener)
            except OSError as problem:
                failed.append((listener, problem))
        return failed

    def _serve(self, listener: Listener) -> None:
        where = (listener.address, listener.port)
        known = self._ports.get(where) or self._retired.pop(where, None)
        if known:
            self._ports[where] = known
            known.mtu, known.retired = listener.mtu, False
            return
        port = self._ports[where] = Port(listener, self._emptied, self._watch_door)
        self._tell_small_buffer(port.buffer)
        self._crowd.watch(port.socket.fileno(), lambda: self._admission.arrivals(port))

    def _watch_door(self, port: Port, door: socket.socket) -> Callable[[], None]:
        number = door.fileno()
        self._crowd.watch(number, partial(self._admission.stranger, port, door))
        return partial(self._crowd.unwatch, number)

    def _tell_small_buffer(self, held: int) -> None:
        """Once: all ports have the same."""
        if held < BUFFER and not self._small_buffer_told:
            self._small_buffer_told = True
            log.info(
                "TFTP: receive buffer of {held} bytes instead of {wanted}; where very many "
                "machines ask at once some must ask twice. Raise net.core.rmem_max to {wanted} "
                "(sysctl), or grant CAP_NET_ADMIN",
                held=held,
                wanted=BUFFER,
            )

    def _close(self, where: _Where) -> None:
        """Now, or when the last transfer that shares its socket has ended."""
        port = self._ports.pop(where)
        if port.sharing:
            port.retired = True
            self._retired[where] = port
        else:
            self._shut(port)

    def _emptied(self, port: Port) -> None:
        if port.retired:
            self._retired = {where: each for where, each in self._retired.items() if each != port}
            self._shut(port)

    def _shut(self, port: Port) -> None:
        self._crowd.unwatch(port.socket.fileno())
        port.close()


def _progress(running: Running, passed: float) -> Progress:
    """*passed*: how long after 1970 the crowd's clock began, in seconds."""
    reach = running.transfer.reach()
    return Progress(
        protocol="TFTP",
        path=running.path,
        peer=running.peer[0],
        mac=running.located.mac,
        size=reach.size or 0,
        sent=reach.acked,
        began=passed + running.began_at,
    )


def _report(text: str) -> None:
    log.failure("{text}", text=text)


def _tell(text: str) -> None:
    log.info("{text}", text=text)
