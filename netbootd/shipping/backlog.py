"""
How many lines a destination has yet to get, and how many it never will, their files being gone.

The files are counted as they grow, each byte once: what was counted of a closed file stands.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from netbootd.logbook import files
from netbootd.shipping.kept import Reached

_CHUNK = 1 << 20


@dataclass(slots=True)
class _Counted:
    lines: int = 0
    size: int = 0  # uncompressed bytes that were counted
    whole: bool = False  # nothing will be added


class Backlog:
    """The files in *folder*, from where a destination is."""

    def __init__(self, folder: Path) -> None:
        self.lines = 0
        self.size = 0
        self._folder = folder
        self._counted: dict[str, _Counted] = {}

    def count(self, reached: Reached) -> int:
        """
        Look what there is behind *reached*; ``lines`` and ``size`` in bytes say so then.

        Returns how many lines have gone since the last time without being sent.
        """
        there = files.identities(self._folder)
        lost = sum(self._behind(one, reached)[0] for one in self._counted.keys() - set(there))
        wanted = [identity for identity in there if identity >= reached.place.file]
        self._counted = {one: self._counted.get(one, _Counted()) for one in wanted}
        for identity, counted in self._counted.items():
            if not counted.whole:
                read = self._go_on(identity, counted)
                counted.whole = read and identity != there[-1]
        behind = [self._behind(one, reached) for one in wanted]
        self.lines = sum(lines for lines, _ in behind)
        self.size = sum(size for _, size in behind)
        return lost

    def _behind(self, identity: str, reached: Reached) -> tuple[int, int]:
        counted = self._counted[identity]
        if identity < reached.place.file:
            return 0, 0
        if identity > reached.place.file:
            return counted.lines, counted.size
        lines, size = counted.lines - reached.number, counted.size - reached.place.offset
        return max(0, lines), max(0, size)

    def _go_on(self, identity: str, counted: _Counted) -> bool:
        """Count what was added since; False where that may go better another time."""
        try:
            with files.opened(self._folder, identity) as file:
                file.seek(counted.size)
                while chunk := file.read(_CHUNK):
                    counted.lines += chunk.count(b"\n")
                    counted.size += len(chunk)
        except (EOFError, zlib.error, gzip.BadGzipFile):  # damaged: nobody can read on
            return True
        except OSError:
            return False
        return True
