"""
The file that is written to.  One thread uses it, with one write for many lines.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from netbootd.logbook import ecs, files
from netbootd.logbook.line import Line
from netbootd.logbook.marks import Mark, Marks, key_of
from netbootd.unhurried import unhurried

_AT_ONCE = 1 << 20  # bytes of one write
_DAY = 86_400.0
_CROWD = 8192  # lines; before so many wait, packets that are answered meanwhile go first


class Writer:
    """
    Writes to *folder* in the given *shape*; *now* gives Unix seconds.

    A file is cut behind *most* bytes, or when the day (UTC) is over; *cut* is then told of it, with
    its marks.
    """

    def __init__(
        self,
        folder: Path,
        shape: ecs.Shape,
        now: Callable[[], float],
        most: int,
        cut: Callable[[str, Marks], None],
    ) -> None:
        self.shape = shape
        self.most = most
        self._folder = folder
        self._now = now
        self._cut = cut
        self._descriptor: int | None = None
        self._offset = 0
        self._day = 0.0
        self._lock = threading.Lock()  # of identity and marks, which readers look at
        self._marks = Marks()
        self._identity = ""
        #: Whether somebody waits until all is written.
        self.hurries = False
        #: The newest file that nobody writes to any more.
        self.closed_until = max(files.identities(folder), default="")

    @property
    def identity(self) -> str:
        """The file that is written to; empty between two."""
        return self._identity if self._descriptor is not None else ""

    def is_gone(self) -> bool:
        """Whether somebody has removed the file."""
        return self._descriptor is not None and os.fstat(self._descriptor).st_nlink == 0

    def mark_of(self, key: str) -> tuple[str, Mark | None]:
        """The current file, and where lines of *key* are in it."""
        with self._lock:
            mark = self._marks.of.get(key)
            found = Mark(mark.blocks, mark.first_boot, mark.last_boot) if mark else None
            return self.identity, found

    def write(self, lines: deque[Line]) -> None:
        """
        Write *lines*, and take out of it those that are written.

        Raises OSError: then nothing of what is still in it is on disk.
        """
        while lines:
            if self._descriptor is not None and self._is_full():
                self.close()
            self._write_some(lines, self._opened())

    def _is_full(self) -> bool:
        return self._offset >= self.most or self._now() // _DAY != self._day

    def _write_some(self, lines: deque[Line], descriptor: int) -> None:
        """As many as fit into one write and into this file."""
        room = min(_AT_ONCE, max(1, self.most - self._offset))
        encoded: list[bytes] = []
        length = 0
        for number, line in enumerate(self._paced(lines), self._marks.lines + 1):
            encoded.append(self.shape.encode(line, number, f"{self._identity}-{number}"))
            length += len(encoded[-1])
            if length >= room:
                break
        self._append(descriptor, b"".join(encoded))
        with self._lock:
            for piece in encoded:
                line = lines.popleft()
                self._marks.add(key_of(line), line.filing.boot, self._offset)
                self._offset += len(piece)

    def _paced(self, lines: deque[Line]) -> Iterable[Line]:
        return lines if self.hurries or len(lines) > _CROWD else unhurried(lines)

    def _append(self, descriptor: int, data: bytes) -> None:
        """All of *data* or, with OSError, nothing: half a line would be read by others."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, self._offset)
            raise

    def _opened(self) -> int:
        if self._descriptor is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            last = max([self.closed_until, *files.identities(self._folder)])
            identity = files.new_identity(self._now(), last)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(files.plain(self._folder, identity), flags, 0o640)
            with self._lock:
                self._identity, self._marks = identity, Marks()
                self._offset, self._day = 0, self._now() // _DAY
                self._descriptor = descriptor
        return self._descriptor

    def close(self) -> None:
        """Cut the file here; the next line begins another.  Raises OSError, but is closed then."""
        if self._descriptor is None:
            return
        descriptor, marks = self._descriptor, self._marks
        with self._lock:
            self._descriptor, self._marks = None, Marks()
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            self.closed_until = self._identity
            self._cut(self._identity, marks)
