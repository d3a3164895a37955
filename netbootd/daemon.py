"""
The composition root: builds every service, hands each what it needs, and keeps them in step with
the configuration and the interfaces.  Long and flat; it knows everybody and decides nothing.

SIGHUP, a changed file and a changed interface all end in ``_reconcile``: what should be listening
minus what is listening is started, the rest stopped, and a socket that did not change never closes.
"""

from __future__ import annotations

import contextlib
import errno
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
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.application.service import MultiService
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from netbootd import apitoken, banner, dropins, journal, ports
from netbootd import interfaces as networks
from netbootd.api import batch
from netbootd.api.desk import Desk
from netbootd.api.edit import Editor
from netbootd.banner import Socket
from netbootd.boot import history
from netbootd.census import Census
from netbootd.check import rehearse
from netbootd.chronicle import Chronicle
from netbootd.config import Config
from netbootd.dhcp.destination import Port
from netbootd.dhcp.service import DhcpService
from netbootd.dropins import NOTHING_PENDING, Pending
from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.events.event import Event, Reported
from netbootd.events.loops import LoopDetector
from netbootd.events.progress import Progress
from netbootd.events.silence import SilenceDetector
from netbootd.events.stream import Stream
from netbootd.hooks import Hooks
from netbootd.http.api import Api
from netbootd.http.local import SOCKET
from netbootd.http.service import HttpService
from netbootd.interfaces import Interface
from netbootd.keeper import Keeper
from netbootd.learning import Learner
from netbootd.metrics import Metrics
from netbootd.nodelogs import NodeLogs
from netbootd.printable import counted
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.registry.snapshot import Changes, Registry, changes
from netbootd.shipping import shipper
from netbootd.shipping.shipper import Shipper
from netbootd.systemd import Notifier
from netbootd.telling import Teller
from netbootd.tftp.limits import Limits
from netbootd.tftp.locate import Locator
from netbootd.tftp.port import Listener
from netbootd.tftp.service import TftpService
from netbootd.vitals import Vitals, health
from netbootd.watch import Watcher

log = Logger(namespace="netbootd")

_HOOK_OUTPUT = 4096  # characters of a node's last words that a hook is told
# A thread that reads a configuration of thousands lets the reactor in after so long; the usual 5 ms
# are felt by whoever asks for the next block.
_SWITCH_S = 0.001
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
    journal.begin(sys.stderr, os.environ, verbose=verbose)
    _finish_writing(file)
    registry = _rehearsed(file, only_interfaces)
    _allow_many_files()
    daemon = Daemon(reactor, file, only_interfaces, registry, Notifier(os.environ))
    daemon.run()
    return daemon.exit_status


def _rehearsed(
    file: Path, only_interfaces: tuple[str, ...], pending: Pending = NOTHING_PENDING
) -> Registry:
    """
    *file*, with what is *pending*, and with what a rehearsal of every machine's boot found as well;
    raises ConfigErrors.
    """
    registry = load(file, only_interfaces, pending)
    return replace(registry, findings=(*registry.findings, *rehearse(registry)))


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
        self._teller = Teller(self._live, file, notifier)
        self._reload_again = False
        self._awaiting: list[Deferred[tuple[Finding, ...]]] = []
        self._awaiting_next: list[Deferred[tuple[Finding, ...]]] = []
        self._stopping = False
        self._served_addresses: set[str] = set()
        self._holders: dict[str, str] = {}
        self._build(registry)

    def _build(self, registry: Registry) -> None:
        self._loops = LoopDetector()
        self._silences = SilenceDetector()
        self._events = Stream(_report)
        self._logs = NodeLogs(
            self._reactor,
            self._live,
            self._chronicle,
            self._events.publish,
            self._logs_changed,
            time.time,
        )
        for listener in (
            self._teller.event,
            self._detect,
            self._keeper,
            self._chronicle,
            self._logs,
            Learner(self._keeper.styles, self._events.publish),
            self._tell_hooks,
        ):
            self._events.subscribe(listener)
        self._hooks = Hooks(self._reactor, lambda: self._live.snapshot.config.hooks)
        locator = Locator(self._live, self._reactor.seconds, self._events.publish)
        self._events.subscribe(locator.notice)
        config = registry.config
        self._dhcp = DhcpService(self._reactor, self._live, self._events)
        self._tftp = TftpService(
            self._reactor,
            locator.locate,
            self._events,
            _tftp_limits(config),
            grace=config.grace,
        )
        self._http = HttpService(
            self._reactor, self._live, self._events, self._status, allowed=self._is_served
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
            editor=Editor(self._file, partial(_rehearsed, self._file, self._only_interfaces)),
            boots=self._chronicle,
            logs=self._logs.book,
            transfers=self._transfers,
            observer=socket.gethostname(),
        )
        self._http.serve_api(Api(self._reactor, self._desk))
        self._services = MultiService()
        for service in (self._dhcp, self._tftp, self._http, self._logs.service):
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
            self._watcher = Watcher(self._reactor, self._watched(), self.reload)
            self._retry = LoopingCall(self._retry_troubles)
            self._retry.clock = self._reactor
            self._retry.start(_RETRY_S, now=False)
            registry = self._live.snapshot
            self._teller.findings(registry.findings)
            self._teller.findings(self._http.shelf.store.read())
            self._take_token(registry.config)
            self._reconcile()
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
        self._keeper.stop()
        self._chronicle.stop()
        self._logs.stop()
        self._shipper.stop()

    def _start_watchdog(self) -> None:
        if interval := self._notifier.watchdog_interval:
            ping = LoopingCall(self._notifier.watchdog)
            ping.clock = self._reactor
            ping.start(interval / 2)

    @staticmethod
    def _settle_memory() -> None:
        """A registry of 100,000 machines need not be walked by every garbage collection."""
        gc.collect()
        gc.freeze()

    # -- reload --------------------------------------------------------------------------------

    def _hangup(self, *_: object) -> None:
        self._reactor.callFromThread(self.reload)

    def _reload_for(self, written: Sequence[Path]) -> Deferred[tuple[Finding, ...]]:
        """
        Reload, for somebody who waits for the end of it and has *written* these files for it.

        Fires with the findings that keep the files from being taken, none where they are in force.
        """
        self._watcher.about_to_read(written)
        done: Deferred[tuple[Finding, ...]] = Deferred()
        (self._awaiting_next if self._teller.reloading else self._awaiting).append(done)
        self.reload()
        return done

    def reload(self) -> None:
        """Read the configuration again, off the reactor's thread; one at a time."""
        if self._teller.reloading:
            self._reload_again = True
            return
        self._teller.reloading = True
        self._notifier.reloading(time.monotonic_ns() // 1000)
        loading = deferToThread(self._load)
        loading.addCallbacks(self._loaded, self._refused)
        loading.addBoth(self._reload_done)

    def _load(self) -> tuple[Registry, Changes]:
        """In a thread of its own: all that takes time."""
        registry = _rehearsed(self._file, self._only_interfaces)
        if any(finding.level is Level.RELOAD for finding in registry.findings):
            raise ConfigErrors(registry.findings, registry.watched)
        self._take_token(registry.config)
        return registry, changes(self._live.snapshot, registry)

    def _loaded(self, loaded: tuple[Registry, Changes]) -> None:
        registry, changed = loaded
        gc.unfreeze()
        if registry.config.state != self._live.snapshot.config.state:
            log.warn("another state folder counts after a restart: {s}", s=registry.config.state)
        self._live.swap(registry)
        self._keeper.configured()
        self._chronicle.configured()
        self._logs.configured()
        self._shipper.configure(registry.config.ship)
        self._teller.reloaded(registry, changed)
        self._watcher.update(self._watched())
        self._reconcile()
        self._settle_memory()

    def _refused(self, failure: Failure) -> None:
        failure.trap(ConfigErrors)
        assert isinstance(failure.value, ConfigErrors)
        self._teller.refuses(failure.value.findings)
        self._watcher.update([*self._watched(), *map(Path, failure.value.files)])

    def _reload_done(self, failure: Failure | None) -> None:
        if failure is not None:
            log.failure("reload failed, a fault of netbootd's", failure=failure)
            self._teller.last_reload = f"failed: {failure.getErrorMessage()}"
        self._teller.reloading = False
        self._teller.systemd()
        self._tell_of_reload(failure)
        if self._reload_again:
            self._reload_again = False
            self.reload()

    def _tell_of_reload(self, failure: Failure | None) -> None:
        """Whoever waited for this one; those who came later wait for the next."""
        refused = self._teller.refused
        if failure is not None:
            told = f"{self._teller.last_reload}; the log has more"
            refused = (Finding(Level.RELOAD, "reload-failed", told, Place(str(self._file))),)
        waited, self._awaiting = self._awaiting, self._awaiting_next
        self._awaiting_next = []
        for done in waited:
            done.callback(refused)

    def _watched(self) -> tuple[Path, ...]:
        return tuple(Path(path) for path in self._live.snapshot.watched)

    # -- what is served ------------------------------------------------------------------------

    def _interfaces_moved(self) -> None:
        """Called by the monitor's thread."""
        self._reactor.callFromThread(self._reconcile)

    def _reconcile(self) -> None:
        """Bring what listens in step with the configuration and the interfaces."""
        registry = self._live.snapshot
        network = self._monitor.network
        served, missing = networks.served(
            network.interfaces,
            registry.config.interfaces,
            _addresses(registry),
            network.default_route,
        )
        served = tuple(_boot_server_first(interface, _addresses(registry)) for interface in served)
        self._served_addresses = {
            str(address.ip) for interface in served for address in interface.addresses
        }
        troubles = [f"{name}: {reason}" for name, reason in missing]
        troubles += self._serve_dhcp(registry, served)
        troubles += self._serve_tftp(registry, served)
        troubles += self._serve_http(registry)
        troubles += self._serve_socket(registry)
        troubles += self._serve_logs(served)
        books = (self._keeper, self._chronicle, self._logs)
        troubles += [one.trouble for one in books if one.trouble]
        troubles += self._shipper.troubles
        self._teller.announce(served, self._sockets(), troubles)

    def _serve_dhcp(self, registry: Registry, served: tuple[Interface, ...]) -> list[str]:
        wanted = served if registry.config.proxydhcp.enabled else ()
        failed = self._dhcp.serve(wanted, registry.config.proxydhcp.mode)
        # Looked up once: who had the port when we began to share it.
        snooped = self._dhcp.snooped
        self._holders = {
            name: self._holders.get(name) or ports.holder_of("udp", Port.DHCP) for name in snooped
        }
        return [
            _trouble(f"ProxyDHCP on {interface.name}", problem, "udp", problem.port, "proxydhcp")
            for interface, problem in failed
        ]

    def _serve_tftp(self, registry: Registry, served: tuple[Interface, ...]) -> list[str]:
        wanted = served if registry.config.tftp.enabled else ()
        self._tftp.limits = _tftp_limits(registry.config)
        self._tftp.grace_s = registry.config.grace
        listeners = [
            Listener(address.ip, interface.name, interface.mtu, registry.config.tftp.port)
            for interface in wanted
            for address in interface.addresses
        ]
        return [
            _trouble(f"TFTP on {listener.address}", problem, "udp", listener.port, "tftp")
            for listener, problem in self._tftp.listen_on(listeners)
        ]

    def _serve_http(self, registry: Registry) -> list[str]:
        return [
            _trouble(f"HTTP on port {port}", problem, "tcp", port, "http_port")
            for port, problem in self._http.listen(registry.config.http_port)
        ]

    def _serve_logs(self, served: tuple[Interface, ...]) -> list[str]:
        return [
            _trouble(
                f"{one.service} on {one.address}",
                problem,
                one.protocol,
                one.port,
                "syslog.port" if one.service == "syslog" else "syslog.netconsole",
            )
            for one, problem in self._logs.serve(served)
        ]

    def _serve_socket(self, registry: Registry) -> list[str]:
        file = registry.config.api_socket or registry.config.state / SOCKET
        problem = self._http.listen_locally(file)
        why = problem and (problem.strerror or str(problem))
        return [f"the API's socket {file}: {why}"] if problem else []

    def _transfers(self) -> list[Progress]:
        return [*self._tftp.transfers(), *self._http.transfers()]

    def _is_served(self, address: str) -> bool:
        """Whether a connection to this address of ours came by an interface that is served."""
        return address in self._served_addresses or IPv4Address(address).is_loopback

    def _retry_troubles(self) -> None:
        """A port may be free by now, an address may have come; and a disk may be full."""
        if self._teller.troubles or self._keeper.trouble or self._chronicle.trouble:
            self._reconcile()

    def _logs_changed(self) -> None:
        """Something new about the log of the nodes."""
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

    def _sockets(self) -> list[Socket]:
        sockets = [
            banner.proxydhcp(interface.name, self._holders.get(interface.name))
            for interface in self._dhcp.interfaces
        ]
        sockets += [
            Socket("TFTP", f"UDP {port} on {address}")
            for address, port in self._tftp.addresses.items()
        ]
        sockets += [Socket("HTTP", f"TCP {port}") for port in self._http.ports]
        return sockets + self._logs.sockets()

    def _status(self) -> dict[str, object]:
        """For ``/status``."""
        return {**self._teller.status(), "logs": self._logs.status()}

    def _vitals(self) -> Vitals:
        """How everything is at this moment."""
        standings, boots = self._live.record.items(), self._chronicle.items()
        return replace(
            self._teller.vitals(),
            disks={
                "record": self._keeper.trouble,
                "boots": self._chronicle.trouble,
                "logs": self._logs.trouble,
            },
            states=self._census.take(self._live.snapshot, standings, boots, time.time()),
            strangers=len(self._chronicle.strangers()),
            transfers=self._transfers(),
            received=self._logs.received,
            stored=self._logs.book.counts["stored"],
            dropped=self._logs.dropped,
            kernel_drops=self._logs.service.counts["lost_kernel"],
            shipping=self._shipper.counts,
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


def _tftp_limits(config: Config) -> Limits:
    tftp = config.tftp
    return Limits(windowsize=tftp.windowsize, blksize=tftp.blksize, single_port=tftp.single_port)


def _trouble(what: str, problem: OSError, protocol: ports.Protocol, port: int, setting: str) -> str:
    """A socket that cannot be had, in words for the operator."""
    if problem.errno == errno.EADDRINUSE:
        return ports.explain_taken(protocol, port, None, setting)
    if problem.errno in (errno.EACCES, errno.EPERM):
        return f"{what}: not allowed; it needs root, or CAP_NET_BIND_SERVICE and CAP_NET_RAW"
    return f"{what}: {problem.strerror or problem}"


def _in_thread(work: Callable[[], Any], then: Callable[[Any], None]) -> None:
    """*then* gets what *work* returns, None after a fault of ours."""
    working = deferToThread(work)
    working.addErrback(lambda failure: log.failure("fault in a thread", failure=failure))
    working.addCallback(then)


def _report(_problem: Exception) -> None:
    log.failure("an event's listener failed")


def _addresses(registry: Registry) -> set[IPv4Address]:
    """The addresses that the configuration calls boot servers; names are not looked up."""
    found = set()
    for server in registry.servers.values():
        with contextlib.suppress(ValueError):
            found.add(IPv4Address(urlsplit(server).hostname or ""))
    return found


def _boot_server_first(interface: Interface, addresses: set[IPv4Address]) -> Interface:
    """Of several addresses, the one that the configuration names is the one to answer from."""
    ordered = sorted(interface.addresses, key=lambda address: address.ip not in addresses)
    return replace(interface, addresses=tuple(ordered))
