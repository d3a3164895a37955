"""
The record of boots as the daemon keeps it: told of every event, read by whoever asks how a machine
boots.

Everything here runs in the reactor's thread and never waits: the boots in memory answer at once,
and what is older is asked of the Store's thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from netbootd.boot import history
from netbootd.boots.boot import Boot, Note, Outcome, Stage
from netbootd.boots.classify import stage_of
from netbootd.boots.database import NoBoots
from netbootd.boots.follow import Follower
from netbootd.boots.identity import card_of
from netbootd.boots.store import Store
from netbootd.boots.strangers import HEARD, Stranger, Strangers
from netbootd.boots.turn import Outside, Who
from netbootd.events.event import Event, Scripted, Served, Transferred
from netbootd.events.witness import Overheard
from netbootd.mac import MAC
from netbootd.owners import Owners
from netbootd.record.standing import Outcome as Ended
from netbootd.registry import marks
from netbootd.registry.live import LiveRegistry
from netbootd.registry.machine import Machine
from netbootd.registry.marks import Marks
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Target

log = Logger(namespace="netbootd")

_MOST_CARDS = 16384  # whose machine is remembered; the one asked for longest ago goes first
_MOST_INTERFACES = 256
_MOST_PATHS = 4096
_ANYBODY = str(MAC(bytes(6)))
#: Boots that are not listed are written once they have come so far.
_COMPLETING = (Scripted, Served, Transferred)
_WORTH_KEEPING = Stage.LOADER.rank


class _Card(NamedTuple):
    """Whose a card was in *generation*, when it had *said* so much."""

    generation: int
    said: Marks
    who: Who
    machine: Machine | None


Changed = Callable[[Boot], None]


def _card_of(key: str, boot: Boot) -> MAC | None:
    return MAC.maybe(boot.macs[-1] if boot.macs else key)


class Chronicle:
    """
    A listener of the Stream.  *folder* is the state folder; *now* gives Unix seconds.

    ``trouble`` says what is wrong with the disk, or nothing; ``heard`` when any DHCP client was
    last heard, by interface.
    """

    def __init__(
        self, reactor: Any, folder: Path, live: LiveRegistry, now: Callable[[], float]
    ) -> None:
        self.trouble = ""
        self.heard: dict[str, float] = {}
        self._reactor = reactor
        self._live = live
        self._now = now
        self._listeners: tuple[Changed, ...] = ()
        self._strangers = Strangers()
        self._cards: OrderedDict[MAC, _Card] = OrderedDict()
        self._stages: dict[tuple[str, str], tuple[int, Target | None, Stage]] = {}
        self._follower = Follower(
            Outside(self._who, self._stage_of, self._reports, self._looks_on, self._next_number)
        )
        self._store = Store(
            folder,
            live.snapshot.config.boots,
            now,
            troubled=lambda trouble: reactor.callFromThread(self._troubled, trouble),
            warned=lambda text: log.warn("{text}", text=text),
            renewed=lambda: reactor.callFromThread(self._keep_all),
        )
        try:
            loaded = self._store.load()
        except NoBoots as problem:
            # Later than any number on that disk, which may be read another day.
            self._number = int(now())
            self.trouble = _told(str(problem))
        else:
            self._number = loaded.number
            for boot in loaded.boots:
                self._follower.remember(boot)

    def start(self) -> None:
        """Begin to write."""
        self._store.start()
        self.configured(self.owners(self._live.snapshot))

    def stop(self) -> None:
        """Write what is left; to be called in a thread."""
        if self._store.is_alive():
            self._store.close()

    def owners(self, registry: Registry) -> Owners[Boot]:
        """Whose the boots are by *registry*; for ``configured``."""
        return Owners(registry, self._live.sightings, _card_of, self._follower.shelf.latest)

    def configured(self, owners: Owners[Boot]) -> None:
        """The configuration is new: a machine may have another name, or an entry of its own now."""
        self._store.settings = self._live.snapshot.config.boots
        for key, owner in owners.of(self._follower.shelf.latest).items():
            if owner.known and owner.key != key:
                self._follower.rename(key, owner.key)
                self._store.rename(key, owner.key)

    # -- events --------------------------------------------------------------------------------

    def __call__(self, event: Event, at: float | None = None, times: int = 1) -> None:
        """Take *event* in, which happened *at* (Unix seconds, None for now), *times*."""
        now = self._now() if at is None else at
        interface = getattr(event, "interface", "")
        if interface and not isinstance(event, Overheard):  # which a server sent
            self._hear(interface, now)
        if event.mac is not None and isinstance(event, HEARD) and not self._who(event.mac).known:
            uuid = self._live.sightings.of(event.mac).uuid
            self._strangers.notice(event, uuid, now, times)
        generation = self._live.snapshot.generation
        if boots := self._follower.notice(event, now, generation, times):
            self._tell(boots)
        if isinstance(event, _COMPLETING):
            self._perhaps_complete(event, now)

    def _hear(self, interface: str, now: float) -> None:
        if interface in self.heard or len(self.heard) < _MOST_INTERFACES:
            self.heard[interface] = now

    def _tell(self, boots: list[Boot]) -> None:
        for boot in boots:
            known = self._follower.shelf.is_listed(boot.key)
            if known or (boot.reached is not None and boot.reached.rank >= _WORTH_KEEPING):
                self._store.keep(boot, known=known)
            for listener in self._listeners:
                try:
                    listener(boot)
                except Exception:
                    log.failure("a listener of boots failed")

    def _perhaps_complete(self, event: Event, now: float) -> None:
        """What cannot call back is done when its last file was served: the record knows."""
        key = self._who(event.mac).key if event.mac else self._follower.at(event.peer)[0]
        boot = self._follower.shelf.latest.get(key)
        if boot is None or boot.outcome is not Outcome.OPEN or self._reports(boot.target):
            return
        latest = self._live.record.of(key).latest
        done = latest is not None and latest.outcome is Ended.DONE and latest.began >= boot.began
        # The record is ahead of us where what we are told of has waited.
        if latest is not None and done and latest.ended <= now:
            self._tell(self._follower.complete(key, now))

    def note(self, key: str, note: Note) -> None:
        """Add *note* to the boot that the machine *key* is in, if there is any."""
        self._tell(self._follower.note(key, note))

    def subscribe(self, callback: Changed) -> Callable[[], None]:
        """Tell *callback* of every boot that changes, until what is returned is called."""
        self._listeners = (*self._listeners, callback)

        def unsubscribe() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not callback)

        return unsubscribe

    # -- who asks ------------------------------------------------------------------------------

    def latest(self, key: str) -> Boot | None:
        """The last boot of the machine *key*, None where nothing is known of one."""
        return self._follower.shelf.latest.get(key)

    def recent(self, key: str) -> tuple[Boot, ...]:
        """Its last boots that are in memory, newest first."""
        return self._follower.shelf.recent(key)

    def items(self) -> Mapping[str, Boot]:
        """The latest boots of all machines, by key."""
        return self._follower.shelf.latest

    def boots(self, key: str, limit: int) -> Deferred[list[Boot]]:
        """The last *limit* boots of *key*, newest first, those on disk among them."""
        return self._asked(
            lambda told: self._store.ask_machine(key, limit, told),
            lambda found: _merged(found, self.recent(key))[:limit],
        )

    def boot(self, number: int) -> Deferred[Boot | None]:
        """The boot *number*, None where there is none."""
        here = {boot.number: boot for latest in self.items() for boot in self.recent(latest)}
        waiting: Deferred[Boot | None] = Deferred()
        if number in here:
            waiting.callback(here[number])
            return waiting
        return self._asked(
            lambda told: self._store.ask_boot(number, told),
            lambda found: found[0] if found else None,
        )

    def at(self, peer: str) -> tuple[str, MAC | None, int]:
        """Key, card and number of the boot of whoever has the address *peer*; empty, None, 0."""
        key, mac, number = self._follower.at(peer)
        return key, card_of(mac), number

    def strangers(self) -> list[Stranger]:
        """Who asked and is not listed, the last heard first."""
        return [one for one in self._strangers if not self._who(one.mac).known]

    def _asked(
        self, ask: Callable[[Any], None], made: Callable[[list[Boot]], Any]
    ) -> Deferred[Any]:
        """What the store's thread finds, *made* into what is wanted; without a disk, memory."""
        waiting: Deferred[Any] = Deferred()

        def told(found: list[Boot] | NoBoots) -> None:
            here = [] if isinstance(found, NoBoots) else found
            self._reactor.callFromThread(lambda: waiting.callback(made(here)))

        if self._store.is_alive():
            ask(told)
        else:
            waiting.callback(made([]))
        return waiting

    # -- what the fold asks --------------------------------------------------------------------

    def _who(self, mac: MAC) -> Who:
        """Whose card *mac* is."""
        return self._card(mac).who

    def _card(self, mac: MAC) -> _Card:
        """What is known of *mac*; looked up when the configuration or what it said is new."""
        registry, said = self._live.snapshot, self._live.sightings.of(mac)
        found = self._cards.get(mac)
        if found and found.generation == registry.generation and found.said is said:
            return found
        machine = history.machine_of(mac, registry, self._live.sightings)
        uuid = marks.normal("uuid", said.uuid) if said.uuid else ""
        known = machine is not None and machine.known
        who = Who(machine.key if machine else str(mac), known, uuid)
        card = self._cards[mac] = _Card(registry.generation, said, who, machine)
        self._cards.move_to_end(mac)
        if len(self._cards) > _MOST_CARDS:
            self._cards.popitem(last=False)
        return card

    def _stage_of(self, path: str, title: str, mac: MAC | None) -> Stage:
        """The machines of a storm fetch the same few files, each by a path that has its own MAC."""
        own = str(mac) if mac else ""
        if own and path.startswith((own, f"/{own}")):
            path = path.replace(own, _ANYBODY, 1)
        registry, target = self._live.snapshot, self._target(title, mac)
        found = self._stages.get((path, title))
        if found is not None and found[0] == registry.generation and found[1] is target:
            return found[2]
        if len(self._stages) >= _MOST_PATHS:
            self._stages.clear()
        stage = stage_of(path, target, registry)
        self._stages[path, title] = registry.generation, target, stage
        return stage

    def _target(self, title: str, mac: MAC | None) -> Target | None:
        """The target called *title*, with what the machine of *mac* replaces in it."""
        registry = self._live.snapshot
        machine = self._card(mac).machine if mac else None
        if machine is not None and machine.title == title:
            return machine.target
        return registry.targets.get(title)

    def _reports(self, title: str) -> bool | None:
        """As in Outside: one that is booted once is waited for, and so is one with a time set."""
        target = self._live.snapshot.targets.get(title)
        if target is None or (target.common.calls_back and target.fetched):
            common = target.common if target else None
            return True if common and (common.once or common.up_within) else None
        return False

    def _looks_on(self, mac: MAC, peer: str) -> bool:
        machine = self._card(mac).machine
        if machine is None:
            return False
        return history.lives_elsewhere(machine, self._live.record.of(machine.key), peer)

    def _next_number(self) -> int:
        self._number += 1
        return self._number - 1

    # -- the disk ------------------------------------------------------------------------------

    def _keep_all(self) -> None:
        """The file is a new one."""
        for boot in reversed(list(self.items().values())):
            if self._follower.shelf.is_listed(boot.key):
                self._store.keep(boot)

    def _troubled(self, trouble: str) -> None:
        self.trouble = _told(trouble) if trouble else ""
        if trouble:
            log.warn("{text}", text=self.trouble)
        else:
            log.info("the record of boots is written again")


def _merged(found: list[Boot], here: tuple[Boot, ...]) -> list[Boot]:
    """Newest first; what is in memory is newer than what is on disk."""
    by_number = {boot.number: boot for boot in (*found, *here)}
    return [by_number[number] for number in sorted(by_number, reverse=True)]


def _told(problem: str) -> str:
    return f"boots are not kept over a restart: {problem}"
