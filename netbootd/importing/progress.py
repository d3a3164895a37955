"""How far a copy is: one line that changes on a terminal, a line per tenth where it is a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

_OFTEN = 0.2  # seconds between two lines on a terminal
_WORTH_A_LINE = 64 << 20  # bytes; less is copied before anybody reads the log


def sized(size: int) -> str:
    """*size* in bytes as a person says it: ``512 bytes``, ``4.2 GiB``."""
    if size < 1024:
        return f"{size} bytes"
    amount, unit = float(size), 0
    while amount >= 1024 and unit < 4:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[unit - 1]}"


class Progress:
    """Told of every block of *total* bytes; writes to *out*.  *clock* is in seconds."""

    def __init__(
        self, total: int, out: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.done = 0
        self._out = out
        self._clock = clock
        self._began = self._told_at = clock()
        self._told_tenth = 0
        self._on_terminal = out.isatty()

    def add(self, count: int) -> None:
        """*count* more bytes."""
        self.done += count
        if self._on_terminal:
            self._redraw()
        elif self.total >= _WORTH_A_LINE and (tenth := 10 * self.done // self.total) > (
            self._told_tenth
        ):
            self._told_tenth = tenth
            print(f"netbootd: {self._line()}", file=self._out, flush=True)

    def close(self) -> None:
        """Wipe the line of a terminal."""
        if self._on_terminal:
            print("\r\x1b[K", end="", file=self._out, flush=True)

    def _redraw(self) -> None:
        now = self._clock()
        if now - self._told_at >= _OFTEN:
            self._told_at = now
            print(f"\r{self._line()}\x1b[K", end="", file=self._out, flush=True)

    def _line(self) -> str:
        percent = 100 * self.done // self.total if self.total else 100
        rate = int(self.done / max(self._clock() - self._began, 0.001))
        return f"{percent:3} % of {sized(self.total)}, {sized(rate)}/s"
