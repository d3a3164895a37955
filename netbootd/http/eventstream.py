"""
``GET /api/v1/events``: what happens, as it happens, to whoever listens (server-sent events; HTML
Standard, 9.2).

Nothing is sent for each packet: what changed is collected, and each machine is told at most every
PAUSE_S seconds, a few at a time so that the reactor goes on in between.  What nobody listens to is
not even collected.

Whoever does not read is cut off (``listener``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from heapq import nsmallest
from http import HTTPStatus
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from netbootd.api import leases as addresses
from netbootd.api import values
from netbootd.api.desk import Desk
from netbootd.api.no import No, wrong
from netbootd.api.values import Picture
from netbootd.http.apicall import Call, key_of, text_of
from netbootd.http.listener import Listener
from netbootd.http.resource import Awaited, Feed
from netbootd.leases.lease import Address, Lease
from netbootd.logbook.ecs import Shape
from netbootd.logbook.line import Line
from netbootd.logbook.marks import key_of as key_of_line
from netbootd.mac import MAC
from netbootd.registry.machine import Machine
from netbootd.why.diagnosis import State

TOPICS = ("machines", "transfers", "leases", "logs", "status")
#: Seconds between two words about one machine.
PAUSE_S = 0.5
MOST_OVER_TCP = 64
_MOST_LOCAL = 256
_TICK_S = 0.25
_AT_ONCE = 40  # machines told of before the reactor goes on
_LEASES_AT_ONCE = 200
_BREATH_S = 0.01
_TRANSFERS_S = 1.0
_POOLS_S = 1.0
_MOST_TRANSFERS = 200  # a second, those furthest behind; the rest is counted
_AGAIN_S = 5.0  # machines under way are looked at again: that nothing comes is news too
_PING_S = 15.0
_MOST_WATCHED = 10_000
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",  # nginx would wait for more
}


class Streams:
    """Everybody who listens, and what there is to tell them."""

    def __init__(self, reactor: Any, desk: Desk) -> None:
        self._reactor = reactor
        self._desk = desk
        self._open: dict[Listener, bool] = {}  # and whether over TCP
        self._changed: OrderedDict[str, None] = OrderedDict()
        self._leases: OrderedDict[Address, Lease] = OrderedDict()
        self._pools: dict[str, Any] = {}
        self._told_at: dict[str, float] = {}
        self._under_way: dict[str, str] = {}
        self._unsubscribe: list[Callable[[], None]] = []
        self._tick = LoopingCall(self._each_tick)
        self._tick.clock = reactor
        self._next: dict[str, float] = {}
        self._status: dict[str, Any] = {}
        self._reload: tuple[Any, ...] = ()
        self._were_transfers = False

    def answer(self, call: Call) -> Awaited:
        """A stream of the topics that the query names, of all where it names none."""
        asked = call.asked.query.get("topics", "")
        topics = frozenset(word.strip() for word in asked.split(",") if word.strip())
        if unknown := topics - set(TOPICS):
            raise wrong(f"no topic {min(unknown)!r:.40}; there are {', '.join(TOPICS)}")
        return Awaited(self._answer(call, topics or frozenset(TOPICS)))

    async def _answer(self, call: Call, topics: frozenset[str]) -> Feed:
        key, who = "", call.asked.query.get("machine", "")
        if who:
            key = await deferToThread(key_of, who, call.desk.picture())
        over_tcp = call.asked.uid is None
        many = sum(one is over_tcp for one in self._open.values())
        if many >= (MOST_OVER_TCP if over_tcp else _MOST_LOCAL):
            told = f"{many} streams are open already; close one, or try again later"
            headers = {"Retry-After": "5"}
            raise No(HTTPStatus.SERVICE_UNAVAILABLE, "too-many-streams", told, headers=headers)
        listener = Listener(topics, key, call.may_stay, self._left)

        def begin(request: Any) -> None:
            self._open[listener] = over_tcp
            listener.begin(request)
            self._welcome(listener)

        return Feed(_HEADERS, begin)

    def stop(self) -> None:
        """End them all."""
        for listener in list(self._open):
            listener.end()

    def __len__(self) -> int:
        """How many listen."""
        return len(self._open)

    # -- coming and going ----------------------------------------------------------------------

    def _welcome(self, listener: Listener) -> None:
        if not self._tick.running:
            self._begin()
        if "status" in listener.topics:
            listener.send(_event("status", self._status))

    def _begin(self) -> None:
        desk = self._desk
        self._status, self._reload = self._small_status(), self._reload_state()
        self._unsubscribe = [desk.live.record.subscribe(self._note)]
        if desk.boots is not None:
            self._unsubscribe.append(desk.boots.subscribe(lambda boot: self._note(boot.key)))
            for key, boot in desk.boots.items().items():
                if not boot.outcome:
                    self._watch(key, "")
        if desk.logs is not None:
            self._unsubscribe.append(desk.logs.subscribe(self._line))
        if desk.leases is not None:
            self._unsubscribe.append(desk.leases.subscribe(self._lease))
        now = self._reactor.seconds()
        self._next = {
            "transfers": now,
            "pools": now,
            "again": now + _AGAIN_S,
            "ping": now + _PING_S,
        }
        self._tick.start(_TICK_S, now=False)

    def _left(self, listener: Listener) -> None:
        self._open.pop(listener, None)
        if not self._open and self._tick.running:
            self._tick.stop()
            for unsubscribe in self._unsubscribe:
                unsubscribe()
            self._unsubscribe = []
            self._changed.clear()
            self._leases.clear()
            self._told_at.clear()
            self._under_way.clear()

    # -- what happens --------------------------------------------------------------------------

    def _note(self, key: str) -> None:
        """Something about the machine *key* is new."""
        self._changed[key] = None

    def _lease(self, lease: Lease) -> None:
        """It is another now; of one address the last word counts."""
        if lease.machine:
            self._note(lease.machine)
        if any("leases" in one.topics for one in self._open):
            self._leases[lease.address] = lease

    def _line(self, line: Line) -> None:
        key = key_of_line(line)
        listening = [one for one in self._open if one.key and one.wants("logs", key)]
        if listening:
            data = _event("log", self._document(line))
            for listener in listening:
                listener.send(data)

    def _document(self, line: Line) -> dict[str, Any]:
        """As it is stored, but for the number that it has only then."""
        config = self._desk.live.snapshot.config
        document = Shape(self._desk.observer, config.ship.namespace).document(line, 0, "")
        del document["event"]["id"], document["event"]["sequence"]
        return document

    # -- telling -------------------------------------------------------------------------------

    def _each_tick(self) -> None:
        now = self._reactor.seconds()
        self._tell_status()
        if self._is_time("again", now, _AGAIN_S):
            self._look_again()
        if self._is_time("transfers", now, _TRANSFERS_S):
            self._tell_transfers()
        if self._is_time("pools", now, _POOLS_S):
            self._tell_pools()
        if self._is_time("ping", now, _PING_S):
            self._ping()
        self._tell_leases()
        self._tell_machines()

    def _is_time(self, what: str, now: float, every: float) -> bool:
        if now < self._next[what]:
            return False
        self._next[what] = now + every
        return True

    def _ping(self) -> None:
        for listener in list(self._open):
            if listener.may():
                listener.ping()
            else:
                listener.end()

    def _tell_machines(self) -> None:
        """Of those that changed, and were not told of just now."""
        now = self._reactor.seconds()
        due = [key for key in self._changed if now - self._told_at.get(key, -PAUSE_S) >= PAUSE_S]
        picture = self._desk.glance()
        for key in due[:_AT_ONCE]:
            del self._changed[key]
            self._told_at[key] = now
            self._tell_machine(key, picture)
        if len(due) > _AT_ONCE and self._tick.running:
            self._reactor.callLater(_BREATH_S, self._tell_machines)
        if len(self._told_at) > _MOST_WATCHED:
            self._told_at.clear()

    def _tell_machine(self, key: str, picture: Picture) -> None:
        listening = [one for one in self._open if one.wants("machines", key)]
        boot = picture.boots.get(key)
        if (machine := _machine(key, picture)) is not None:
            line = values.summary(machine, picture)
            self._watch(key, line["state"])
            _send(listening, "machine", line)
        if boot is not None:
            _send([one for one in listening if one.key], "boot", boot.as_dict())

    def _watch(self, key: str, state: str) -> None:
        may_change = state in ("", State.BOOTING, State.STUCK)
        if may_change and len(self._under_way) < _MOST_WATCHED:
            self._under_way[key] = state
        else:
            self._under_way.pop(key, None)

    def _look_again(self) -> None:
        """Those under way whose state is another by now, with nothing said."""
        picture = self._desk.glance()
        for key, before in list(self._under_way.items()):
            machine, boot = _machine(key, picture), picture.boots.get(key)
            state = values.state_of_key(key, machine, picture)
            if state != before:
                self._note(key)
            if machine is None or boot is None or boot.outcome:
                del self._under_way[key]

    def _tell_transfers(self) -> None:
        listening = [one for one in self._open if "transfers" in one.topics]
        if not listening:
            return
        lines = list(values.transfers(self._desk.transfers(), self._desk.glance()))
        if lines or self._were_transfers:
            for listener in listening:
                own = [one for one in lines if listener.key in ("", one["key"])]
                behind = nsmallest(_MOST_TRANSFERS, own, key=values.part)
                told = {"total": len(own), "transfers": behind}
                listener.send(_event("transfers", told))
        self._were_transfers = bool(lines)

    def _tell_leases(self) -> None:
        """Of the leases that are others now, a few; the rest in the next tick."""
        leases = self._desk.leases
        if not self._leases or leases is None:
            return
        picture, clock = self._desk.glance(), leases.clock()
        for _ in range(min(len(self._leases), _LEASES_AT_ONCE)):
            _, lease = self._leases.popitem(last=False)
            line = addresses.line(lease, picture, clock)
            key = line["machine"] or line["mac"] or ""
            _send([one for one in self._open if one.wants("leases", key)], "lease", line)

    def _tell_pools(self) -> None:
        """How full they are and who else answers, where that is news."""
        leases = self._desk.leases
        listening = [one for one in self._open if one.wants("leases", "")]
        if leases is None or not listening:
            return
        told = {
            "pools": addresses.pools(leases.usage()),
            "foreign": addresses.foreigners(leases.foreign()),
            "trouble": leases.trouble,
        }
        if told != self._pools:
            self._pools = told
            _send(listening, "pools", told)

    def _tell_status(self) -> None:
        status, reload = self._small_status(), self._reload_state()
        listening = [one for one in self._open if "status" in one.topics]
        if status != self._status:
            self._status = status
            _send(listening, "status", status)
        if reload != self._reload:
            self._reload = reload
            refused = [one.as_dict() for one in self._desk.told.refused]
            told = {
                "generation": status["generation"],
                "last_reload": status["last_reload"],
                "refused": refused,
            }
            _send(listening, "reload", told)

    def _small_status(self) -> dict[str, Any]:
        desk = self._desk
        registry = desk.live.snapshot
        return {
            "generation": registry.generation,
            "machines": registry.listed,
            "last_reload": desk.told.last_reload,
            "troubles": list(desk.told.troubles),
            "refused": len(desk.told.refused),
            "pace": desk.pace.summary() if desk.pace and registry.config.pace.enabled else None,
        }

    def _reload_state(self) -> tuple[Any, ...]:
        told = self._desk.told
        return self._desk.live.snapshot.generation, told.last_reload, told.refused


def _machine(key: str, picture: Picture) -> Machine | None:
    """The machine that is remembered under *key*, None for one that nobody listed."""
    if named := picture.registry.named.get(key):
        return named
    mac = MAC.maybe(key)
    return picture.machine(mac) if mac else None


def _send(listening: Iterable[Listener], event: str, value: Mapping[str, Any]) -> None:
    data = b""
    for listener in listening:
        data = data or _event(event, value)
        listener.send(data)


def _event(name: str, value: Any) -> bytes:
    return f"event: {name}\ndata: {text_of(value)}\n\n".encode("ascii")
