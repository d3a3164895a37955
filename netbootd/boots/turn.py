"""
One event in the hand of whoever folds it into a boot: whose it is, when, and by which registry.

What must be asked of the registry and the record comes in as functions (``Outside``), so that the
fold needs neither.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from netbootd.boots.altered import altered
from netbootd.boots.boot import Boot, Note, Stage, Step
from netbootd.boots.notes import note_of
from netbootd.boots.steps import MOST_PATH, MOST_TEXT, noted
from netbootd.mac import MAC

#: Every event makes a step, and a new one from nothing takes three times as long.
_BLANK = Step(stage=Stage.DISCOVER, at=0.0, until=0.0)
_UNBEGUN = Boot(number=0, key="", began=0.0, last=0.0)


@lru_cache(maxsize=4096)
def _once(text: str) -> str:
    """
    *text*, the same object as of the last few thousand texts.  ``sys.intern`` would keep what came
    from the network for ever, in CPython 3.12.
    """
    return text


class Who(NamedTuple):
    """The machine of a card: its *key*, whether it is listed, and its UUID in one spelling."""

    key: str
    known: bool = True
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """
    What is asked of the registry and the record.

    *who*: whose card it is.  *stage_of*: what a path is to the boot of a target (``type/name``) by
    a card.  *reports*: whether a target tells its end; None where it may, False where nothing of it
    is seen, as of a machine's own disk.  *looks_on*: whether an address is not where the machine of
    a card is known to be, as somebody's with a browser.  *number*: the next boot's.
    """

    who: Callable[[MAC], Who]
    stage_of: Callable[[str, str, MAC | None], Stage]
    reports: Callable[[str], bool | None]
    looks_on: Callable[[MAC, str], bool]
    number: Callable[[], int]


@dataclass(slots=True)
class Turn:
    """
    *event* at *now*, Unix seconds, *times*, of the machine *key* and its *card*, which is *mac* in
    text; *known*: it is listed.
    """

    event: Any
    now: float
    generation: int
    key: str
    mac: str
    card: MAC | None
    known: bool = True
    uuid: str = ""
    times: int = 1

    def step(
        self,
        stage: Stage,
        *,
        path: str = "",
        note: str = "",
        trouble: str = "",
        seconds: float = 0.0,
        **more: Any,
    ) -> Step:
        """
        A sign of *stage*, which has taken *seconds* until now, and *more* of what a Step has.

        Thousands of boots say the same few words, so each is kept once.
        """
        event = self.event
        return altered(
            _BLANK,
            stage=stage,
            path=_once(path[:MOST_PATH]),
            note=note[:MOST_TEXT],
            trouble=trouble[:MOST_TEXT],
            at=self.now - seconds,
            until=self.now,
            times=self.times,
            mac=self.mac,
            # What a relay passes on has the relay's address.
            peer="" if getattr(event, "relay", "") else _once(event.peer),
            interface=getattr(event, "interface", ""),
            generation=self.generation,
            **more,
        )

    def noted(self, boot: Boot) -> tuple[Note, ...]:
        """The notes of *boot* with the one that this event leaves, if any."""
        note = note_of(self.event, self.now, self.times)
        return noted(boot.notes, note) if note else boot.notes

    def new(self) -> Boot:
        """A boot that begins now; it is not shown yet, so it has no number."""
        return altered(_UNBEGUN, key=self.key, began=self.now, last=self.now)
