"""
The composition root: builds every service, hands each what it needs, and keeps them in step with
the configuration and the interfaces.  Long and flat; it knows everybody and decides nothing.

SIGHUP and a changed file end in ``_take``, and that and a changed interface in ``_reconcile``.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from netbootd import interfaces as networks
from netbootd import journal
from netbootd.api.desk import Desk
from netbootd.api.edit import Editor
from netbootd.boot import history
from netbootd.boots.boot import Boot
from netbootd.census import Census
from netbootd.check import tried
from netbootd.chronicle import Chronicle
from netbootd.collecting import Collector
from netbootd.config import Config
from netbootd.dhcp import wire
from netbootd.dhcp.service import DhcpService
from netbootd.dhcp6 import identifier
from netbootd.dhcp6.service import Dhcp6Service
from netbootd.events.event import Claimed, Event, Reported, Transferred
from netbootd.events.familiar import Familiar
from netbootd.events.lease import AddressInUse, Leased, LeaseEnded, NoAddress
from netbootd.events.loops import LoopDetector
from netbootd.events.silence import SilenceDetector
from netbootd.events.stream import Listener, Stream
from netbootd.events.witness import Overheard
from netbootd.hooks.hooks import Hooks
from netbootd.hooks.leases import LeaseHooks
from netbootd.http import tls
from netbootd.http.api import Api
from netbootd.http.authority import Authority
from netbootd.http.service import HttpService
from netbootd.keeper import Keeper
from netbootd.learning import Learner
from netbootd.leasing import Leasing
from netbootd.listening import Listening, Served, tftp_limits
from netbootd.metrics import Metrics
from netbootd.naming.naming import Naming
from netbootd.nodelogs import NodeLogs
from netbootd.opener import client as opener
from netbootd.owners import Owners
from netbootd.pacing import Pacing
from netbootd.printable import counted
from netbootd.record.standing import Standing
from netbootd.registry import templates
from netbootd.registry.live import LiveRegistry
from netbootd.registry.snapshot import Changes, Registry
from netbootd.rehearsal import Rehearsal
from netbootd.reloading import Refusals, Reloader
from netbootd.shipping import shipper
from netbootd.shipping.shipper import Shipper
from netbootd.systemd import Notifier
from netbootd.telling import Teller
from netbootd.tftp.locate import Locator
from netbootd.tftp.service import TftpService
from netbootd.vitals import Vitals, health
from netbootd.watch import Watcher

log = Logger(namespace="netbootd")

_HOOK_OUTPUT = 4096  # characters of a node's last words that a hook is told
#: The owners of the record and of the boots, and the certificate of HTTPS.
_Ready = tuple[Owners[Standing], Owners[Boot], tls.Prepared]
_RETRY_S = 5.0  # a port that was taken is tried again this often


class Daemon:
    """One running netbootd."""

    def __init__(
        self,
        reactor: Any,
        file: Path,
        only_interfaces: tuple[str, ...],
        registry: Registry,
        notifier: Notifier,
        lines: journal.Lines,
        *,
        verbose: bool = False,
    ) -> None:
        self.exit_status = 0
        self._reactor = reactor
        self._file = file
        self._keeper = Keeper(reactor, registry.config.state, time.time)
        self._live = LiveRegistry(registry, self._keeper.record, self._keeper.styles)
        self._chronicle = Chronicle(reactor, registry.config.state, self._live, time.time)
        self._shipper = Shipper(
            registry.config.log_folder,
            registry.config.state / shipper.FOLDER,
            told=lambda trouble: reactor.callFromThread(self._shipping_changed, trouble),
            lost=lambda name, lines: reactor.callFromThread(self._shipping_lost, name, lines),
        )
        self._notifier = notifier
        self._lines = lines
        self._teller = Teller(self._live, file, notifier, verbose=verbose, write=lines.put)
        self._rehearsal = Rehearsal(file, only_interfaces, registry.documents)
        self._reloader = Reloader(
            file,
            self._rehearsal,
            self._prepare,
            self._live,
            self._teller,
            notifier,
            self._take,
            self._leave,
        )
        self._collector = Collector(reactor)
        self._stopping = False
        self._build(registry)

    def _lists(self, card: bytes) -> bool:
        return self._live.snapshot.lists(card)

    def _build(self, registry: Registry) -> None:
        self._events = Stream(_report, self._reactor, time.time)
        self._events.rests(self._lines.flush_soon)
        self._events.rests(self._collector.glance)
        self._leasing = Leasing(
            self._reactor,
            registry.config.state,
            self._live,
            self._events.publish,
            changed=self._leases_changed,
        )
        served = Served()
        self._logs = NodeLogs(
            self._reactor,
            self._live,
            self._chronicle,
            self._events.publish,
            self._logs_changed,
            time.time,
            self._leasing,
            served.is_ours,
        )
        self._naming = Naming(
            self._live, told=lambda: self._reactor.callFromThread(self._naming_changed)
        )
        decided, told = self._events.subscribe, self._events.narrate
        for detector in (LoopDetector(), SilenceDetector()):
            decided(self._detector(detector), *detector.KINDS)
        decided(self._keeper, *Keeper.KINDS)
        decided(self._leasing, NoAddress, Overheard)
        decided(Learner(self._keeper.styles, self._events.publish), *Learner.KINDS)
        told(self._teller.event)
        told(self._chronicle)
        told(self._logs)
        told(self._naming, AddressInUse, Leased, LeaseEnded)
        told(self._tell_hooks, Reported)
        told(self._tell_alarm, Claimed)
        self._hooks = Hooks(self._reactor, lambda: self._live.snapshot.config.hooks)
        told(LeaseHooks(self._hooks, self._live), Leased, LeaseEnded)
        locator = Locator(self._live, self._reactor.seconds, self._events.publish)
        decided(locator.notice, Transferred)
        familiar = Familiar(self._lists)
        decided(familiar, *Familiar.KINDS)
        config = registry.config
        dhcp = DhcpService(self._reactor, self._live, self._events, ledger=self._leasing)
        dhcp6 = Dhcp6Service(
            self._reactor, self._live, self._events, self._leasing, partial(_duid, config)
        )
        tftp = TftpService(
            self._reactor,
            locator.locate,
            self._events,
            tftp_limits(config),
            grace=config.grace,
            known=familiar,
            proved=familiar.proved,
        )
        self._http = HttpService(
            self._reactor, self._live, self._events, self._status, allowed=served.__contains__
        )
        self._listening = Listening(
            dhcp, tftp, self._http, self._logs, served, self._leasing, dhcp6
        )
        self._pacing = Pacing(
            self._reactor, config.state, self._live, self._listening.transfers, time.time
        )
        decided(self._pacing, *Pacing.KINDS)
        self._http.paced_by(lambda: self._pacing if self._pacing.on else None)
        self._census = Census(_in_thread)
        self._metrics = Metrics(self._vitals, time.time())
        told(self._metrics)
        self._chronicle.subscribe(self._metrics.boot)
        self._http.watched_by(lambda: health(self._vitals()), self._metrics.render)
        self._desk = Desk(
            live=self._live,
            told=self._teller,
            status=self._status,
            orders=self._keeper,
            now=time.time,
            reload=self._reload_for,
            editor=Editor(self._file, self._rehearsal, tried),
            boots=self._chronicle,
            logs=self._logs.book,
            leases=self._leasing,
            transfers=self._listening.transfers,
            pace=self._pacing,
            observer=socket.gethostname(),
        )
        authority = self._http.authority
        authority.link, authority.is_ours = served.link, served.is_ours
        self._keyring = authority.keyring
        self._http.serve_api(Api(self._reactor, self._desk, authority))
        self._services = MultiService()
        for service in (dhcp, dhcp6, tftp, self._http, self._logs.service):
            service.setServiceParent(self._services)  # type: ignore[no-untyped-call]

    # -- life ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Start everything and stay in the reactor until told to stop."""
        self._reactor.callWhenRunning(self._start)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        self._reactor.run()

    def _start(self) -> None:
        try:
            signal.signal(signal.SIGHUP, self._hangup)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._terminate)
            self._services.startService()
            self._keeper.start(self._live, self._events.publish)
            self._chronicle.start()
            self._pacing.start()
            self._logs.start()
            self._shipper.configure(self._live.snapshot.config.ship)
            self._monitor = networks.Monitor(self._interfaces_moved)
            self._watcher = Watcher(self._reactor, self._watched(), self._reloader.begin)
            self._retry = LoopingCall(self._retry_troubles)
            self._retry.clock = self._reactor
            self._retry.start(_RETRY_S, now=False)
            registry = self._live.snapshot
            self._teller.findings(registry.findings)
            self._teller.findings(self._http.shelf.store.read())
            self._keyring.configured(registry.config)
            self._http.secure.take(tls.prepared(registry.config.tls))
            self._reconcile()
            self._naming.start(self._leasing.items())
            self._collector.start()
            self._start_watchdog()
            warm = partial(_warm, registry, self._http.authority)
            deferToThread(warm).addErrback(lambda one: log.failure("warm", failure=one))
        except Exception:
            log.failure("netbootd could not start")
            self.exit_status = 1
            self._reactor.stop()

    def _terminate(self, *_: object) -> None:
        self._reactor.callFromThread(self._quit)

    def _quit(self) -> None:
        """Once: a second signal changes nothing, the grace is on already."""
        if not self._stopping:
            self._stopping = True
            self._reactor.stop()

    def _stop(self) -> Deferred[Any] | None:
        """Running transfers get their grace; nothing new is begun."""
        self._notifier.stopping()
        log.info("netbootd stops")
        self._rehearsal.stop()
        for part in ("_monitor", "_watcher"):
            if hasattr(self, part):
                getattr(self, part).close()
        if self._services.running:
            done = [
                self._services.stopService(),
                self._hooks.close(self._live.snapshot.config.grace),
            ]
            ended = DeferredList(done).addBoth(lambda _: self._events.drain())
            return ended.addBoth(lambda _: deferToThread(self._close_books))
        return None

    def _close_books(self) -> None:
        """In a thread, for it waits for the disk."""
        self._naming.stop()
        self._leasing.stop()
        self._keeper.stop()
        self._chronicle.stop()
        self._pacing.stop()
        self._logs.stop()
        self._shipper.stop()

    def _start_watchdog(self) -> None:
        if interval := self._notifier.watchdog_interval:
            ping = LoopingCall(self._notifier.watchdog)
            ping.clock = self._reactor
            ping.start(interval / 2)

    # -- reload --------------------------------------------------------------------------------

    def _hangup(self, *_: object) -> None:
        self._reactor.callFromThread(self._reloader.begin)

    def _reload_for(self, written: Sequence[Path]) -> Deferred[Refusals]:
        """Reload, for somebody who waits for the end of it and has *written* files for it."""
        self._watcher.about_to_read(written)
        return self._reloader.awaited()

    def _prepare(self, registry: Registry) -> _Ready:
        """In a thread: what takes time before *registry* is in force."""
        opener.look()
        self._keyring.configured(registry.config)
        templates.warm(registry)
        certificate = tls.prepared(registry.config.tls)
        return self._keeper.owners(registry), self._chronicle.owners(registry), certificate

    def _take(self, registry: Registry, changed: Changes, ready: _Ready) -> None:
        """A new configuration that can be used."""
        if registry.config.state != self._live.snapshot.config.state:
            log.warn("another state folder counts after a restart: {s}", s=registry.config.state)
        if registry.config.user != self._live.snapshot.config.user:
            log.warn("another user counts after a restart")
        if registry.config.hooks.environment != self._live.snapshot.config.hooks.environment:
            log.warn("another environment of hooks counts after a restart")
        self._live.swap(registry)
        of_record, of_boots, certificate = ready
        self._http.secure.take(certificate)
        self._keeper.configured(of_record)
        self._chronicle.configured(of_boots)
        self._pacing.configured()
        self._logs.configured()
        self._naming.configured()
        self._shipper.configure(registry.config.ship)
        self._teller.reloaded(registry, changed)
        self._watcher.update(self._watched())
        self._reconcile()
        self._collector.soon()

    def _leave(self, files: list[Path]) -> None:
        """One that cannot, made of *files*: when these change it is time to look again."""
        self._watcher.update([*self._watched(), *files])

    def _watched(self) -> tuple[Path, ...]:
        return tuple(Path(path) for path in self._live.snapshot.watched)

    # -- what is served ------------------------------------------------------------------------

    def _interfaces_moved(self) -> None:
        """Called by the monitor's thread."""
        self._reactor.callFromThread(self._look_and_reconcile)

    def _reconcile(self) -> None:
        """Bring what listens in step with the configuration and the interfaces."""
        network = self._monitor.network
        interfaces, troubles = self._listening.reconcile(self._live.snapshot, network)
        books = (self._keeper, self._chronicle, self._logs, self._naming)
        troubles += [one.trouble for one in books if one.trouble]
        troubles += self._leasing.troubles + self._shipper.troubles
        self._teller.announce(interfaces, self._listening.sockets(), troubles, self._leasing.wants)

    def _look_and_reconcile(self) -> Deferred[None] | None:
        """The opener may hang: a thread waits for it, and then nobody does."""
        if not opener.is_named():
            self._reconcile()
            return None
        looked = deferToThread(opener.look).addCallback(self._looked)
        return looked.addErrback(lambda one: log.failure("fault of serving", failure=one))

    def _looked(self, _: None) -> None:
        if not self._stopping:
            self._reconcile()

    def _retry_troubles(self) -> Deferred[None] | None:
        """A port may be free by now, an address may have come; and a disk may be full."""
        if self._teller.troubles or self._keeper.trouble or self._chronicle.trouble:
            return self._look_and_reconcile()
        return None

    def _logs_changed(self) -> None:
        """Something new about the log of the nodes."""
        if not self._stopping:
            self._reconcile()

    def _leases_changed(self) -> None:
        """A pool is empty, another server was heard, or the disk is another matter now."""
        if not self._stopping:
            self._reactor.callLater(0, self._reconcile)

    def _naming_changed(self) -> None:
        """The names of leases can be told, or cannot."""
        if not self._stopping:
            self._reconcile()

    def _shipping_changed(self, trouble: str) -> None:
        """Something new about what keeps logs from being sent; *trouble* is empty where nothing."""
        if not trouble:
            log.info("the log is sent on again")
        if not self._stopping:
            self._reconcile()

    def _shipping_lost(self, name: str, lines: int) -> None:
        text = "{lines} of the log went before {name} could have them: see logs.size"
        log.error(text, lines=counted(lines, "line"), name=name.capitalize())

    # -- telling -------------------------------------------------------------------------------

    def _status(self) -> dict[str, object]:
        """For ``/status``."""
        told = {**self._teller.status(), "logs": self._logs.status()}
        return {**told, "pace": self._pacing.summary()} if self._pacing.on else told

    def _vitals(self) -> Vitals:
        """How everything is at this moment."""
        standings, boots = self._live.record.items(), self._chronicle.items()
        return replace(
            self._teller.vitals(self._listening.dhcp_services),
            disks={
                "record": self._keeper.trouble,
                "boots": self._chronicle.trouble,
                "logs": self._logs.trouble,
                "leases": self._leasing.trouble,
            },
            states=self._census.take(self._live.snapshot, standings, boots, time.time()),
            strangers=len(self._chronicle.strangers()),
            transfers=self._listening.transfers(),
            pace=self._pacing.summary(),
            received=self._logs.received,
            stored=self._logs.book.counts["stored"],
            dropped=self._logs.dropped,
            kernel_drops=self._logs.service.counts["lost_kernel"],
            shipping=self._shipper.counts,
            pools=self._leasing.usage(),
            foreign=len(self._leasing.foreign()),
            dhcp=self._listening.dhcp.counts,
            shed=self._listening.dhcp.shed + self._listening.dhcp6.shed,
            certificate_ends=self._http.secure.ends,
            expiring=self._http.secure.expiring(time.time()),
        )

    def _tell_hooks(self, event: Event, *_: object) -> None:
        """A node that is up, or has failed, once for each of its reports."""
        if isinstance(event, Reported) and event.mac is not None:
            registry = self._live.snapshot
            machine = history.machine_of(event.mac, registry, self._live.sightings)
            data = {
                "mac": str(event.mac),
                "target": event.target,
                "address": event.peer,
                "status": "overdue" if event.outcome == "overdue" else event.status,
                "output": event.output[-_HOOK_OUTPUT:],
                "machine": registry.variables_of(machine) if machine else {},
            }
            self._hooks.run("up" if event.outcome == "done" else "failed", data)

    def _tell_alarm(self, event: Event, *_: object) -> None:
        """A secret that had a second claimant."""
        if isinstance(event, Claimed) and event.mac is not None:
            data = {"mac": str(event.mac), "target": event.target, "address": event.peer}
            self._hooks.run("alarm", {**data, "reason": event.says})

    def _detector(self, detector: LoopDetector | SilenceDetector) -> Listener:
        """A listener that publishes what *detector* makes of an event."""

        def detect(event: Event) -> None:
            if found := detector.notice(event, self._reactor.seconds()):
                self._events.publish(found)

        return detect


def _duid(config: Config) -> bytes:
    """Ours in DHCPv6; where it cannot be kept it is another one after the next start."""
    try:
        return identifier.read_or_make(config.state / identifier.NAME)
    except OSError as problem:
        log.warn("no DUID of DHCPv6 is kept: {problem}", problem=problem)
        return identifier.made()


def _warm(registry: Registry, authority: Authority) -> None:
    """In a thread, once we are ready: what the first requests would wait for."""
    authority.host_names = frozenset(
        name.lower() for name in (socket.gethostname(), socket.getfqdn())
    )
    templates.warm(registry)
    wire.warm()


def _in_thread(work: Callable[[], Any], then: Callable[[Any], None]) -> None:
    """*then* gets what *work* returns, None after a fault of ours."""
    working = deferToThread(work)
    working.addErrback(lambda failure: log.failure("fault in a thread", failure=failure))
    working.addCallback(then)


def _report(_problem: Exception) -> None:
    log.failure("an event's listener failed")
