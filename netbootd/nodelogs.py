"""
All of the daemon that has to do with the logs of nodes, put together: the ports that receive them,
whose they are, the book they are kept in, and in it what netbootd saw of the boots itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any, Protocol

from twisted.logger import Logger

from netbootd.banner import Socket
from netbootd.chronicle import Chronicle
from netbootd.config import Config
from netbootd.events.audit import Audited
from netbootd.events.event import Event
from netbootd.interfaces import Interface
from netbootd.leases.table import Leases as Table
from netbootd.logbook.book import Logbook
from netbootd.logbook.bootlines import audit_line, line_of
from netbootd.logbook.ecs import Shape
from netbootd.logbook.filing import Filer, no_leases
from netbootd.logbook.line import Source
from netbootd.logbook.neighbours import Neighbours
from netbootd.mac import MAC
from netbootd.registry.live import LiveRegistry
from netbootd.syslog.inbox import Inbox
from netbootd.syslog.service import SyslogService, Wanted

log = Logger(namespace="netbootd")

_SHOWN = 50  # unknown senders on the status page


class Leases(Protocol):
    """Who has which address: a table, and the clock that its times are of."""

    @property
    def leases(self) -> Table: ...
    def clock(self) -> float: ...


class NodeLogs:
    """
    *publish* is told of floods; *changed* is called when ``trouble`` is new, or over; *leases* has
    those that we gave, and *is_ours* tells whether an address is this host's.

    A listener of the Stream, which goes behind *chronicle*: that knows the boot by then.
    """

    def __init__(
        self,
        reactor: Any,
        live: LiveRegistry,
        chronicle: Chronicle,
        publish: Callable[[Event], None],
        changed: Callable[[], None],
        now: Callable[[], float],
        leases: Leases | None = None,
        is_ours: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._reactor = reactor
        self._live = live
        self._changed = changed
        self._now = now
        config = live.snapshot.config
        self.book = Logbook(config.log_folder, config.logs, _shape(config), now, self._told)
        neighbours = Neighbours()
        self._filer = Filer(
            lambda: live.snapshot,
            live.sightings,
            chronicle,
            neighbours.of,
            partial(_holder, leases) if leases else no_leases,
            is_ours,
        )
        self._inbox = Inbox(self.book, self._filer, chronicle.note)
        self.service = SyslogService(reactor, self._inbox, self._filer, neighbours, publish, now)

    def __call__(self, event: Event, at: float | None = None, times: int = 1) -> None:
        """Keep *event*, which happened *at*, *times*, among the lines of its machine."""
        if event.level == "debug":
            return
        if isinstance(event, Audited):
            self.book.put(audit_line(event, self._now() if at is None else at))
            return
        filed = self._filer.of_card(event.mac) if event.mac else self._filer.of(event.peer)
        if line := line_of(event, self._now() if at is None else at, filed.filing, times):
            self.book.put(line)

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to write."""
        self.book.start()
        self.service.configured(self._live.snapshot)

    def configured(self) -> None:
        """The configuration is new."""
        config = self._live.snapshot.config
        self.book.configure(config.logs, _shape(config))
        self.service.configured(self._live.snapshot)
        if config.log_folder != self.book.folder:
            log.warn("another folder of logs counts after a restart: {f}", f=config.log_folder)

    def stop(self) -> None:
        """Write what is left; in a thread."""
        if not self.book.stop():
            log.error("{lines} lines of nodes' logs are not written", lines=self.book.depth)

    # -- what is served ------------------------------------------------------------------------

    def serve(self, interfaces: Sequence[Interface]) -> list[tuple[Wanted, OSError]]:
        """Listen on the addresses of *interfaces*; return what cannot be had."""
        return self.service.listen(
            str(address.ip) for interface in interfaces for address in interface.addresses
        )

    def sockets(self) -> list[Socket]:
        """What the banner says of the open ports."""
        both: dict[tuple[str, int, str], list[str]] = {}
        for one in self.service.listening:
            both.setdefault((one.service, one.port, one.address), []).append(one.protocol.upper())
        return [
            Socket(service, f"{' and '.join(sorted(protocols, reverse=True))} {port} on {address}")
            for (service, port, address), protocols in sorted(both.items(), reverse=True)
        ]

    # -- telling -------------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """What is wrong with the disk; empty where nothing is."""
        return self.book.trouble

    def status(self) -> dict[str, Any]:
        """For ``/status``: what was counted, and the senders that are no machine we know."""
        return {
            **self.service.counts,
            **self.book.counts,
            "waiting": self.book.depth,
            "unknown_senders": dict(list(self._inbox.unknown.items())[-_SHOWN:]),
        }

    @property
    def received(self) -> dict[str, int]:
        """Messages that came, by data set."""
        counts = self.service.counts
        return {
            Source.SYSLOG.value: counts["received_udp"] + counts["received_tcp"],
            Source.NETCONSOLE.value: counts["received_netconsole"],
        }

    @property
    def dropped(self) -> dict[str, int]:
        """Messages that were not kept, by reason; those that the kernel dropped are not in it."""
        counts = {**self.service.counts, **self.book.counts}
        reasons = ("refused", "flood", "full", "low_disk")
        return {reason: counts[f"lost_{reason}"] for reason in reasons}

    def _told(self, trouble: str) -> None:
        """Called by the book's thread."""
        self._reactor.callFromThread(self._tell, trouble)

    def _tell(self, trouble: str) -> None:
        if not trouble:
            log.info("the log of the nodes is written again")
        self._changed()


def _holder(leases: Leases, address: str) -> MAC | None:
    """The card that has a lease of *address* now."""
    if not leases.leases:  # as in a proxy, which is told of many addresses
        return None
    try:
        lease = leases.leases.at(ip_address(address.partition("%")[0]))
    except ValueError:
        return None
    return lease.mac if lease is not None and lease.active(leases.clock()) else None


def _shape(config: Config) -> Shape:
    return Shape(socket.gethostname(), config.ship.namespace, config.logs.original)
