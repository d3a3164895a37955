"""
The log of all nodes: lines come from the reactor, a thread writes them.

The reactor never waits: a line is put into a bounded queue, and where that is full it is counted
and gone.  A disk that is full costs lines once the queue is, and no boot.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netbootd.config import Logs
from netbootd.logbook import ecs, files, index, reader
from netbootd.logbook.lastwords import LastWords, Word
from netbootd.logbook.line import Line
from netbootd.logbook.marks import Mark, Marks
from netbootd.logbook.retention import Retention
from netbootd.logbook.writer import Writer

_MOST_LINES = 65_536  # queued; as many again may wait for a disk that refuses them
_MOST_BYTES = 32 << 20
_HIGH = 0.5  # above it a sender that can wait should: the rest is for those that cannot
_LINE_BYTES = 1000  # of a queued line beside its text, roughly
_PACE_S = 0.05  # lines of so long are written together
_AGAIN_S = 1.0  # after the disk refused
_CUTS = 64  # a file is cut at this part of the whole
_SMALLEST, _LARGEST = 1 << 16, 1 << 26
_FLOOR = 64 << 20  # bytes that are left free for others
_FLOOR_PART = 50  # but no more than this part of a small disk
_WARNING = 4  # below the floor nothing less severe is written
_STOP_S = 5.0


class Logbook:
    """
    Lines go to *folder* as *settings* say, in *shape*; *now* gives Unix seconds.

    *told* is called, in another thread, when ``trouble`` is new, or over.  ``counts`` are since the
    start: lines ``stored``; ``lost_full`` because the queue was, ``lost_low_disk`` because little
    space was free.
    """

    def __init__(
        self,
        folder: Path,
        settings: Logs,
        shape: ecs.Shape,
        now: Callable[[], float],
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self.trouble = ""
        self.counts = {"stored": 0, "lost_full": 0, "lost_low_disk": 0}
        self._told = told
        self._trouble_of_room = ""
        self._look_next = 0.0
        self._now = now
        self._queue: deque[Line] = deque()
        self._bytes = 0
        self._pending: deque[Line] = deque()
        self._lock = threading.Lock()  # of the queue, its size and the counts
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._last_words = LastWords()
        self._callbacks: tuple[Callable[[Line], None], ...] = ()
        self._writer = Writer(folder, shape, now, _SMALLEST, self._cut)
        self._retention = Retention(folder, now, lambda: self._writer.closed_until)
        self._thread = threading.Thread(target=self._run, name="netbootd-log", daemon=True)
        self.configure(settings, shape)

    def configure(self, settings: Logs, shape: ecs.Shape) -> None:
        """From now on as *settings* say, but in the same folder."""
        size = settings.size << 20
        self._writer.most = min(_LARGEST, max(_SMALLEST, size // _CUTS))
        self._writer.shape = shape
        self._retention.size, self._retention.days = size, settings.days

    # -- in the reactor's thread ---------------------------------------------------------------

    def start(self) -> None:
        """Begin to write; what was put before is written then."""
        self._thread.start()
        self._retention.start()

    def put(self, line: Line) -> bool:
        """Keep *line*; False where there is no room."""
        size = _size(line)
        with self._lock:
            if len(self._queue) >= _MOST_LINES or self._bytes + size > _MOST_BYTES:
                self.counts["lost_full"] += 1
                return False
            self._queue.append(line)
            self._bytes += size
        if not self._wake.is_set():
            self._wake.set()
        self._last_words.note(line)
        for callback in self._callbacks:
            callback(line)
        return True

    @property
    def depth(self) -> int:
        """Lines that wait to be written."""
        return len(self._queue) + len(self._pending)

    @property
    def is_high(self) -> bool:
        """Whether a sender that can wait should be made to."""
        return len(self._queue) > _MOST_LINES * _HIGH or self._bytes > _MOST_BYTES * _HIGH

    def last_words(self, key: str) -> tuple[Word, ...]:
        """What the machine *key* said last, the oldest first."""
        return self._last_words.of(key)

    def subscribe(self, callback: Callable[[Line], None]) -> Callable[[], None]:
        """Call *callback* with every line that is put; what is returned ends that."""
        self._callbacks = (*self._callbacks, callback)

        def unsubscribe() -> None:
            self._callbacks = tuple(one for one in self._callbacks if one is not callback)

        return unsubscribe

    # -- in any thread -------------------------------------------------------------------------

    def tail(self, key: str, limit: int, boot: int = 0, before: str = "") -> list[dict[str, Any]]:
        """
        The last *limit* documents of a machine, or of an address that is nobody's; in order.

        *boot* is the number of the boot they must be of, 0 for any; *before* the ``event.id`` of
        the first document of the page behind.  Reads files: not for the reactor's thread.
        """
        found: list[dict[str, Any]] = []
        for document in reader.backwards(self.folder, key, boot, self._where(key, before)):
            if before and not _is_before(document, before):
                continue
            found.append(document)
            if len(found) >= limit:
                break
        return found[::-1]

    def _where(self, key: str, before: str) -> list[tuple[str, Mark | None]]:
        """The files that may have lines of *key*, the newest first, and the blocks in them."""
        try:
            # The index first: a file that is cut meanwhile is then read whole.
            known = index.indexed(self.folder)
            marks = index.marks_of(self.folder, key)
        except sqlite3.Error:
            known, marks = {}, {}
        current, mark = self._writer.mark_of(key)
        newest = before.rpartition("-")[0] or "~"
        where: list[tuple[str, Mark | None]] = []
        for identity in reversed(files.identities(self.folder)):
            if identity > newest:
                continue
            if identity == current:
                where.append((identity, mark or Mark()))
            elif identity not in known:
                where.append((identity, None))
            elif identity in marks:
                where.append((identity, marks[identity]))
        return where

    def stop(self) -> bool:
        """
        Write what is queued and end, within 5 s; False where the disk did not take it.

        Waits for it: not for the reactor's thread.
        """
        until = time.monotonic() + _STOP_S
        self._writer.hurries = True
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)
        self._retention.close()  # behind the writer, which hands it the last file
        if self._retention.is_alive():
            self._retention.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive() and not self.depth

    # -- in the thread that writes -------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            # What was wrong with the disk is over before the next line comes, which may take hours.
            if not self._wake.wait(_AGAIN_S if self.trouble else None):
                self._write()
                continue
            self._closing.wait(_PACE_S)
            self._wake.clear()
            while self._take() and not self._write() and not self._closing.wait(_AGAIN_S):
                pass
        while self._take() and self._write():  # what waited for the disk, and then the queue
            pass
        self._close()

    def _take(self) -> bool:
        """Move what is queued to what is being written, once that is; whether there is any."""
        with self._lock:
            if not self._pending:
                self._pending, self._queue, self._bytes = self._queue, deque(), 0
        return bool(self._pending)

    def _write(self) -> bool:
        """What is pending; False where the disk refuses some of it."""
        try:
            self._look_at_disk()
            if self._trouble_of_room:
                self._keep_grave()
            before = len(self._pending)
            try:
                self._writer.write(self._pending)
            finally:
                self._count("stored", before - len(self._pending))
        except OSError as problem:
            reason = problem.strerror or str(problem)
            self._report(f"what nodes log is not written: {self.folder}: {reason}")
        except Exception as problem:  # a fault of ours: the log must not end without a word
            self._report(f"what nodes log is not written: {type(problem).__name__}: {problem}")
        else:
            self._report(self._trouble_of_room)
        return not self._pending

    def _look_at_disk(self) -> None:
        """Once a second: is there room, and are the files still where they were?"""
        now = time.monotonic()
        if now < self._look_next:
            return
        self._look_next = now + _AGAIN_S
        if self._writer.is_gone():
            self._writer.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        disk = os.statvfs(self.folder)
        floor = min(_FLOOR, disk.f_blocks * disk.f_frsize // _FLOOR_PART)
        free = disk.f_bavail * disk.f_frsize
        self._trouble_of_room = (
            f"of what nodes log only warnings and worse are written: {self.folder} "
            f"has less than {floor >> 10} KiB free"
            if free < floor
            else ""
        )

    def _keep_grave(self) -> None:
        grave = deque(line for line in self._pending if line.severity <= _WARNING)
        self._count("lost_low_disk", len(self._pending) - len(grave))
        self._pending = grave

    def _close(self) -> None:
        try:
            self._writer.close()
        except OSError as problem:
            self._report(f"what nodes log may be lost: {self.folder}: {problem.strerror}")

    def _cut(self, identity: str, marks: Marks) -> None:
        self._retention.cut(identity, marks)

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._told(trouble)

    def _count(self, what: str, number: int) -> None:
        with self._lock:
            self.counts[what] += number


def _size(line: Line) -> int:
    """Bytes of memory, roughly."""
    return len(line.text) + len(line.original) + _LINE_BYTES


def _is_before(document: dict[str, Any], identity: str) -> bool:
    """Whether it was written before the line *identity*."""
    return _order(str(document.get("event", {}).get("id", ""))) < _order(identity)


def _order(identity: str) -> tuple[str, int]:
    file, _, number = identity.rpartition("-")
    return file, int(number) if number.isdecimal() else 0
