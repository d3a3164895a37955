"""
Publish and subscribe: the edges say what happened, and do not know who listens.

Who decides by what happened (*listeners*) is told at once, in the publisher's turn, and must be
quick.  Who tells of it further (*narrators*: the log, the record of boots, the numbers) is told in
the same order when no packet waits (``narration``), with the time at which it happened.

Each is told of the kinds of events that it asked for.  One that fails hurts nobody else: its error
is reported, and it is asked again next time.  What they publish themselves comes behind what they
were told of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netbootd.events.event import Event
from netbootd.events.narration import Narration, Narrator

Listener = Callable[[Event], None]
Report = Callable[[Exception], None]


class Stream:
    """
    Hands every event to whoever asked for its kind; *report* is told of an exception of theirs,
    *now* gives Unix seconds.

    Without a *reactor* narrators are told before ``publish`` returns.
    """

    def __init__(
        self, report: Report, reactor: Any = None, now: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._report = report
        self._listeners = _Members()
        self._narrators = _Members()
        self._rests: list[Callable[[], None]] = []
        self._narration = Narration(self._tell, self._rest, reactor, now)

    def subscribe(self, listener: Listener, *kinds: type[Event]) -> None:
        """Tell *listener* at once of every event of *kinds* from now on, of all without any."""
        self._listeners.add(listener, kinds)

    def narrate(self, narrator: Narrator, *kinds: type[Event]) -> None:
        """As ``subscribe``, when no packet waits."""
        self._narrators.add(narrator, kinds)

    def rests(self, rest: Callable[[], None]) -> None:
        """Call *rest* after each slice of telling: what narrators put together is to go out."""
        self._rests.append(rest)

    def publish(self, event: Event) -> None:
        """Tell everybody."""
        waiting = self._narration.put(event)
        for listener in self._listeners[type(event)]:
            try:
                listener(event)
            except Exception as problem:
                self._report(problem)
        self._narration.go_on(waiting)

    def drain(self) -> None:
        """Tell narrators of all that waits."""
        self._narration.drain()

    def _tell(self, event: Event, at: float, times: int) -> None:
        for narrator in self._narrators[type(event)]:
            try:
                narrator(event, at, times)
            except Exception as problem:
                self._report(problem)

    def _rest(self) -> None:
        for rest in self._rests:
            try:
                rest()
            except Exception as problem:
                self._report(problem)


class _Members(dict[type[Event], tuple[Any, ...]]):
    """By a kind of events, who asked for it or for what it is one of, in the order they came."""

    def __init__(self) -> None:
        self._all: list[tuple[Any, tuple[type[Event], ...]]] = []

    def add(self, member: Any, kinds: tuple[type[Event], ...]) -> None:
        self._all.append((member, kinds or (Event,)))
        self.clear()

    def __missing__(self, kind: type[Event]) -> tuple[Any, ...]:
        found = tuple(member for member, kinds in self._all if issubclass(kind, kinds))
        self[kind] = found
        return found
