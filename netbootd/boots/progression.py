"""
What is new about a boot that has changed, each thing once: for whoever counts.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from netbootd.boots.boot import Boot, Outcome, Stage, Step

_MOST_KNOWN = 10_000  # boots; the one that has been silent for longest is forgotten


class News(NamedTuple):
    """*begun*: it was not seen before; *outcome* is OPEN where that is as it was."""

    begun: bool
    reached: tuple[Stage, ...]
    ended: tuple[Step, ...]
    outcome: Outcome


@dataclass(slots=True)
class _Known:
    reached: int = 0  # steps that were told of, of all that there are
    ended: int = 0  # of those whose end was, as bits: a set of each takes most of the memory
    outcome: Outcome = Outcome.OPEN


class Progression:
    """
    Remembers what it has told of each boot.

    A step ends when the next begins, or with the boot.  What began before *since*, in Unix seconds,
    is not news: a boot may be older than whoever counts.
    """

    def __init__(self, since: float) -> None:
        self._since = since
        self._boots: OrderedDict[int, _Known] = OrderedDict()

    def news(self, boot: Boot) -> News:
        """What has become of *boot* since it was last asked about."""
        known = self._boots.get(boot.number)
        new = known is None
        if known is None:
            known = self._boots[boot.number] = _Known()
            if len(self._boots) > _MOST_KNOWN:
                self._boots.popitem(last=False)
        else:
            self._boots.move_to_end(boot.number)
        fresh, known.reached = boot.steps[known.reached :], len(boot.steps)
        outcome = boot.outcome if boot.outcome is not known.outcome else Outcome.OPEN
        known.outcome = boot.outcome
        since = self._since
        return News(
            new and boot.began >= since,
            tuple([step.stage for step in fresh if step.at >= since]),
            tuple([step for step in _ended(boot, known) if step.at >= since]),
            outcome if boot.last >= since else Outcome.OPEN,
        )


def _ended(boot: Boot, known: _Known) -> list[Step]:
    """The steps of *boot* that are over and were not so when last asked."""
    over = boot.outcome is not Outcome.OPEN
    last = len(boot.steps) - 1
    fresh = []
    if known.ended.bit_count() <= last:
        for place, step in enumerate(boot.steps):
            bit = 1 << place
            if not known.ended & bit and (over or (place < last and not step.open)):
                known.ended |= bit
                fresh.append(step)
    return fresh
