"""A log as the daemon writes it, without its threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

from netbootd.logbook import ecs, files
from netbootd.logbook.line import Line, Source
from netbootd.logbook.writer import Writer

SHAPE = ecs.Shape("boot1")


class Log:
    """Files of the log in *folder*; ``say`` writes lines, ``cut`` begins another file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        self._writer = Writer(folder, SHAPE, time.time, 1 << 30, lambda _identity, _marks: None)

    def say(self, count: int = 1, text: str = "", source: Source = Source.SYSLOG) -> list[str]:
        """Write so many lines; their texts."""
        texts = [text or f"line {self.number + each}" for each in range(count)]
        self.number += count
        lines = deque(Line(source=source, received=1.0, at=1.0, text=one) for one in texts)
        self._writer.write(lines)
        return texts

    def cut(self) -> str:
        """Close the current file; its identity."""
        identity = self._writer.identity
        self._writer.close()
        return identity

    def append(self, raw: bytes) -> None:
        """Something that is no line of ours, at the end of the last file."""
        with files.plain(self.folder, files.identities(self.folder)[-1]).open("ab") as file:
            file.write(raw)


def until(condition, seconds: float = 20.0) -> None:
    """Wait for *condition*, which threads bring about."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it does not come"
        threading.Event().wait(0.01)
