"""
Whose deadline has come, at a cost that goes by how many are due and not by how many there are.

A deadline moves on with each ACK, and moving an entry along each time would cost as much as the
ACK.  So each transfer stands in one slot, that of the time when it is looked at: where its deadline
has moved on by then, it goes to a later slot.  Where its deadline comes sooner, whoever made it so
puts it in again; what is left of it in the other slot then says nothing.  Pure; times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

_SLOTS_A_SECOND = 200  # two for each look: few stand in one that has begun and not yet come
#: The ``looked_at`` of what waits no more.
GONE = float("-inf")


class Timed(Protocol):
    """What has a *deadline*; when that will be looked at is for ``Due`` to set."""

    looked_at: float

    @property
    def deadline(self) -> float:
        """In seconds."""
        ...


T = TypeVar("T", bound=Timed)


class Due(Generic[T]):
    """Everybody's deadlines."""

    def __init__(self) -> None:
        self._slots: dict[int, list[T]] = {}
        self._next = 0  # the first slot that was not looked at

    def put(self, waiting: T) -> None:
        """Look at *waiting* when its deadline has come."""
        slot = max(int(waiting.deadline * _SLOTS_A_SECOND), self._next)
        waiting.looked_at = slot / _SLOTS_A_SECOND
        self._slots.setdefault(slot, []).append(waiting)

    def take(self, now: float) -> Iterator[T]:
        """Those whose deadline has come at *now*; each waits no more until it is put in again."""
        reached = int(now * _SLOTS_A_SECOND)
        for slot in self._until(reached):
            for waiting in self._slots.pop(slot, ()):
                if waiting.looked_at != slot / _SLOTS_A_SECOND:
                    continue
                waiting.looked_at = GONE
                if waiting.deadline <= now:
                    yield waiting
                else:
                    self.put(waiting)

    def _until(self, reached: int) -> list[int] | range:
        """The slots up to *reached*; after a long time with nothing to do those that are there."""
        first, self._next = self._next, reached + 1
        if reached - first > len(self._slots):
            return sorted(slot for slot in self._slots if slot <= reached)
        return range(first, reached + 1)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._slots.clear()
