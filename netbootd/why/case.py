"""
One boot under the magnifying glass: the evidence, with what every signature wants to know of it.

A machine that fails begins anew by itself: by PXE, then by HTTP boot, then by PXE again.  Boots
that follow each other closely belong to one struggle; the one that came furthest says most of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from netbootd.boots.boot import Boot, Code, Note, Outcome, Stage, Step
from netbootd.printable import printable
from netbootd.why.diagnosis import Cause, State
from netbootd.why.evidence import Evidence
from netbootd.why.moments import clock
from netbootd.why.patience import (
    base_name,
    blocked,
    gave_up,
    is_late,
    state_of,
    was_handed_on,
)

#: Seconds between the last sign of a boot and the first of the next within one struggle.
STRUGGLE_S = 600.0
_MOST_TRIES = 6
#: A machine that starts anew so soon has not run what it fetched.
AT_ONCE_S = 12.0
_SKEW_S = 2.0  # a line may be stamped a little earlier than its boot
#: Boots of one struggle after which it counts as going in circles, however young the last one is.
CIRCLES = 3


class Said(NamedTuple):
    """A line of a console, and its time."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """
    *boot* is the one that says most, *tries* all of its struggle, newest first; *state* is how the
    machine is.  A machine that was never seen has a boot without steps, notes and number.
    """

    evidence: Evidence
    boot: Boot
    tries: tuple[Boot, ...]
    state: State

    # -- how far -------------------------------------------------------------------------------

    @property
    def called(self) -> str:
        """The machine as sentences call it."""
        return printable(self.evidence.called, 80)

    @property
    def rank(self) -> int:
        """The furthest stage's place on the way, -1 for none."""
        return self.boot.reached.rank if self.boot.reached else -1

    def is_at(self, *stages: Stage) -> bool:
        """Whether the furthest stage is one of *stages*."""
        return self.boot.reached in stages

    def has(self, stage: Stage) -> bool:
        """Whether the boot went through *stage*."""
        return self.boot.step(stage) is not None

    @property
    def over(self) -> bool:
        """Whether nothing more is to be expected of the boot."""
        if self.boot.outcome is not Outcome.OPEN or self.restarted is not None:
            return True
        machine = self.evidence.machine
        return is_late(self.boot, machine, self.evidence.now) or blocked(self.boot, machine)

    @property
    def silent(self) -> float:
        """Seconds since its last sign, or from that to the next boot."""
        if self.restarted is not None:
            return self.restarted
        return max(0.0, self.evidence.now - self.boot.last)

    @property
    def restarted(self) -> float | None:
        """Seconds from its last sign until the machine began anew; None where it did not."""
        later = [one for one in self.tries if one.number > self.boot.number]
        following = min(later, key=lambda one: one.number, default=None)
        return None if following is None else max(0.0, following.began - self.boot.last)

    @property
    def began_anew_at_once(self) -> bool:
        """Whether it started again sooner than a program that ran would have let it."""
        return self.restarted is not None and self.restarted <= AT_ONCE_S

    # -- what was seen -------------------------------------------------------------------------

    def step(self, stage: Stage) -> Step | None:
        """The last step of *stage*."""
        return self.boot.step(stage)

    def notes(self, of: Code, **facts: Any) -> tuple[Note, ...]:
        """Notes of the boot whose data have *facts*."""
        return tuple(
            note
            for note in self.boot.notes
            if note.code is of and all(note.data.get(key) == fact for key, fact in facts.items())
        )

    def refused(self, location: str) -> tuple[Note, ...]:
        """The refusals of the file *location*, by whichever path it was asked for."""
        name = base_name(location)
        return tuple(
            note
            for note in self.notes(Code.REFUSED)
            if name and base_name(text(note, "path")) == name
        )

    def earlier(self) -> Iterator[Boot]:
        """The boots before it that are known."""
        return (one for one in self.evidence.boots if one.number < self.boot.number)


def case_of(evidence: Evidence) -> Case:
    """The boot of *evidence* that says most, and how the machine is."""
    newest = evidence.boots[0] if evidence.boots else None
    state = state_of(newest, evidence.standing, evidence.machine, evidence.now)
    if state is State.UNKNOWN and evidence.lease is not None:
        state = State.UP
    if newest is None:
        return Case(evidence, Boot(number=0, key=evidence.key, began=0.0, last=0.0), (), state)
    tries = tuple(_struggle(evidence.boots))
    candidates = tries
    if state is State.STUCK:  # by itself, so those that came up are no part of it
        candidates = (newest, *(one for one in tries[1:] if not was_handed_on(one)))
    if state is State.BOOTING and len(tries) >= CIRCLES:
        state = State.STUCK
    on = state in (State.UP, State.BOOTING) and newest.outcome is Outcome.OPEN
    if on and gave_up(newest, evidence.console):
        state = State.STUCK
    boot = newest
    if state is State.STUCK and not _turned_away(newest):
        boot = max(candidates, key=_weight)
    return Case(evidence, boot, tries, state)


def said_in(evidence: Evidence, boot: Boot, tries: tuple[Boot, ...]) -> list[Said]:
    """What the machine said in *boot*, which is one of *tries*, in the order of time."""
    later = [one.began for one in tries if one.number > boot.number]
    end = min(later, default=math.inf)
    said = [(note.at, note.text) for note in boot.notes if note.code is Code.CONSOLE]
    said += [line for line in evidence.console if boot.began - _SKEW_S <= line[0] < end]
    return [Said(at, line) for at, line in sorted(dict.fromkeys(said))]


def _struggle(boots: tuple[Boot, ...]) -> Iterator[Boot]:
    """The newest, and those before it that it repeats."""
    yield boots[0]
    for newer, older in pairwise(boots[:_MOST_TRIES]):
        apart = newer.began - older.last
        if older.outcome not in (Outcome.AGAIN, Outcome.OPEN) or not apart <= STRUGGLE_S:
            return
        if older.generation != newer.generation:  # what failed may be mended
            return
        yield older


def _weight(boot: Boot) -> tuple[int, int]:
    return (boot.reached.rank if boot.reached else -1, boot.number)


def _turned_away(boot: Boot) -> bool:
    """Whether the last thing that happened is that we did not serve it."""
    notes = [note for note in boot.notes if note.code is Code.UNSERVED]
    last = max((step.until for step in boot.steps), default=-math.inf)
    return any(note.until >= last for note in notes)


# -- words -----------------------------------------------------------------------------------------

Signature = Callable[[Case], Iterator[Cause]]


def text(note: Note, fact: str) -> str:
    """A fact of *note* as text, empty where it has none."""
    value = note.data.get(fact)
    return "" if value is None else str(value)


def number(note: Note, fact: str) -> float:
    """A fact of *note* as a number, 0 where it is none."""
    value = note.data.get(fact)
    fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if fine and value is not None else 0.0


def span(seconds: float) -> str:
    """``7 s``, ``3 min``, ``2 h``."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def size(count: float) -> str:
    """``812 bytes``, ``34.5 MiB``."""
    if not math.isfinite(count):
        return "?"
    if count < 1 << 10:
        return f"{count:.0f} bytes"
    if count < 1 << 20:
        return f"{count / (1 << 10):.1f} KiB"
    return f"{count / (1 << 20):.1f} MiB"


def _times(count: int, until: float) -> str:
    if count <= 1:
        return ""
    return f", {count} times until {clock(until)}"


def told_step(step: Step) -> str:
    """One line of *step*, with its time."""
    what = f" {printable(step.path, 100)}" if step.path else ""
    bytes_ = ""
    if step.size or step.sent:
        bytes_ = f", {step.sent} of {step.size} bytes" if step.size else f", {step.sent} bytes"
    style = f" ({printable(step.note, 60)})" if step.note else ""
    where = f" on {step.interface}" if step.interface else ""
    trouble = f": {printable(step.trouble, 120)}" if step.trouble else ""
    again = _times(step.times, step.until)
    return f"{clock(step.at)} {_SAID[step.stage]}{what}{style}{where}{bytes_}{again}{trouble}"


def told_note(note: Note) -> str:
    """One line of *note*, with its time."""
    return f"{clock(note.at)} {printable(note.text, 160)}{_times(note.times, note.until)}"


def arming(case: Case) -> str:
    """What helps a machine that was refused what is secret."""
    return f"Arm its next boot, and have the machine itself boot: netbootd next {case.evidence.key}"


def because(*what: Step | Note | str | None) -> tuple[str, ...]:
    """The lines of what there is among *what*."""
    return tuple(_line(one) for one in what if one)


def _line(one: Step | Note | str) -> str:
    if isinstance(one, str):
        return one
    return told_step(one) if isinstance(one, Step) else told_note(one)


def some(notes: Iterable[Note], most: int = 3) -> tuple[Note, ...]:
    """The last *most* of *notes*."""
    return tuple(notes)[-most:]


_SAID = {
    Stage.DISCOVER: "DISCOVER",
    Stage.OFFER: "our OFFER",
    Stage.BOOT_SERVER: "request on port 4011",
    Stage.LOADER: "loader",
    Stage.IPXE_DISCOVER: "DISCOVER of iPXE",
    Stage.IPXE_OFFER: "our OFFER to iPXE",
    Stage.SCRIPT: "boot script",
    Stage.KERNEL: "kernel",
    Stage.INITRD: "initrd",
    Stage.SYSTEM: "DHCP request of the booted system",
    Stage.ANSWER_FILE: "answer file",
    Stage.FILES: "files",
    Stage.NODE_SCRIPT: "node script",
    Stage.DONE: "report: up",
    Stage.FAILED: "report: failed",
}
