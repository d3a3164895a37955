"""
When narrators are told of what happened: in order, in slices of bounded time, behind the packets.

A slice comes once in each turn of the reactor.  One that comes hot on the heels of the one before
found no packet between the two, and has ``_SLICE_S``.  Otherwise narration has its ``_SHARE`` of
the time that has passed since, no more than ``_LONGEST_S`` at once, and at least one event: so
under a load that never ends packets go first, and the log still keeps moving.

Nothing is lost.  Where ``_MOST`` wait already, whoever publishes tells of the oldest himself: a
flood that does not end gets answers as fast as it can be told of.

An edge that says the very same thing again publishes the very same object.  While that waits as the
last of its machine it is counted, and told of once: a client that floods us does not flood the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from netbootd.events.event import Event

#: Told of an event, when it happened (Unix seconds), and how many times.
Narrator = Callable[[Event, float, int], None]

_SLICE_S = 0.000_25  # what a packet may wait for us where none came lately
_SHARE, _LONGEST_S = 1 / 8, 0.001
#: Nothing was read between two slices that follow each other so fast.
_IDLE_S = 0.000_1
#: More than the machines of a large site: each may say the same again and again.
_MOST = 16_384


class Waiting:
    """An *event* of *whose* that waits; *at* is when it happened, the first of *times*."""

    __slots__ = ("at", "event", "times", "whose")

    def __init__(self, event: Event, whose: object) -> None:
        self.event = event
        self.whose = whose
        self.at = 0.0
        self.times = 1


class Narration:
    """
    *tell* is the Narrator of narrators, *rest* is called after each slice.  *now* gives Unix
    seconds; without a *reactor* everything is told of before the outermost ``go_on`` returns.
    """

    def __init__(
        self, tell: Narrator, rest: Callable[[], None], reactor: Any, now: Callable[[], float]
    ) -> None:
        self._tell = tell
        self._rest = rest
        self._reactor = reactor
        self._now = now
        self._waiting: deque[Waiting] = deque()
        self._last: dict[object, Waiting] = {}  # of each machine
        self._going_on = False
        self._open = 0  # that were put and not followed by go_on yet
        self._telling = False
        self._ended = 0.0  # the last slice, by the reactor's clock

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def put(self, event: Event) -> Waiting:
        """*event* waits from now on; to be followed by ``go_on`` once it was decided by."""
        self._open += 1
        whose = event.mac or event.peer
        before = self._last.get(whose)
        if before is not None and before.event is event:
            before.times += 1
            return before
        waiting = self._last[whose] = Waiting(event, whose)
        self._waiting.append(waiting)
        return waiting

    def go_on(self, waiting: Waiting) -> None:
        """
        What *waiting* tells of has been decided by: so what that brought about is not newer than
        ``at``.
        """
        self._open -= 1
        if not waiting.at:
            waiting.at = self._now()
        if self._reactor is None:
            if not self._open and not self._going_on:
                self._tell_here()
        elif not self._going_on:
            self._going_on = True
            self._reactor.callLater(0, self._slice)
        elif len(self._waiting) > _MOST and not self._open and not self._telling:
            self._tell_surplus()

    def drain(self) -> None:
        """Tell of all that waits."""
        while self._waiting:
            self._tell_next()
        self._rest()

    def _tell_surplus(self) -> None:
        """Also of what narrators publish meanwhile, which comes behind and not in between."""
        while len(self._waiting) > _MOST:
            self._tell_next()

    def _tell_here(self) -> None:
        """What narrators publish meanwhile comes behind."""
        self._going_on = True
        try:
            self.drain()
        finally:
            self._going_on = False

    def _slice(self) -> None:
        seconds = self._reactor.seconds
        since = seconds() - self._ended
        until = seconds() + (_SLICE_S if since < _IDLE_S else min(_LONGEST_S, since * _SHARE))
        while self._waiting:
            self._tell_next()
            if seconds() >= until:
                break
        self._rest()
        self._ended = seconds()
        self._going_on = bool(self._waiting)
        if self._going_on:
            self._reactor.callLater(0, self._slice)

    def _tell_next(self) -> None:
        waiting = self._waiting.popleft()
        if self._last.get(waiting.whose) is waiting:
            del self._last[waiting.whose]
        self._telling = True
        try:
            self._tell(waiting.event, waiting.at, waiting.times)
        finally:
            self._telling = False
