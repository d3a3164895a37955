"""
Pacing: keeps the queue of a boot storm in step with what happens, and with the disk.

Everything here runs in the reactor's thread, but for the writing of what is kept over a restart.
While the setting is off nothing is asked, nothing is told, and no timer runs.

What is kept is a photograph of the whole queue, taken at most each KEEP_S seconds while it changes:
no question waits for a disk, and who asks within those seconds before a crash loses no more than
these of its place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from netbootd import urls
from netbootd.boot.pace import Place, Queue, Rules, Turn
from netbootd.config import Pace
from netbootd.events.event import Event, Reported, Served, TransferEnded, Transferred
from netbootd.events.progress import Progress, Started
from netbootd.registry.live import LiveRegistry
from netbootd.registry.machine import Machine

log = Logger(namespace="netbootd")

FILE = "pace.json"
KEEP_S = 0.5
_TICK_S = 1.0
#: Bodies below this many bytes are no load: a boot program, a script, a package.
LARGE = 4 << 20
_FRESH_S = 0.5  # so old may be what is shown of the places
_OLDEST_S = 3600.0  # a queue of longer ago is nobody's any more


class Pacing:
    """
    A listener of the Stream for events of KINDS; ``turn`` is what the script's page asks.

    *transfers* gives what is on its way; *now* gives Unix seconds.
    """

    KINDS = (Started, Served, Transferred, TransferEnded, Reported)

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        live: LiveRegistry,
        transfers: Callable[[], Sequence[Progress]],
        now: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._file = folder / FILE
        self._live = live
        self._transfers = transfers
        self._now = now
        self._queue = Queue()
        self._last: dict[str, str] = {}  # by address, the path of the last file that it loads
        self._ended = 0  # bytes of bodies that have ended
        self._crowd = False  # whether it was told that nodes wait
        self._places: Mapping[str, Place] = {}
        self._placed = -1.0
        self._writing = False
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = reactor
        self._keeping: Any = None  # a delayed call
        self.on = False

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Go on where the last one was, and as the configuration says."""
        self._read()
        self.configured()

    def configured(self) -> None:
        """The configuration is new."""
        pace = self._live.snapshot.config.pace
        if self.on and not pace.enabled:
            self._queue = Queue()
            self._queue.changed = True  # what was kept is not to come back when it is on again
            self._last.clear()
            self._keep_soon()
        rules = _rules(pace)
        if pace.enabled and (not self.on or rules != self._queue.rules):
            log.info("nodes load one after another: {how}", how=_told(pace))
        self.on = pace.enabled
        self._queue.rules = rules
        if self.on and not self._ticks.running:
            self._ticks.start(_TICK_S, now=False)
        elif not self.on and self._ticks.running:
            self._ticks.stop()

    def stop(self) -> None:
        """Write what is left; to be called in a thread."""
        if self.on:
            self._write(json.dumps(self._kept()))

    # -- who asks ------------------------------------------------------------------------------

    def turn(self, peer: str, machine: Machine) -> Turn:
        """Whether *peer*, as *machine* with the target that it boots now, may load."""
        turn = self._queue.ask(
            peer, self._reactor.seconds(), machine.priority, machine.groups, machine.key
        )
        if not turn.waits and peer in self._queue.loading:
            self._last[peer] = unquote(urlsplit(machine.target.last_file).path).lstrip("/")
        if turn.waits:
            self._tell()
        self._keep_soon()
        return turn

    # -- what happens --------------------------------------------------------------------------

    def __call__(self, event: Event) -> None:
        """Learn from *event*."""
        if not self.on:
            return
        now = self._reactor.seconds()
        match event:
            case Started(size=size) if size >= LARGE:
                self._queue.loads(event.peer, now, self._groups(event))
            case Served(sent=sent):
                self._ended += sent
                self._ends(event, event.path, whole=event.first == 0 and sent == event.size)
            case Transferred(size=size):
                self._ended += size
                self._ends(event, event.path, whole=True)
            case TransferEnded(acked=acked):
                self._ended += acked
            case Reported():
                self._over(event.peer, now, up=event.outcome != "overdue")

    def _ends(self, event: Event, path: str, *, whole: bool) -> None:
        peer, now = event.peer, self._reactor.seconds()
        if peer not in self._queue.loading:
            return
        if whole and self._last.get(peer) == urls.split_mac(path)[1].lstrip("/"):
            self._over(peer, now)
        else:
            self._queue.fetched(peer, now)

    def _over(self, peer: str, now: float, *, up: bool = False) -> None:
        self._queue.over(peer, now, up=up)
        self._last.pop(peer, None)
        self._keep_soon()

    def _groups(self, event: Event) -> tuple[str, ...]:
        """Of the machine that fetches: most files are known by the address that asks alone."""
        registry = self._live.snapshot
        key, mac = self._live.record.at(event.peer)
        mac = mac or event.mac
        machine = registry.named.get(key) or (registry.machines.get(mac) if mac else None)
        return machine.groups if machine else ()

    def _tick(self) -> None:
        running = self._transfers()
        total = self._ended + sum(one.sent for one in running)
        peers = [one.peer for one in running if one.size >= LARGE]
        self._queue.tick(total, peers, self._reactor.seconds())
        for peer in self._last.keys() - self._queue.loading:
            del self._last[peer]
        self._tell()
        if self._queue.changed:
            self._keep_soon()

    def _tell(self) -> None:
        """That there is a crowd, and that there is none any more."""
        crowd = bool(self._queue.waiting)
        if crowd is not self._crowd:
            self._crowd, loading = crowd, len(self._queue.loading)
            what = "nodes begin to wait for their turn" if crowd else "no node waits any more"
            log.info("{what}: {loading} load", what=what, loading=loading)

    # -- orders --------------------------------------------------------------------------------

    def let_go(self, key: str, who: str) -> None:
        """The machine *key* need not wait; for *who*."""
        log.info("{key} need not wait for its turn: {who}", key=key, who=who)
        self._queue.let_go(key, self._reactor.seconds())
        self._keep_soon()

    def let_all_go(self, who: str) -> int:
        """Nobody of those who wait now need do so; how many these were."""
        now = self._reactor.seconds()
        waiting = {place.key for place in self._queue.places(now)}
        log.info("{count} that wait need not any more: {who}", count=len(waiting), who=who)
        for key in waiting:
            self._queue.let_go(key, now)
        self._keep_soon()
        return len(waiting)

    def pause(self, who: str, *, paused: bool) -> None:
        """Let nobody go until it is resumed; for *who*."""
        what = "paused: nobody's turn comes" if paused else "resumed"
        log.info("the queue of nodes is {what}: {who}", what=what, who=who)
        self._queue.pause(paused=paused)
        self._keep_soon()

    # -- who looks -----------------------------------------------------------------------------

    @property
    def places(self) -> Mapping[str, Place]:
        """Who waits, by key, in order; up to half a second old."""
        if not self.on:
            return {}
        now = self._reactor.seconds()
        if not 0 <= now - self._placed < _FRESH_S:
            self._places = {place.key: place for place in self._queue.places(now)}
            self._placed = now
        return self._places

    def summary(self) -> dict[str, Any]:
        """How it is, as JSON has it; the rate in bytes a second."""
        queue = self._queue
        return {
            "enabled": self.on,
            "paused": queue.paused,
            "waiting": len(queue.waiting),
            "loading": len(queue.loading),
            "at_once": queue.limit if self.on else 0,
            "auto": not queue.rules.at_once,
            "rate": round(queue.uplink.rate) if self.on else 0,
        }

    def lines(self) -> list[dict[str, Any]]:
        """Who waits, the next first; *since* in Unix seconds."""
        offset = self._now() - self._reactor.seconds()
        places = self._queue.places(self._reactor.seconds())
        return [{**place._asdict(), "since": place.since + offset} for place in places]

    # -- the disk ------------------------------------------------------------------------------

    def _kept(self) -> dict[str, Any]:
        return {"version": 1, "at": self._now(), **self._queue.state(self._reactor.seconds())}

    def _keep_soon(self) -> None:
        self._placed = -1.0
        if self._keeping is None and self._queue.changed:
            self._keeping = self._reactor.callLater(KEEP_S, self._keep)

    def _keep(self) -> None:
        """In a thread; the next one only after it."""
        self._keeping = None
        if self._writing:
            self._queue.changed = True
            self._keep_soon()
            return
        self._writing = True
        kept = self._kept()
        deferToThread(lambda: self._write(json.dumps(kept))).addBoth(self._written)

    def _written(self, _: object) -> None:
        self._writing = False

    def _write(self, text: str) -> None:
        new = self._file.with_suffix(".new")
        try:
            new.write_text(text)
            os.replace(new, self._file)
        except OSError as problem:  # a disk that fails is told of by those who keep more on it
            log.debug("the queue is not kept: {problem}", problem=str(problem))

    def _read(self) -> None:
        try:
            kept = json.loads(self._file.read_text())
            away = max(0.0, self._now() - float(kept["at"]))
            if away < _OLDEST_S and self._live.snapshot.config.pace.enabled:
                self._queue.restore(kept, self._reactor.seconds(), away)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as problem:
            self._queue = Queue()
            log.warn("the queue of nodes cannot be read: {problem}", problem=str(problem))


def _rules(pace: Pace) -> Rules:
    return Rules(at_once=pace.at_once, line=pace.uplink, groups=pace.groups)


def _told(pace: Pace) -> str:
    """Its settings in words."""
    words = [f"{pace.at_once} at once" if pace.at_once else "as many at once as fill the uplink"]
    words += [f"of group {name} {most}" for name, most in pace.groups.items()]
    return ", ".join(words)
