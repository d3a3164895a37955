"""
What the daemon says of itself: the banner, the log of events and findings, systemd's status, and
the values of ``/status``.  It reads what others know, and changes nothing.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from twisted.logger import Logger, LogLevel

from netbootd import __version__, banner
from netbootd.banner import Socket
from netbootd.budget import Rates
from netbootd.errors import Finding, Level
from netbootd.events.addresses import AddressBook
from netbootd.events.counts import Counts
from netbootd.events.event import Event
from netbootd.interfaces import Interface
from netbootd.printable import counted
from netbootd.registry.live import LiveRegistry
from netbootd.registry.snapshot import Changes, Registry
from netbootd.systemd import Notifier
from netbootd.vitals import Vitals

log = Logger(namespace="netbootd")

_LEVELS = {
    Level.DEBUG: LogLevel.debug,
    Level.NOTE: LogLevel.info,
    Level.WARNING: LogLevel.warn,
    Level.TARGET: LogLevel.warn,
    Level.RELOAD: LogLevel.error,
    Level.ERROR: LogLevel.error,
}
#: Lines about machines that are not listed: at once, and in a second from then on.  The journal
#: takes 10,000 of a service in 30 s (journald.conf(5)), and drops all that comes behind.
_STRANGERS_BURST, _STRANGERS_RATE = 5000, 20
_LEFT_OUT_S = 60.0
_LOGGED_FINDINGS = 50  # of one load; the rest is counted, and "netbootd check" shows all
_LISTED_CARDS = 50  # of the status page

#: Told the level of a line (as of Event), its text, and when it was said in Unix seconds.
Write = Callable[[str, str, float], None]


def _logged(level: str, text: str, _at: float) -> None:
    """As all else that the daemon says; ``journal.Lines`` does it for thousands in a minute."""
    log.emit(LogLevel.lookupByName(level), "{text}", text=text)


class Teller:
    """
    Tells of the daemon that serves *live*, as *file* configures it.

    *troubles* are what cannot be served, *last_reload* what came of the last one, *refused* the
    findings that kept it from being taken, empty where the newest file is in force.  *verbose*:
    packets are told, too; *write* gets the lines of events.
    """

    def __init__(
        self,
        live: LiveRegistry,
        file: Path,
        notifier: Notifier,
        *,
        verbose: bool = True,
        write: Write = _logged,
    ) -> None:
        self.troubles: list[str] = []
        self.last_reload = "none yet"
        self.refused: tuple[Finding, ...] = ()
        self.reloading = False
        self._loaded = time.time()
        self._findings: tuple[int, dict[str, int]] = (0, {})  # of a generation, by level
        self._live = live
        self._file = file
        self._notifier = notifier
        self._verbose = verbose
        self._write = write
        self._book = AddressBook()
        self._counts = Counts()
        self._strangers = Rates(_STRANGERS_BURST, _STRANGERS_RATE)
        self._left_out, self._left_out_told = 0, float("-inf")
        self._announced = False
        self._sockets: Sequence[Socket] = ()

    def event(self, event: Event, at: float = 0.0, times: int = 1) -> None:
        """Count *event*, *times*, and log it with the name of its machine; it happened *at*."""
        self._counts(event, times)
        self._book.learn(event)
        level = event.level
        if (level != "debug" or self._verbose) and self._is_worth_it(event, at):
            again = f" ({times} times)" if times > 1 else ""
            self._write(level, f"{self._book.who(event)} {event.what}{again}", at)

    def _is_worth_it(self, event: Event, at: float) -> bool:
        """Whether it is a known machine's or the daemon's own, or one of not too many others."""
        if event.mac is None:
            known = not (event.peer or event.asker) or self._book.knows(event.peer)
        else:
            known = self._live.snapshot.lists(event.mac)
        if known or self._strangers.takes("", at):
            return True
        self._left_out += 1
        if at >= self._left_out_told + _LEFT_OUT_S:
            told = f"{self._left_out} lines about machines that are not listed were left out"
            self._write("warn", f"{told}: there are too many of them", at)
            self._left_out, self._left_out_told = 0, at
        return False

    def announce(
        self,
        served: Sequence[Interface],
        sockets: Sequence[Socket],
        troubles: list[str],
        logged: Collection[str] = (),
    ) -> None:
        """
        The banner once, and afterwards what is different; of those *troubles* that are *logged* an
        event has told.
        """
        if not self._announced:
            self._say_banner(served, sockets, troubles)
        else:
            for line in banner.differences(self._sockets, sockets):
                log.info("{line}", line=line)
            for text in dict.fromkeys(troubles):  # by IPv4 and by IPv6 it may be the same
                if text not in self.troubles and text not in logged:
                    log.warn("{text}", text=text)
        self._sockets, self.troubles = sockets, troubles
        self.systemd()

    def _say_banner(
        self, served: Sequence[Interface], sockets: Sequence[Socket], troubles: list[str]
    ) -> None:
        names = [_described(interface) for interface in served]
        command = f"{_program()} show --config {self._file}"
        for line in banner.banner(self._live.snapshot, names, sockets, troubles, command):
            log.info("{line}", line=line)
        self._announced = True

    def findings(self, findings: Sequence[Finding]) -> None:
        """Log what a load found."""
        worth = sorted((f for f in findings if f.level >= Level.WARNING), key=lambda f: -f.level)
        for finding in worth[:_LOGGED_FINDINGS]:
            log.emit(_LEVELS[finding.level], "{finding}", finding=str(finding))
        if len(worth) > _LOGGED_FINDINGS:
            more = len(worth) - _LOGGED_FINDINGS
            log.warn("and {more} more; netbootd check shows all", more=more)

    def reloaded(self, registry: Registry, changed: Changes) -> None:
        """The new configuration is in force."""
        self.findings(registry.findings)
        self._loaded = time.time()
        self.last_reload, self.refused = str(changed), ()
        for line in changed.loaders:
            log.warn("{line}", line=line)
        log.info(
            "configuration reloaded: {changes}; generation {generation}",
            changes=str(changed),
            generation=self._live.snapshot.generation,
        )

    def refuses(self, findings: Sequence[Finding]) -> None:
        """The new configuration cannot be used."""
        grave = tuple(finding for finding in findings if finding.level >= Level.RELOAD)
        self.last_reload = f"refused: {grave[0]}" if grave else "refused"
        self.refused = grave
        self.findings(findings)
        log.error(
            "reload refused, {problems}; still serving generation {generation}",
            problems=counted(len(grave), "problem"),
            generation=self._live.snapshot.generation,
        )

    def systemd(self) -> None:
        """Say in ``systemctl status`` how it stands."""
        text = banner.summary(self._live.snapshot)
        if self.last_reload.startswith("refused"):
            text = f"reload {self.last_reload}; {text}"
        if self.troubles:
            text = f"{text}; {counted(len(self.troubles), 'trouble')}: {self.troubles[0]}"
        if self.reloading:
            self._notifier.status(text)
        else:
            self._notifier.ready(text)

    def status(self) -> dict[str, object]:
        """For ``/status``."""
        registry = self._live.snapshot
        return {
            "version": __version__,
            "generation": registry.generation,
            "machines": registry.listed,
            "targets": len(registry.targets),
            "last_reload": self.last_reload,
            "listening": [f"{one.service} {one.where}{one.note}" for one in self._sockets],
            "findings": sum(finding.level >= Level.WARNING for finding in registry.findings),
            "troubles": list(self.troubles),
            **self._remembered(),
            "events": self._counts.as_dict(),
        }

    def vitals(self, dhcp: Sequence[str] = (banner.PROXY,)) -> Vitals:
        """
        What ``/metrics`` and ``/healthz`` are made of, as far as it is known here; *dhcp* is what
        there is to be of that.
        """
        registry = self._live.snapshot
        config = registry.config
        wanted = {**dict.fromkeys(dhcp, True), "TFTP": config.tftp.enabled, "HTTP": True}
        return Vitals(
            generation=registry.generation,
            loaded=self._loaded,
            refused=sum(finding.level >= Level.RELOAD for finding in self.refused),
            findings=self._by_level(registry),
            machines=registry.listed,
            targets=len(registry.targets),
            wanted=tuple(service for service, on in wanted.items() if on),
            listening=Counter(socket.service for socket in self._sockets),
            troubles=tuple(self.troubles),
        )

    def _by_level(self, registry: Registry) -> dict[str, int]:
        """How many findings *registry* has; counted once, since it never changes."""
        if self._findings[0] != registry.generation:
            counts = Counter(finding.level for finding in registry.findings)
            worth = (level for level in Level if level >= Level.NOTE)
            by_level = {level.name.lower(): counts[level] for level in worth}
            self._findings = registry.generation, by_level
        return self._findings[1]

    def _remembered(self) -> dict[str, list[str]]:
        """The machines of which an operator would want to know."""
        standings = self._live.record.items()
        return {
            "held": [f"{key}: {one.held}" for key, one in standings.items() if one.held],
            "armed": [
                f"{key}: {one.armed.target}"
                for key, one in standings.items()
                if one.armed and one.armed.valid(time.time())
            ],
            "failed": [key for key, one in standings.items() if one.state == "failed"],
            "overdue": [key for key, one in standings.items() if one.state == "overdue"],
            "restyled": self._restyled(),
        }

    def _restyled(self) -> list[str]:
        """The cards that are not told of their boot file as is usual for their firmware."""
        cards = self._live.styles.elsewhere()
        lines = [f"{mac}: {one.style}, not {one.first}" for mac, one in cards.items()]
        more = len(lines) - _LISTED_CARDS
        return lines if more <= 0 else [*lines[-_LISTED_CARDS:], f"and {more} more"]


def _program() -> str:
    """How this program is called from here: by its name, if that finds it, else by its path."""
    name = Path(sys.argv[0]).name
    return name if shutil.which(name) else sys.argv[0]


def _described(interface: Interface) -> str:
    addresses = ", ".join(str(address) for address in interface.addresses)
    return f"{interface.name}  {addresses}  MTU {interface.mtu}"
