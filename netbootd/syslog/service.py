"""
The ports that nodes send their logs to: syslog over UDP and TCP, netconsole over UDP, on each
address that is served.  Which are open follows the configuration, and one that stays never closes.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from netbootd.config import Syslog
from netbootd.events.event import Event
from netbootd.events.logging import Flooding, FloodOver
from netbootd.logbook.filing import Filer
from netbootd.logbook.line import Source
from netbootd.logbook.neighbours import Neighbours
from netbootd.ports import Protocol
from netbootd.registry.snapshot import Registry
from netbootd.syslog import datagrams
from netbootd.syslog.connections import Connections
from netbootd.syslog.drops import drops_in
from netbootd.syslog.inbox import Inbox
from netbootd.syslog.lines import Arrival
from netbootd.syslog.netconsole import Assembler
from netbootd.syslog.senders import Flood, Senders

log = Logger(namespace="netbootd")

_BUFFER = 16 << 20  # bytes: a thousand nodes boot together, while we wait for a processor
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h: passes net.core.rmem_max, needs CAP_NET_ADMIN
_BACKLOG = 1024
_PACE_S = 1.0
_LAST_S = 2.0  # for what is left to be read when we stop
_LOOK_EVERY = 5  # times of that: at what the kernel knows
_TABLE = Path("/proc/self/net/udp")


class Wanted(NamedTuple):
    """A port to have: *service* is ``syslog`` or ``netconsole``."""

    service: str
    protocol: Protocol
    address: str
    port: int


class SyslogService(Service):
    """
    Receives for *inbox*; *publish* is told of floods, *now* gives Unix seconds.

    *filer* and *neighbours* are kept up to date with what takes time to find out.
    """

    name = "syslog"

    def __init__(
        self,
        reactor: Any,
        inbox: Inbox,
        filer: Filer,
        neighbours: Neighbours,
        publish: Callable[[Event], None],
        now: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._inbox = inbox
        self._filer = filer
        self._neighbours = neighbours
        self._publish = publish
        self._now = now
        self._settings = Syslog()
        self._senders = Senders()
        self._assembler = Assembler()
        self._connections = Connections(reactor, inbox, self._senders, now)
        self._ports: dict[Wanted, Any] = {}
        self._dropped: dict[int, int] = {}  # by the inode of a socket
        self._pace = LoopingCall(self._each_second)
        self._pace.clock = reactor
        self._seconds = 0

    # -- life ----------------------------------------------------------------------------------

    def startService(self) -> None:
        """Ready; the ports open with ``listen``."""
        self.running = 1
        self._pace.start(_PACE_S, now=False)

    def stopService(self) -> Deferred[Any]:
        """What has come is read, as far as a moment suffices, and nothing more."""
        self.running = 0
        if self._pace.running:
            self._pace.stop()
        end = self._reactor.seconds() + _LAST_S
        self._take_rest(end)
        closed = [port.stopListening() for port in self._ports.values()]
        self._ports.clear()
        self._connections.close(end)
        for sender, said in self._assembler.overdue(float("inf")):
            self._inbox.keep(said, Arrival(Source.NETCONSOLE, sender, 0, self._now()))
        return DeferredList([one for one in closed if one is not None])

    def _take_rest(self, end: float) -> None:
        """The kernel would throw it away with the socket, and nobody would count it."""
        for wanted, port in self._ports.items():
            if wanted.protocol == "udp":
                port.take_until(end)

    def configured(self, registry: Registry) -> None:
        """The configuration is new."""
        self._settings = registry.config.syslog
        self._senders.configure(self._settings.senders, self._settings.rate)
        self._filer.names = registry.called

    def listen(self, addresses: Iterable[str]) -> list[tuple[Wanted, OSError]]:
        """Open what is new, close what is not wanted any more; return what cannot be had."""
        wanted = set(_wanted(self._settings, addresses))
        for gone in self._ports.keys() - wanted:
            self._ports.pop(gone).stopListening()
        return [
            (one, problem)
            for one in sorted(wanted - self._ports.keys())
            if (problem := self._open(one))
        ]

    def _open(self, wanted: Wanted) -> OSError | None:
        try:
            if wanted.protocol == "tcp":
                port = self._connections.listen(wanted.port, _BACKLOG, wanted.address)
            else:
                receiver = _Syslog(self) if wanted.service == "syslog" else _Netconsole(self)
                port = datagrams.listen(self._reactor, wanted.port, receiver, wanted.address)
                _widen(port.socket)
        except CannotListenError as problem:
            error: OSError = problem.socketError
            return error
        self._ports[wanted] = port
        return None

    # -- telling -------------------------------------------------------------------------------

    @property
    def listening(self) -> Sequence[Wanted]:
        """The ports that are open."""
        return sorted(
            wanted._replace(port=port.getHost().port) for wanted, port in self._ports.items()
        )

    @property
    def counts(self) -> dict[str, int]:
        """
        Messages ``received_udp``, ``received_tcp`` and ``received_netconsole``; those that were
        not taken because the sender may not send or sent too much, and that the kernel dropped
        before we could read them; TCP connections, and those that were ended.
        """
        counts = self._inbox.counts
        return {
            **{f"received_{how}": counts[f"received_{how}"] for how in ("udp", "tcp")},
            "received_netconsole": counts["received_netconsole"],
            "lost_refused": self._senders.refused,
            "lost_flood": self._senders.over,
            "lost_kernel": sum(self._dropped.values()),
            "connections": len(self._connections),
            "connections_refused": self._connections.refused,
        }

    # -- what comes ----------------------------------------------------------------------------

    def syslog(self, datagram: bytes, peer: str, port: int) -> None:
        """A syslog message by UDP."""
        self._inbox.counts["received_udp"] += 1
        if self._senders.takes(peer, self._reactor.seconds()):
            self._inbox.take(datagram, peer, port, self._now())

    def netconsole(self, datagram: bytes, peer: str, port: int) -> None:
        """A kernel's message, or a part of one."""
        self._inbox.counts["received_netconsole"] += 1
        seconds = self._reactor.seconds()
        if self._senders.takes(peer, seconds):
            for sender, said in self._assembler.feed(datagram, peer, seconds):
                arrival = Arrival(Source.NETCONSOLE, sender, port, self._now())
                self._inbox.keep(said, arrival)

    # -- from time to time ---------------------------------------------------------------------

    def _each_second(self) -> None:
        seconds = self._reactor.seconds()
        for sender, said in self._assembler.overdue(seconds):
            self._inbox.keep(said, Arrival(Source.NETCONSOLE, sender, 0, self._now()))
        for flood in self._senders.floods(seconds):
            self._publish(self._told(flood))
        self._seconds += 1
        if self._seconds % _LOOK_EVERY == 0:
            looked = deferToThread(self._look)
            looked.addErrback(lambda failure: log.failure("the kernel's tables", failure=failure))

    def _told(self, flood: Flood) -> Event:
        filing = self._filer.of(flood.peer).filing
        if flood.began:
            return Flooding(
                mac=filing.mac, target=filing.target, peer=flood.peer, rate=self._settings.rate
            )
        return FloodOver(
            mac=filing.mac,
            target=filing.target,
            peer=flood.peer,
            dropped=flood.refused,
            seconds=flood.seconds,
        )

    def _look(self) -> None:
        """In a thread: what the kernel dropped, and who is at an address that was asked for."""
        self._dropped |= drops_in(_TABLE, self._inodes())
        if self._neighbours.missed:
            self._neighbours.read()

    def _inodes(self) -> set[int]:
        found = set()
        for wanted, port in list(self._ports.items()):
            if wanted.protocol == "udp":
                with contextlib.suppress(OSError, AttributeError):  # closed meanwhile
                    found.add(_inode(port.socket))
        return found


class _Syslog(DatagramProtocol):
    def __init__(self, service: SyslogService) -> None:
        self._service = service

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self._service.syslog(datagram, *addr)


class _Netconsole(DatagramProtocol):
    def __init__(self, service: SyslogService) -> None:
        self._service = service

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self._service.netconsole(datagram, *addr)


def _wanted(settings: Syslog, addresses: Iterable[str]) -> Iterable[Wanted]:
    if not settings.enabled:
        return
    for address in addresses:
        yield Wanted("syslog", "udp", address, settings.port)
        yield Wanted("syslog", "tcp", address, settings.port)
        if settings.netconsole:
            yield Wanted("netconsole", "udp", address, settings.netconsole)


def _widen(udp: socket.socket) -> None:
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


def _inode(udp: socket.socket) -> int:
    return os.fstat(udp.fileno()).st_ino
