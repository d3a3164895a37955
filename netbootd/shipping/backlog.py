"""
How many lines a destination has yet to get, and how many it never will, their files being gone.

The files are counted as they grow, each byte once: what was counted of a closed file stands.  What
is written and removed between two looks is not known of: where a folder is filled within seconds,
the lines that were lost are at least so many.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
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
        lost = self._forget(self._counted.keys() - set(there), reached)
        for identity in there:
            if identity < reached.place.file:
                continue
            counted = self._counted.setdefault(identity, _Counted())
            if not counted.whole:
                read = self._go_on(identity, counted)
                counted.whole = read and identity != there[-1]
        self.move_to(reached)
        return lost

    def move_to(self, reached: Reached) -> None:
        """Who is at *reached* now has so much less before it; nothing is looked at anew."""
        behind = [self._behind(one, reached) for one in self._counted]
        self.lines = sum(lines for lines, _ in behind)
        self.size = sum(size for _, size in behind)

    def go_to(self, identity: str, reached: Reached) -> int:
        """
        Who was at *reached* reads the file *identity* now: how many lines were left out, because
        what is between had gone.
        """
        return self._forget({one for one in self._counted if one < identity}, reached)

    def _forget(self, identities: Iterable[str], reached: Reached) -> int:
        """Files that nobody will read any more; the lines that nobody has read."""
        lost = 0
        for identity in identities:
            lost += self._behind(identity, reached)[0]
            del self._counted[identity]
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
