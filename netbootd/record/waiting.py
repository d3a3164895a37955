"""
What waits for the disk, by table and key: of each key the last that was kept counts.

A disk may stand still for hours, full or hung, while machines boot and others make up cards.  So
nothing waits that would change nothing: what was kept and forgotten meanwhile is on no disk, and
need not be forgotten there.  A key that waits is remembered, or on the disk, or was being written
when the disk stopped, and what is remembered has its bounds (``Record``, ``StyleMemory``).

The reactor keeps, another thread takes; neither waits for the other longer than a step takes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from netbootd.record.standing import Standing
from netbootd.record.styles import Worked

Name = tuple[str, str]
"""The table, and the key in it."""
Value = Standing | Worked | None
"""What is kept there; None: it is forgotten."""


class Waiting:
    """What is not on the disk yet, and the names of what is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Name, Value] = {}
        self._writing: dict[Name, Value] = {}
        self._on_disk: set[Name] = set()

    def __len__(self) -> int:
        """How many things wait, or are being written."""
        return len(self._waiting) + len(self._writing)

    def found(self, table: str, keys: Iterable[str]) -> None:
        """These are on the disk, as it was read."""
        self._on_disk.update((table, key) for key in keys)

    def keep(self, name: Name, value: Value) -> None:
        """Have it written in its turn."""
        with self._lock:
            if value is not None or name in self._on_disk or name in self._writing:
                self._waiting[name] = value
            else:
                self._waiting.pop(name, None)

    def take(self) -> Mapping[Name, Value]:
        """All that waits, and what was taken before and could not be written."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            self._writing = self._writing | waiting if self._writing else waiting
            for name in [name for name, value in waiting.items() if value is None]:
                if name not in self._on_disk:
                    del self._writing[name]
            return self._writing

    def written(self) -> None:
        """What was taken is on the disk."""
        for name, value in self._writing.items():
            if value is None:
                self._on_disk.discard(name)
            else:
                self._on_disk.add(name)
        with self._lock:
            self._writing = {}
