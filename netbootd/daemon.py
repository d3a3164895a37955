"""
The composition root: builds every service, hands each what it needs, and keeps them in step with
the configuration and the interfaces.  Long and flat; it knows everybody and decides nothing.

SIGHUP and a changed file end in ``_take``, and that and a changed interface in ``_reconcile``.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from netbootd import apitoken, dropins, journal
from netbootd import interfaces as networks
from netbootd.api import batch
from netbootd.api.desk import Desk
from netbootd.api.edit import Editor
from netbootd.boot import history
from netbootd.census import Census
from netbootd.check import tried
from netbootd.chronicle import Chronicle
from netbootd.config import Config
from netbootd.dhcp.service import DhcpService
from netbootd.dhcp6 import identifier
from netbootd.dhcp6.service import Dhcp6Service
from netbootd.events.event import Event, Reported
from netbootd.events.loops import LoopDetector
from netbootd.events.silence import SilenceDetector
from netbootd.events.stream import Stream
from netbootd.hooks import Hooks, LeaseHooks
from netbootd.http.api import Api
from netbootd.http.service import HttpService
from netbootd.keeper import Keeper
from netbootd.learning import Learner
from netbootd.leasing import Leasing
from netbootd.listening import Listening, Served, tftp_limits
from netbootd.metrics import Metrics
from netbootd.naming.naming import Naming
from netbootd.nodelogs import NodeLogs
from netbootd.printable import counted
from netbootd.registry.live import LiveRegistry
from netbootd.registry.snapshot import Changes, Registry
from netbootd.reloading import Refusals, Reloader, rehearsed
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
# A thread that reads a configuration of thousands lets the reactor in after so long; the usual 5 ms
# are felt by whoever asks for the next block.
_SWITCH_S = 0.001
# New objects before the collector looks for circles (gc.set_threshold): leases are in none, and the
# usual 700 cost an eighth of the time of a busy DHCP server.
_COLLECTED = (50_000, 20, 100)
_SETTLE_S = 30.0  # after the last of several reloads
_RETRY_S = 5.0  # a port that was taken is tried again this often


def main(file: Path, only_interfaces: tuple[str, ...], *, verbose: bool) -> int:
    """
    Serve *file* until SIGTERM; *only_interfaces* replaces the setting.  Returns the exit status.

    Raises ConfigErrors when the configuration cannot be used at the start.
    """
    # A clock that is set back, as on a host without a battery, must stop no timer.
    reactor: Any = global_reactor
    reactor.seconds = time.monotonic
    sys.setswitchinterval(_SWITCH_S)
    gc.set_threshold(*_COLLECTED)
    journal.begin(sys.stderr, os.environ, verbose=verbose)
    _finish_writing(file)
    registry = rehearsed(file, only_interfaces)
    _allow_many_files()
    daemon = Daemon(reactor, file, only_interfaces, registry, Notifier(os.environ), verbose=verbose)
    daemon.run()
    return daemon.exit_status


def _finish_writing(file: Path) -> None:
    """The drop-ins of an import that we died over: all of them."""
    try:
        if count := batch.finish(file.parent / dropins.FOLDER):
            log.warn("the end of an import was made up for: {count} drop-ins", count=count)
    except OSError as problem:
        log.warn("the end of an import cannot be made up for: {problem}", problem=str(problem))


def _allow_many_files() -> None:
    """Every connection and transfer is a descriptor: take all that the system grants."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may say no: then what we have
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Daemon:
    """One running netbootd."""

    def __init__(
        self,
        reactor: Any,
        file: Path,
        only_interfaces: tuple[str, ...],
        registry: Registry,
        notifier: Notifier,
        *,
        verbose: bool = False,
    ) -> None:
        self.exit_status = 0
        self._reactor = reactor
        self._file = file
        self._only_interfaces = only_interfaces
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
        self._teller = Teller(self._live, file, notifier, verbose=verbose)
        self._reloader = Reloader(
            file,
            partial(rehearsed, file, only_interfaces),
            lambda new: self._take_token(new.config),
            self._live,
            self._teller,
            notifier,
            self._take,
            self._leave,
        )
        self._settling: Any = None  # a delayed call
        self._stopping = False
        self._build(registry)

    def _build(self, registry: Registry) -> None:
        self._loops = LoopDetector()
        self._silences = SilenceDetector()
        self._events = Stream(_report)
        self._leasing = Leasing(
            self._reactor,
            registry.config.state,
            self._live,
            self._events.publish,
            changed=self._leases_changed,
        )
        self._logs = NodeLogs(
            self._reactor,
            self._live,
            self._chronicle,
            self._events.publish,
            self._logs_changed,
            time.time,
            self._leasing,
        )
        self._naming = Naming(
            self._live, told=lambda: self._reactor.callFromThread(self._naming_changed)
        )
        for listener in (
            self._teller.event,
            self._detect,
            self._keeper,
            self._chronicle,
            self._logs,
            self._leasing,
            self._naming,
            Learner(self._keeper.styles, self._events.publish),
            self._tell_hooks,
        ):
            self._events.subscribe(listener)
        self._hooks = Hooks(self._reactor, lambda: self._live.snapshot.config.hooks)
        self._events.subscribe(LeaseHooks(self._hooks, self._live))
        locator = Locator(self._live, self._reactor.seconds, self._events.publish)
        self._events.subscribe(locator.notice)
        config = registry.config
        served = Served()
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
        )
        self._http = HttpService(
            self._reactor, self._live, self._events, self._status, allowed=served.__contains__
        )
        self._listening = Listening(
            dhcp, tftp, self._http, self._logs, served, self._leasing, dhcp6
        )
        self._census = Census(_in_thread)
        self._metrics = Metrics(self._vitals, time.time())
        self._events.subscribe(self._metrics)
        self._chronicle.subscribe(self._metrics.boot)
        self._http.watched_by(lambda: health(self._vitals()), self._metrics.render)
        self._desk = Desk(
            live=self._live,
            told=self._teller,
            status=self._status,
            orders=self._keeper,
            now=time.time,
            reload=self._reload_for,
            editor=Editor(self._file, partial(rehearsed, self._file, self._only_interfaces), tried),
            boots=self._chronicle,
            logs=self._logs.book,
            leases=self._leasing,
            transfers=self._listening.transfers,
            observer=socket.gethostname(),
        )
        self._http.serve_api(Api(self._reactor, self._desk))
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
            self._take_token(registry.config)
            self._reconcile()
            self._naming.start(self._leasing.items())
            self._settle_memory()
            self._start_watchdog()
        except Exception:
            log.failure("netbootd could not start")
            self.exit_status = 1
            self._reactor.stop()

    def _take_token(self, config: Config) -> None:
        """Read the API token; the one in our own folder is made when it is missing."""
        try:
            if config.api_token is None:
                token = apitoken.read_or_make(config.state / apitoken.NAME)
            else:
                token = apitoken.read(config.api_token)
        except OSError as problem:
            log.warn("no API token, so nothing can be put by HTTP: {problem}", problem=problem)
            token = ""
        self._http.shelf.token = self._desk.token = token

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
        for part in ("_monitor", "_watcher"):
            if hasattr(self, part):
                getattr(self, part).close()
        if self._services.running:
            done = [
                self._services.stopService(),
                self._hooks.close(self._live.snapshot.config.grace),
            ]
            return DeferredList(done).addBoth(lambda _: deferToThread(self._close_books))
        return None

    def _close_books(self) -> None:
        """In a thread, for it waits for the disk."""
        self._naming.stop()
        self._leasing.stop()
        self._keeper.stop()
        self._chronicle.stop()
        self._logs.stop()
        self._shipper.stop()

    def _start_watchdog(self) -> None:
        if interval := self._notifier.watchdog_interval:
            ping = LoopingCall(self._notifier.watchdog)
            ping.clock = self._reactor
            ping.start(interval / 2)

    def _settle_soon(self) -> None:
        """Once for many changes in a row: nothing else is done meanwhile."""
        if self._settling is not None and self._settling.active():
            self._settling.reset(_SETTLE_S)
        else:
            self._settling = self._reactor.callLater(_SETTLE_S, self._settle_memory)

    @staticmethod
    def _settle_memory() -> None:
        """A registry of 100,000 machines need not be walked by every garbage collection."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    # -- reload --------------------------------------------------------------------------------

    def _hangup(self, *_: object) -> None:
        self._reactor.callFromThread(self._reloader.begin)

    def _reload_for(self, written: Sequence[Path]) -> Deferred[Refusals]:
        """Reload, for somebody who waits for the end of it and has *written* files for it."""
        self._watcher.about_to_read(written)
        return self._reloader.awaited()

    def _take(self, registry: Registry, changed: Changes) -> None:
        """A new configuration that can be used."""
        if registry.config.state != self._live.snapshot.config.state:
            log.warn("another state folder counts after a restart: {s}", s=registry.config.state)
        self._live.swap(registry)
        self._keeper.configured()
        self._chronicle.configured()
        self._logs.configured()
        self._naming.configured()
        self._shipper.configure(registry.config.ship)
        self._teller.reloaded(registry, changed)
        self._watcher.update(self._watched())
        self._reconcile()
        self._settle_soon()

    def _leave(self, files: list[Path]) -> None:
        """One that cannot, made of *files*: when these change it is time to look again."""
        self._watcher.update([*self._watched(), *files])

    def _watched(self) -> tuple[Path, ...]:
        return tuple(Path(path) for path in self._live.snapshot.watched)

    # -- what is served ------------------------------------------------------------------------

    def _interfaces_moved(self) -> None:
        """Called by the monitor's thread."""
        self._reactor.callFromThread(self._reconcile)

    def _reconcile(self) -> None:
        """Bring what listens in step with the configuration and the interfaces."""
        network = self._monitor.network
        interfaces, troubles = self._listening.reconcile(self._live.snapshot, network)
        books = (self._keeper, self._chronicle, self._logs, self._naming)
        troubles += [one.trouble for one in books if one.trouble]
        troubles += self._leasing.troubles + self._shipper.troubles
        self._teller.announce(interfaces, self._listening.sockets(), troubles, self._leasing.wants)

    def _retry_troubles(self) -> None:
        """A port may be free by now, an address may have come; and a disk may be full."""
        if self._teller.troubles or self._keeper.trouble or self._chronicle.trouble:
            self._reconcile()

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
        return {**self._teller.status(), "logs": self._logs.status()}

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
            received=self._logs.received,
            stored=self._logs.book.counts["stored"],
            dropped=self._logs.dropped,
            kernel_drops=self._logs.service.counts["lost_kernel"],
            shipping=self._shipper.counts,
            pools=self._leasing.usage(),
            foreign=len(self._leasing.foreign()),
            dhcp=self._listening.dhcp.counts,
            shed=self._listening.dhcp.shed,
        )

    def _tell_hooks(self, event: Event) -> None:
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

    def _detect(self, event: Event) -> None:
        for detector in (self._loops, self._silences):
            if found := detector.notice(event, self._reactor.seconds()):
                self._events.publish(found)


def _duid(config: Config) -> bytes:
    """Ours in DHCPv6; where it cannot be kept it is another one after the next start."""
    try:
        return identifier.read_or_make(config.state / identifier.NAME)
    except OSError as problem:
        log.warn("no DUID of DHCPv6 is kept: {problem}", problem=problem)
        return identifier.made()


def _in_thread(work: Callable[[], Any], then: Callable[[Any], None]) -> None:
    """*then* gets what *work* returns, None after a fault of ours."""
    working = deferToThread(work)
    working.addErrback(lambda failure: log.failure("fault in a thread", failure=failure))
    working.addCallback(then)


def _report(_problem: Exception) -> None:
    log.failure("an event's listener failed")
