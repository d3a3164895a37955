"""
One destination: a thread that takes lines from the log's files and sends them until they arrived.

While the destination is away nothing is held in memory but one batch: the files are the spool.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from netbootd.logbook.reader import Tape
from netbootd.printable import printable
from netbootd.shipping.backlog import Backlog
from netbootd.shipping.items import Aside, Item, Outcome, Shipped, item_of
from netbootd.shipping.kept import START, Marker, Reached, put_aside

_MOST_ITEMS = 1000
_MOST_BYTES = 5_000_000
_LEAST_BYTES = 1 << 16
_PACE_S = 1.0  # lines of so long are sent together
_COUNT_S = 5.0  # how often the backlog is counted
_LONGEST_S = 60.0  # between two attempts
_DISK_S = 5.0  # until a disk that refused is tried again
_LONGEST_TROUBLE = 400


class Destination(Protocol):
    """Where lines go: *name* is a word, *where* its address for people."""

    name: str

    @property
    def where(self) -> str: ...

    def send(self, items: Sequence[Item]) -> Outcome: ...

    def close(self) -> None: ...


class Courier(threading.Thread):
    """
    Sends the log in *logs* to what *build* makes, and keeps in *folder* how far it is.

    *build* is given what tells whether to end.  *told* is called, in this thread, when ``trouble``
    is new or over, *lost* with the number of lines that went before they were sent.  *after* is who
    did this before and may still be at it.
    """

    def __init__(
        self,
        build: Callable[[Callable[[], bool]], Destination],
        logs: Path,
        folder: Path,
        told: Callable[[str], None],
        lost: Callable[[str, int], None],
        after: threading.Thread | None = None,
    ) -> None:
        self._ending = threading.Event()
        self._destination = build(self._ending.is_set)
        super().__init__(name=f"netbootd-{self._destination.name}", daemon=True)
        self.trouble = ""
        self.saved = START
        self._counts = {"shipped": 0, "rejected": 0, "lost": 0}
        self._folder = folder
        self._marker = Marker(folder, self._destination.name)
        self._tape = Tape(logs)
        self._backlog = Backlog(logs)
        self._read = START
        self._held = 0, 0  # lines and bytes that were read and have not arrived
        self._most_bytes = _MOST_BYTES
        self._failures = 0
        self._counted_at = 0.0
        self._told = told
        self._lost = lost
        self._after = after

    @property
    def shipped(self) -> Shipped:
        """How it goes; in any thread."""
        lines, size = self._held
        return Shipped(
            **self._counts, lines=lines + self._backlog.lines, size=size + self._backlog.size
        )

    def end(self) -> None:
        """Stop soon; in any thread, and it does not wait."""
        self._ending.set()

    # -- in this thread ------------------------------------------------------------------------

    def run(self) -> None:
        """Until ended; a fault of ours costs a pause."""
        if self._after is not None:
            self._after.join()
        while not self._ending.is_set():
            try:
                self._begin()
                while not self._ending.is_set():
                    self._step()
            except Exception as problem:  # the log must not stop for a bug, nor hide it
                self._report(f"{type(problem).__name__}: {problem}")
                self._pause(_LONGEST_S)
        self._destination.close()
        self._tape.close()

    def _begin(self) -> None:
        """Go on where this destination was."""
        while not self._ending.is_set():
            try:
                self.saved = self._read = self._marker.read()
                self._hold(())
            except OSError as problem:
                self._report(str(problem))
                self._pause(_DISK_S)
                continue
            self._tape.seek(self.saved.place)
            self._count()
            return

    def _step(self) -> None:
        """One batch, or a pause where there is none."""
        if time.monotonic() - self._counted_at > _COUNT_S:
            self._count()
        items = self._next()
        if items and self._deliver(items):
            self._save()
            self._hold(())
        if len(items) < _MOST_ITEMS and sum(len(item.raw) for item in items) < self._most_bytes:
            self._pause(_PACE_S)

    def _next(self) -> list[Item]:
        items = []
        for place, raw in self._tape.read(_MOST_ITEMS, self._most_bytes):
            same = place.file == self._read.place.file
            if not same:
                self._lose(self._backlog.go_to(place.file, self._read))
            self._read = Reached(place, self._read.number + 1 if same else 1)
            items.append(item_of(place, self._read.number, raw))
        self._backlog.move_to(self._read)
        return items

    def _deliver(self, items: Sequence[Item]) -> bool:
        """Send *items* until each has arrived or was put aside; False where we end before that."""
        unfit = [Aside(item, item.unfit) for item in items if item.unfit]
        if unfit and not self._put_aside(unfit):
            return False
        waiting = [[item for item in items if not item.unfit]]
        while waiting:
            self._hold(waiting)
            if self._ending.is_set():
                return False
            if not (part := waiting.pop()):
                continue
            outcome = self._destination.send(part)
            if outcome.aside and not self._put_aside(outcome.aside):
                return False
            self._counts["shipped"] += len(part) - len(outcome.again) - len(outcome.aside)
            if outcome.halve:
                waiting += self._halves(part)
            elif outcome.again:
                waiting.append(list(outcome.again))
                self._hold(waiting)
                self._wait(outcome, progress=len(outcome.again) < len(part))
            else:
                self._failures = 0
                self._report("")
        return True

    def _hold(self, parts: Sequence[Sequence[Item]]) -> None:
        sizes = [len(item.raw) + 1 for part in parts for item in part]
        self._held = len(sizes), sum(sizes)

    def _halves(self, part: Sequence[Item]) -> list[list[Item]]:
        """What is too much for one request, as two; the first is to be sent first."""
        if len(part) == 1:
            self._put_aside([Aside(part[0], "413 it is too large, even alone")])
            return []
        middle = len(part) // 2
        self._most_bytes = max(_LEAST_BYTES, sum(len(item.raw) for item in part) // 2)
        return [list(part[middle:]), list(part[:middle])]

    def _wait(self, outcome: Outcome, *, progress: bool) -> None:
        """Before the next attempt: longer each time, and not all of us at the same moment."""
        self._report(outcome.problem)
        self._failures = 0 if progress else self._failures
        doubled = min(_LONGEST_S, 2.0 ** min(self._failures, 10))
        self._failures += 1
        seconds = _LONGEST_S if outcome.grave else doubled
        seconds *= random.uniform(0.5, 1.0)  # noqa: S311  no secret
        self._pause(max(seconds, outcome.wait or 0.0))

    def _pause(self, seconds: float) -> None:
        """Wait, and count meanwhile what piles up."""
        while seconds > 0 and not self._ending.wait(min(seconds, _COUNT_S)):
            seconds -= _COUNT_S
            self._count()

    def _count(self) -> None:
        """What is to be sent; where files have gone, what is lost."""
        self._counted_at = time.monotonic()
        if gone := self._backlog.count(self._read):
            self._tape.close()  # of a file that is gone, nothing more is read
            self._lose(gone)

    def _lose(self, lines: int) -> None:
        if lines:
            self._counts["lost"] += lines
            self._lost(self._destination.name, lines)

    def _put_aside(self, refused: Sequence[Aside]) -> bool:
        """They are on disk before we go on; False where we end before that."""
        while True:
            try:
                put_aside(self._folder, self._destination.name, refused)
            except OSError as problem:
                self._report(f"what it does not take cannot be kept: {problem}")
                self._pause(_DISK_S)
                if self._ending.is_set():
                    return False
                continue
            self._counts["rejected"] += len(refused)
            return True

    def _save(self) -> None:
        """All that was read has arrived."""
        try:
            self._marker.write(self._read)
        except OSError as problem:  # what was sent is sent again after a restart, no more than that
            self._report(f"how far it is cannot be kept: {problem}")
        self.saved = self._read

    def _report(self, problem: str) -> None:
        trouble = ""
        if problem:
            name, where = self._destination.name.capitalize(), self._destination.where
            told = f"the log is not sent to {name} at {where}, and waits in its files: {problem}"
            trouble = printable(told, _LONGEST_TROUBLE)
        if trouble != self.trouble:
            self.trouble = trouble
            self._told(trouble)
