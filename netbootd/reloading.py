"""
A new configuration takes the place of the old: read in a thread, one at a time, taken whole or not
at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.registry.live import LiveRegistry
from netbootd.registry.snapshot import Changes, Registry, changes
from netbootd.systemd import Notifier
from netbootd.telling import Teller

log = Logger(namespace="netbootd")

P = TypeVar("P")
#: The findings that keep what somebody waits for from being taken, none where it is in force.
Refusals = tuple[Finding, ...]


class Reloader(Generic[P]):
    """
    Reads *file* with *read*, and has all else done that takes time by *prepare*, both in a thread;
    *taken* is told of a registry that can be used, of what changed and of what was prepared, *left*
    of the files of one that cannot.
    """

    def __init__(
        self,
        file: Path,
        read: Callable[[], Registry],
        prepare: Callable[[Registry], P],
        live: LiveRegistry,
        teller: Teller,
        notifier: Notifier,
        taken: Callable[[Registry, Changes, P], None],
        left: Callable[[list[Path]], None],
    ) -> None:
        self._file = file
        self._read = read
        self._prepare = prepare
        self._live = live
        self._teller = teller
        self._notifier = notifier
        self._taken = taken
        self._left = left
        self._again = False
        self._awaiting: list[Deferred[Refusals]] = []
        self._awaiting_next: list[Deferred[Refusals]] = []

    def awaited(self) -> Deferred[Refusals]:
        """Reload, for somebody who waits for the end of it."""
        done: Deferred[Refusals] = Deferred()
        (self._awaiting_next if self._teller.reloading else self._awaiting).append(done)
        self.begin()
        return done

    def begin(self) -> None:
        """Read the configuration again; where that is going on, once more afterwards."""
        if self._teller.reloading:
            self._again = True
            return
        self._teller.reloading = True
        self._notifier.reloading(time.monotonic_ns() // 1000)
        loading = deferToThread(self._load)
        loading.addCallbacks(lambda loaded: self._taken(*loaded), self._refused)
        loading.addBoth(self._done)

    def _load(self) -> tuple[Registry, Changes, P]:
        """In a thread of its own."""
        registry = self._read()
        if any(finding.level is Level.RELOAD for finding in registry.findings):
            raise ConfigErrors(registry.findings, registry.watched)
        changed = changes(self._live.snapshot, registry)
        return registry, changed, self._prepare(registry)

    def _refused(self, failure: Failure) -> None:
        failure.trap(ConfigErrors)
        assert isinstance(failure.value, ConfigErrors)
        self._teller.refuses(failure.value.findings)
        self._left([Path(file) for file in failure.value.files])

    def _done(self, failure: Failure | None) -> None:
        if failure is not None:
            log.failure("reload failed, a fault of netbootd's", failure=failure)
            self._teller.last_reload = f"failed: {failure.getErrorMessage()}"
        self._teller.reloading = False
        self._teller.systemd()
        self._answer(failure)
        if self._again:
            self._again = False
            self.begin()

    def _answer(self, failure: Failure | None) -> None:
        """Whoever waited for this one; those who came later wait for the next."""
        refused = self._teller.refused
        if failure is not None:
            told = f"{self._teller.last_reload}; the log has more"
            refused = (Finding(Level.RELOAD, "reload-failed", told, Place(str(self._file))),)
        waited, self._awaiting = self._awaiting, self._awaiting_next
        self._awaiting_next = []
        for done in waited:
            done.callback(refused)
