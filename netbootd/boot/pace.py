"""
Who may load now in a boot storm, and who waits: the queue as a value of its own.

::

    asks ─────► waiting ──── its turn ────► loading ──── its last byte, its report ────► over
      ▲            │                            │
      │            │ stays away                 └──── no sign of it for a while ───────► over
      └────────────┘ for a while, its place is kept; for long, and it is lost

Nodes that load all at once are all up at the end of the storm; one after another the half of them
is up when half of it is over, and the last no later, as long as those that load fill the uplink
(``uplink`` finds out how many that are).  So the order is strict: by priority, then by who asked
first; whoever asks counts those before him, and goes if there is room for all of them and himself.

A node is not called, it asks again: the sooner, the nearer its turn.  One that is late is passed
over, and keeps its place.  Who was let go and asks again has been reset, and does not wait twice;
nor does it count as one that loads, until it does.

A place belongs to the address that asks, for anybody may say that he is any machine: whoever asks
in the names of hundreds has one place, and those whom he names keep theirs.

Pure: *now* is seconds of a steady clock, *peer* an address, *key* the machine that it says it is
(``Machine.key``).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

from netbootd.boot.uplink import MOST as UPLINK_MOST
from netbootd.boot.uplink import Uplink

#: What is said to whoever asks while the setting is off.
OFF = 'pacing is off, so no machine waits; "pace": true in the section "netbootd" switches it on'
#: Seconds from one question to the next: of those that are about to go, and of those that are far.
NEAR_S, FAR_S = 1.5, 20.0
#: Questions a second that all those who are far ask at most, and the longest that this makes of it.
_QUESTIONS, _FARTHEST_S = 200.0, 60.0
#: A node that asks so much later than it was told is passed over meanwhile.
_LATE_S = 1.5
#: And after so long its place is lost: it was switched off, or boots something else.
LOST_S = 180.0
#: Seconds without a sign after which nobody loads any more: from its script to its first file, a
#: VLAN or a slow link in between; then from one file to the next.
_TO_FIRST_S, _TO_NEXT_S = 30.0, 5.0
#: Who was let go so long ago and comes again does not wait.
AGAIN_S = 600.0
#: An operator's word that one may go counts so long, if it does not wait yet.
_PASS_S = 3600.0
#: More than so many do not wait at all.
MOST = 20_000
_RECENT = 64  # of those that are over, for the estimate
#: Seconds in which nobody was through, and times what each took: then nothing is known any more.
_STALE_S, _STALE = 60.0, 5

_Order = tuple[int, int, str]
_LAST: _Order = (1 << 62, 0, "")  # behind everybody


@dataclass(frozen=True, slots=True)
class Rules:
    """
    *at_once* may load, 0 for as many as fill the uplink, of which *line* bytes a second may be
    taken (0: all of it); and of the members of some *groups* no more than so many.
    """

    at_once: int = 0
    line: float = 0.0
    groups: Mapping[str, int] = field(default_factory=dict)


class Turn(NamedTuple):
    """
    The answer: it *waits* or may go.

    It is the *position*-th (from 1) of *waiting*, those that are late not counted; *seconds* is
    about how long, None where nobody can say; it is to ask *again* after so many, and has *asked*
    so many times; *why* is a reason other than the crowd.
    """

    waits: bool
    position: int = 0
    waiting: int = 0
    seconds: float | None = None
    again: float = 0.0
    asked: int = 1
    why: str = ""

    @property
    def told(self) -> str:
        """Where it stands, in words."""
        return told(self.position, self.waiting, self.seconds)


#: It may.
GO = Turn(waits=False)


class Place(NamedTuple):
    """
    Who waits, for those who look: since when, and about how long still.  One that is *late* is not
    counted among those before the others; its own position is that among everybody.
    """

    peer: str
    key: str
    position: int
    priority: int
    since: float
    seconds: float | None
    late: bool = False


@dataclass(slots=True)
class _Waiting:
    key: str
    order: _Order
    groups: tuple[str, ...]
    since: float
    due: float
    asked: int = 1


@dataclass(slots=True)
class _Loading:
    groups: tuple[str, ...]
    until: float  # when it is taken to be over, if nothing is heard of it


class Queue:
    """
    ``paused``: nobody goes.  ``uplink`` has the number of those that may load, where no rule does.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self.paused = False
        self.uplink = Uplink()
        self.changed = False  # something that is worth keeping, since ``state`` was last asked for
        self._serial = 0
        self._waiting: dict[str, _Waiting] = {}
        self._line: list[_Order] = []  # of those that are not late
        self._lines: dict[tuple[str, ...], list[_Order]] = {}  # the same, by their limited groups
        self._loading: dict[str, _Loading] = {}
        self._by_group: Counter[str] = Counter()
        self._went: OrderedDict[str, float] = OrderedDict()
        self._passes: dict[str, float] = {}  # by key
        self._over: deque[float] = deque(maxlen=_RECENT)
        self.rules = rules or Rules()

    @property
    def rules(self) -> Rules:
        """What counts; new ones count from the next question on."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = rules
        self.uplink.line = rules.line
        line, self._line, self._lines = self._line, [], {}
        for order in line:
            self._queue_up(self._waiting[order[2]])

    @property
    def limit(self) -> int:
        """How many may load at once."""
        return self._rules.at_once or self.uplink.limit

    @property
    def loading(self) -> Collection[str]:
        """Who loads."""
        return self._loading.keys()

    @property
    def waiting(self) -> Collection[str]:
        """Who waits, those among them that are late."""
        return self._waiting.keys()

    # -- who asks ------------------------------------------------------------------------------

    def ask(
        self, peer: str, now: float, priority: int = 0, groups: Iterable[str] = (), key: str = ""
    ) -> Turn:
        """Whether *peer*, as the machine *key*, may load now."""
        if peer in self._loading or now - self._went.get(peer, -AGAIN_S) < AGAIN_S:
            return GO
        groups = tuple(groups)
        if now < self._passes.get(key, now):
            self._go(peer, key, groups, now)
            return GO
        one = self._enter(peer, key, priority, groups, now)
        if one is None:
            return GO
        position = bisect_left(self._line, one.order)
        if not self.paused and self._has_room(one, position):
            self._go(peer, key, groups, now)
            return GO
        seconds = self._seconds(position, now)
        again = self._again(one, position, seconds)
        one.due = now + again
        why = "paused by an operator" if self.paused else self._full_group(one)
        return Turn(True, position + 1, len(self._line), seconds, again, one.asked, why)

    def _enter(
        self, peer: str, key: str, priority: int, groups: tuple[str, ...], now: float
    ) -> _Waiting | None:
        """Its place in the line, a new one where it has none; None where there is no room."""
        one = self._waiting.get(peer)
        if one is None:
            if len(self._waiting) >= MOST:
                return None
            self._serial += 1
            one = _Waiting(key, (-priority, self._serial, peer), groups, now, now)
            self._waiting[peer] = one
            self._queue_up(one)
            self.changed = True
            return one
        self._leave(one)
        one.key, one.order, one.groups = key, (-priority, *one.order[1:]), groups
        one.asked += 1
        self._queue_up(one)
        return one

    def _queue_up(self, one: _Waiting) -> None:
        insort(self._line, one.order)
        insort(self._lines.setdefault(self._limited(one.groups), []), one.order)

    def _leave(self, one: _Waiting) -> None:
        _take_out(self._line, one.order)
        limited = self._limited(one.groups)
        if (line := self._lines.get(limited)) is not None:
            _take_out(line, one.order)
            if not line:
                del self._lines[limited]

    def _limited(self, groups: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in groups if name in self._rules.groups)

    def _has_room(self, one: _Waiting, before: int) -> bool:
        """
        For it and all *before* it; whom its group keeps from going takes nobody's room.

        Those who have the same groups stand in a line of their own, and of each line only the
        first counts: a question costs the same however many wait behind a full group.
        """
        free = self.limit - len(self._loading)
        if not self._rules.groups:
            return before < free
        taken = Counter(self._by_group)
        keys = list(self._lines)
        lines = [iter(line) for line in self._lines.values()]
        heads = [next(line) for line in lines]
        while free > 0:
            fitting = [at for at, groups in enumerate(keys) if self._fits(groups, taken)]
            if not fitting:
                return False
            at = min(fitting, key=heads.__getitem__)
            if heads[at] >= one.order:
                return heads[at] == one.order
            taken.update(keys[at])
            heads[at] = next(lines[at], _LAST)
            free -= 1
        return False

    def _fits(self, groups: tuple[str, ...], taken: Mapping[str, int]) -> bool:
        return all(taken[name] < self._rules.groups[name] for name in groups)

    def _full_group(self, one: _Waiting) -> str:
        for name in self._limited(one.groups):
            if self._by_group[name] >= self._rules.groups[name]:
                return f"{self._by_group[name]} of group {name} load already"
        return ""

    def _seconds(self, position: int, now: float) -> float | None:
        """About how long until so many are over that the next goes."""
        if self.paused or len(self._over) < 2:
            return None
        each = (self._over[-1] - self._over[0]) / (len(self._over) - 1)
        if now - self._over[-1] > max(_STALE_S, _STALE * each):
            return None
        ahead = position + 1 + len(self._loading) - self.limit
        return max(1, ahead) * each

    def _again(self, one: _Waiting, position: int, seconds: float | None) -> float:
        """Spread, so that those who came together do not ask together for ever."""
        far = min(max(FAR_S, len(self._waiting) / _QUESTIONS), _FARTHEST_S)
        soon = min(seconds / 4 if seconds is not None else position / 40, far)
        spread = crc32(f"{one.order[2]} {one.asked}".encode()) / 0xFFFFFFFF
        return max(NEAR_S, soon) * (0.75 + spread / 2)

    def _go(self, peer: str, key: str, groups: tuple[str, ...], now: float) -> None:
        if one := self._waiting.pop(peer, None):
            self._leave(one)
        self._passes.pop(key, None)
        self._load(peer, groups, now + _TO_FIRST_S)
        self._went[peer] = now
        self._went.move_to_end(peer)
        self.changed = True

    def _load(self, peer: str, groups: tuple[str, ...], until: float) -> None:
        if peer not in self._loading:
            self._by_group.update(groups)
            self._loading[peer] = _Loading(groups, until)
        self._loading[peer].until = max(self._loading[peer].until, until)

    # -- what happens --------------------------------------------------------------------------

    def loads(self, peer: str, now: float, groups: Iterable[str] = ()) -> None:
        """A large body to *peer* is under way; it may never have asked."""
        self._load(peer, tuple(groups), now + _TO_NEXT_S)

    def fetched(self, peer: str, now: float) -> None:
        """A body to *peer* has ended, and another may follow at once."""
        if one := self._loading.get(peer):
            one.until = now + _TO_NEXT_S

    def over(self, peer: str, now: float, *, up: bool = False) -> None:
        """*peer* has all that it loads; *up*: its next boot is another one."""
        if up:
            self.changed |= self._went.pop(peer, None) is not None
        if one := self._loading.pop(peer, None):
            self._by_group.subtract(one.groups)
            if self._over and now - self._over[-1] > AGAIN_S:  # that was another storm
                self._over.clear()
            self._over.append(now)
            self.changed = True

    def tick(self, total: int, under_way: Iterable[str], now: float) -> None:
        """
        To be called about each second: *total* bytes of bodies have left since the start, and some
        are *under_way* to these.
        """
        for peer in under_way:
            if one := self._loading.get(peer):
                one.until = max(one.until, now + _TO_NEXT_S)
        for peer in [peer for peer, one in self._loading.items() if one.until < now]:
            self.over(peer, now)
        self._pass_over(now)
        self._forget(now)
        tries = bool(self._line) and not self.paused and not self._rules.at_once
        self.uplink.sample(total, now, crowded=tries)

    def _pass_over(self, now: float) -> None:
        for order in [order for order in self._line if self._is_late(order[2], now)]:
            self._leave(self._waiting[order[2]])

    def _is_late(self, peer: str, now: float) -> bool:
        return self._waiting[peer].due + _LATE_S < now

    def _forget(self, now: float) -> None:
        for peer in [peer for peer, one in self._waiting.items() if one.due + LOST_S < now]:
            self._leave(self._waiting.pop(peer))
            self.changed = True
        for key in [key for key, until in self._passes.items() if until < now]:
            del self._passes[key]
        while self._went and now - next(iter(self._went.values())) >= AGAIN_S:
            self._went.popitem(last=False)

    # -- an operator ---------------------------------------------------------------------------

    def let_go(self, key: str, now: float) -> None:
        """*key* goes when it next asks, and if it does not wait, when it first does."""
        self._passes[key] = now + _PASS_S
        self.changed = True

    def pause(self, *, paused: bool) -> None:
        """Nobody goes any more; or those whose turn it is do again."""
        self.changed |= self.paused is not paused
        self.paused = paused

    # -- who looks -----------------------------------------------------------------------------

    def places(self, now: float) -> Iterator[Place]:
        """Everybody who waits, the next first; whoever is late stands among the others."""
        in_order = sorted(self._waiting.values(), key=lambda one: one.order)
        for among_all, one in enumerate(in_order):
            position = bisect_left(self._line, one.order)
            late = self._line[position : position + 1] != [one.order]
            position = among_all if late else position
            yield Place(
                *(one.order[2], one.key, position + 1, -one.order[0], one.since),
                *(self._seconds(position, now), late),
            )

    # -- over a restart ------------------------------------------------------------------------

    def state(self, now: float) -> dict[str, Any]:
        """All that is worth keeping, as JSON has it; times are seconds before or after *now*."""
        self.changed = False
        in_order = sorted(self._waiting.values(), key=lambda one: one.order)
        return {
            "paused": self.paused,
            "at_once": self.uplink.limit,
            "waiting": [
                [
                    *(one.order[2], one.key, -one.order[0], list(one.groups)),
                    *(now - one.since, one.due - now),
                ]
                for one in in_order
            ],
            "loading": [[peer, list(one.groups)] for peer, one in self._loading.items()],
            "went": [[peer, now - at] for peer, at in self._went.items()],
            "passes": [[key, until - now] for key, until in self._passes.items()],
        }

    def restore(self, kept: Mapping[str, Any], now: float, away: float) -> None:
        """
        Go on where ``state`` was taken, *away* seconds ago.

        Nobody could ask meanwhile: each has its time from now on.  Raises KeyError, TypeError,
        OverflowError or ValueError for what is no state, and is to be thrown away then.
        """
        self.paused = bool(kept["paused"])
        self.uplink.limit = max(1, min(int(kept["at_once"]), UPLINK_MOST))
        for peer, key, priority, groups, waited, due in kept["waiting"]:
            one = self._enter(str(peer), str(key), int(priority), tuple(map(str, groups)), now)
            if one is not None:
                one.since = now - float(waited) - away
                one.due = now + max(0.0, min(float(due), _FARTHEST_S)) + NEAR_S
        for peer, groups in kept["loading"]:
            self._load(str(peer), tuple(map(str, groups)), now + _TO_FIRST_S)
        for peer, ago in kept["went"]:
            self._went[str(peer)] = now - float(ago) - away
        for key, left in kept["passes"]:
            self._passes[str(key)] = now + float(left) - away


def _take_out(line: list[_Order], order: _Order) -> None:
    at = bisect_left(line, order)
    if at < len(line) and line[at] == order:
        del line[at]


# -- in words --------------------------------------------------------------------------------------


def told(position: int, waiting: int, seconds: float | None) -> str:
    """``number 12 of 340, about 3 min``."""
    place = f"number {position} of {waiting}"
    return place if seconds is None else f"{place}, about {about(seconds)}"


def about(seconds: float) -> str:
    """``40 s``, ``3 min``."""
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"
