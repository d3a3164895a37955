"""
Keeps the record in step with what happens: events of the edges, orders of an operator, the disk.

Everything here runs in the reactor's thread, but for what the Store does by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from netbootd import loaders, urls
from netbootd.boot import history
from netbootd.errors import NetbootdError
from netbootd.events.audit import Audited, AuditedRefusal
from netbootd.events.event import Event, Held, Reported, Scripted, Served, Transferred
from netbootd.mac import MAC
from netbootd.owners import Owners
from netbootd.printable import counted
from netbootd.record.database import FILE, LOST, Loaded, NoRecord
from netbootd.record.guard import LoaderGuard
from netbootd.record.outside import Order
from netbootd.record.record import Record
from netbootd.record.standing import (
    Armed,
    Attempt,
    Outcome,
    Standing,
    arms,
    holds,
    released,
    reports,
)
from netbootd.record.store import Store
from netbootd.record.styles import StyleMemory
from netbootd.registry.live import LiveRegistry
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry

log = Logger(namespace="netbootd")

#: What a machine is told of which nothing is known any more, and the log.
_LOST = (
    "the record was lost, and with it what is installed already: what is to be booted once waits, "
    "for one machine until 'netbootd release MAC', for all until {file} is removed and netbootd "
    "reloaded"
)


class _RefusedOrder(NetbootdError):
    """One that cannot be carried out; the text says why."""


class Keeper:
    """
    ``record`` is what the edges use; ``trouble`` says what is wrong with the disk, or nothing.

    *now* gives Unix seconds, *folder* is the state folder.  A listener of events of ``KINDS``.
    """

    KINDS = (Scripted, Served, Transferred)

    def __init__(self, reactor: Any, folder: Path, now: Callable[[], float]) -> None:
        self._reactor = reactor
        self._guard = LoaderGuard()
        self._expected: dict[str, Any] = {}  # by machine key, the timer of its last boot
        self._folder = folder
        self._store = Store(folder, self._ordered, self._troubled, self._found, self._warned)
        self._live: LiveRegistry | None = None
        self._publish: Callable[[Event], None] = lambda _: None
        self.trouble = ""
        # Far from those of commands, which count from 1.
        self._last_order = 0
        #: Which reply styles firmware follows.
        self.styles = StyleMemory(reactor.seconds, now, self._store.keep_style)
        try:
            loaded = self._store.load()
        except NoRecord as problem:
            self.record = Record(now, keep=self._store.keep)
            self.record.unread = str(problem) if _is_there(folder) else ""
            self.trouble = _told(str(problem))
        else:
            self.record = Record(now, loaded.standings, loaded.secret, self._store.keep)
            self.styles.fill(loaded.styles)
        self.record.settle = self._store.settle
        self._look_for_losses()

    def start(self, live: LiveRegistry, publish: Callable[[Event], None]) -> None:
        """Begin with orders; *publish* is told what comes of events."""
        self._live, self._publish = live, publish
        self._store.start()
        self.configured(self.owners(live.snapshot))
        for standing in list(self.record.items().values()):
            if standing.latest is not None and (mac := MAC.maybe(standing.latest.mac)):
                self._expect(mac)

    def owners(self, registry: Registry) -> Owners[Standing]:
        """Whose everything remembered is by *registry*; for ``configured``."""
        assert self._live is not None
        return Owners(registry, self._live.sightings, _card, self.record.items())

    def configured(self, owners: Owners[Standing]) -> None:
        """The configuration is new: a machine may have another name, or an entry of its own now."""
        self._look_for_losses()
        for key, owner in owners.of(self.record.items()).items():
            if owner.key != key:
                self.record.move(key, owner.key)
            if not owner.known:
                self.record.is_stranger(owner.key)

    def stop(self) -> None:
        """Write what is left."""
        if self._store.is_alive():
            self._store.close()

    # -- events --------------------------------------------------------------------------------

    def __call__(self, event: Event) -> None:
        """Learn from *event*."""
        if self._live is None:
            return
        if isinstance(event, Scripted) and event.mac is not None:
            self._expect(event.mac)
        elif isinstance(event, Served | Transferred) and _is_whole(event):
            name = event.path.rpartition("/")[2]
            loader = urls.ALIASES.get(name, name)
            if loader in loaders.SCRIPTED:
                self._count(event, loader, self._live.snapshot)
            else:
                path = urls.split_mac(event.path)[1]
                history.fetched(path, event.peer, self._live.snapshot, self.record)

    def _count(self, event: Event, loader: str, registry: Registry) -> None:
        """The same loader again and again is a circle."""
        guard = registry.config.guard
        mac = event.mac or self.record.at(event.peer)[1]
        machine = self._machine(mac) if mac else None
        if machine is None or not guard.enabled or not guard.loaders:
            return
        within = guard.loaders_within
        standing = self.record.of(machine.key)
        if history.lives_elsewhere(machine, standing, event.peer):
            return
        times = self._guard.count(machine.key, loader, self._reactor.seconds(), within)
        if times > guard.loaders and not standing.held:
            reason = f"{loader} was fetched {times} times within {within:.0f} s"
            self.record.put(machine.key, holds(standing, reason), listed=machine.known)
            self._publish(Held(mac=mac, target=machine.title, peer=event.peer, says=reason))

    # -- who is late ---------------------------------------------------------------------------

    def _expect(self, mac: MAC) -> None:
        """Where the target of *mac*'s last boot gives it a time to report, look then."""
        assert self._live is not None
        machine = self._machine(mac)
        attempt = self.record.of(machine.key).latest if machine else None
        if machine is None or attempt is None or attempt.outcome is not Outcome.OPEN:
            return
        target = history.target_of(attempt, machine, self._live.snapshot)
        if target is None or not target.common.up_within:
            return
        left = attempt.began + target.common.up_within - self.record.now()
        left = min(left, target.common.up_within)  # it began later: the clock was set back
        before = self._expected.get(machine.key)
        if before is not None and before.active():
            before.cancel()
        self._expected[machine.key] = self._reactor.callLater(
            max(0.0, left), self._late, machine, attempt
        )

    def _late(self, machine: Machine, attempt: Attempt) -> None:
        del self._expected[machine.key]
        standing = self.record.of(machine.key)
        if standing.latest is None or standing.latest.number != attempt.number:
            return
        if standing.latest.outcome is Outcome.OPEN:
            now = self.record.now()
            late = reports(standing, standing.latest, Outcome.OVERDUE, once=False, now=now)
            self.record.put(machine.key, late, listed=machine.known)
            mac, overdue = MAC.maybe(attempt.mac), Outcome.OVERDUE.value
            self._publish(
                Reported(mac=mac, target=attempt.target, peer=attempt.peer, outcome=overdue)
            )

    def _machine(self, mac: MAC) -> Machine | None:
        assert self._live is not None
        return history.machine_of(mac, self._live.snapshot, self._live.sightings)

    # -- orders --------------------------------------------------------------------------------

    def arm(self, key: str, armed: Armed | None, who: str) -> None:
        """Have the machine *key* boot *armed* next, or with None nothing but its own; for *who*."""
        if armed is None:
            self._obey_here(Order(0, "cancel", key), who)
            return
        self._last_order = max(int(self.record.now() * 1000), self._last_order + 1)
        self._obey_here(Order(0, "next", key, replace(armed, order=self._last_order)), who)

    def release(self, key: str, who: str) -> None:
        """Let the machine *key* boot again; for *who*."""
        self._obey_here(Order(0, "release", key), who)

    def _obey_here(self, order: Order, who: str) -> None:
        try:
            text = self._obey(order)
        except _RefusedOrder as problem:
            text = str(problem)
        log.info("{text}: {who}", text=text, who=who)

    def _ordered(self, orders: list[Order]) -> None:
        """Called by the store's thread."""
        self._reactor.callFromThread(self._carry_out, orders)

    def _carry_out(self, orders: list[Order]) -> None:
        for order in orders:
            by = f"{order.by or 'somebody'} by an order in the state folder"
            try:
                self._publish(Audited(by=by, deed=self._obey(order)))
            except _RefusedOrder as problem:
                what = f"{order.verb} {order.key}"
                self._publish(AuditedRefusal(by=by, deed=what, result=f"refused, {problem}"))
            self._store.taken(order)

    def _obey(self, order: Order) -> str:
        """Carry *order* out; what the log says of it.  Raises _RefusedOrder."""
        match order.verb:
            case "next":
                return self._arm(order)
            case "cancel":
                self._change(order.key, lambda standing: arms(standing, None))
                return f"{order.key}: nothing is armed any more"
            case "release":
                return self._release([order.key])
            case "release-all":
                return self._release(self._held())
            case "forget-style":
                return _forgotten(self.styles.forget(order.key))
            case "forget-styles":
                return _forgotten(self.styles.forget())
        raise _RefusedOrder(f"netbootd knows no order {order.verb!r:.40}")

    def _release(self, keys: list[str]) -> str:
        for key in keys:
            self._guard.forget(key)
            self._change(key, released)
        return f"{', '.join(keys) or 'nobody'} released"

    def _arm(self, order: Order) -> str:
        assert self._live is not None
        armed = order.armed
        if armed is None or armed.target not in self._live.snapshot.targets:
            target = armed.target if armed else "nothing"
            raise _RefusedOrder(f"there is no target {target:.100} for {order.key}")
        self._change(order.key, lambda standing: arms(standing, armed))
        return f"{order.key} boots {armed.target} next"

    def _change(self, key: str, change: Callable[[Any], Any]) -> None:
        assert self._live is not None
        mac = MAC.maybe(key)
        machine = self._machine(mac) if mac else None
        listed = machine.known if machine else True
        self.record.put(key, change(self.record.of(key)), listed=listed)

    def _held(self) -> list[str]:
        return [key for key, standing in self.record.items().items() if standing.held]

    # -- the disk ------------------------------------------------------------------------------

    def _troubled(self, trouble: str) -> None:
        """Called by the store's thread."""
        self._reactor.callFromThread(self._take_note, trouble)

    def _found(self, loaded: Loaded | None) -> None:
        """Called by the store's thread."""
        self._reactor.callFromThread(self._fill, loaded)

    def _warned(self, text: str) -> None:
        """Called by the store's thread, or at the start."""
        log.warn("{text}", text=text)

    def _look_for_losses(self) -> None:
        """As long as the file is there that says so."""
        file = self._folder / LOST
        before, self.record.lost = self.record.lost, ""
        if file.exists():
            self.record.lost = _LOST.format(file=file)
            if not before:
                log.warn("{text}", text=self.record.lost)

    def _fill(self, loaded: Loaded | None) -> None:
        if loaded is not None:
            self._look_for_losses()
            self.record.fill(loaded.standings, loaded.secret)
            self.styles.fill(loaded.styles)
        else:
            for kind, worked in self.styles.kinds.items():
                self._store.keep_style(kind, worked)
            for key, standing in self.record.items().items():
                self._store.keep(key, standing)

    def _take_note(self, trouble: str) -> None:
        self.trouble = _told(trouble) if trouble else ""
        if trouble:
            log.warn("{text}", text=self.trouble)
        else:
            log.info("the state folder {folder} is well again", folder=str(self._folder))


def _card(key: str, standing: Standing) -> MAC | None:
    return MAC.maybe(key) or (MAC.maybe(standing.latest.mac) if standing.latest else None)


def _forgotten(count: int) -> str:
    return f"reply styles of {counted(count, 'kind')} of firmware forgotten"


def _told(problem: str) -> str:
    return f"what machines have booted is not kept over a restart: {problem}"


def _is_there(folder: Path) -> bool:
    """Whether there is a record that was not read; where nobody knows, there may be one."""
    try:
        return (folder / FILE).exists()
    except OSError:
        return True


def _is_whole(event: Served | Transferred) -> bool:
    """Whether the whole file arrived, from its first byte."""
    if isinstance(event, Transferred):
        return True
    return event.first == 0 and event.sent == event.count == event.size
