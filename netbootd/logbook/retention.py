"""
What becomes of a file when it is closed: it is indexed, compressed, and one day removed.

A thread of its own: compressing takes a second for what came in a quiet week.  It has the same
priority as the others, which would wait for a slower one where it holds the interpreter.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import queue
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from netbootd.ages import Ages
from netbootd.logbook import files, index, reader
from netbootd.logbook.marks import Marks

log = logging.getLogger(__name__)

_PACE_S = 60.0  # how often it looks at ages, if no file is cut meanwhile
_DAY = 86_400.0
_LEVEL = 4  # of gzip: a tenth larger than with 6, in half the time


class Retention(threading.Thread):
    """
    Keeps at most *size* bytes and *days* days of the files in *folder*; *now* gives Unix seconds.

    *closed_until* tells the newest file that is closed.  The oldest go first, sent on or not.
    """

    def __init__(
        self,
        folder: Path,
        now: Callable[[], float],
        closed_until: Callable[[], str],
    ) -> None:
        super().__init__(name="netbootd-log-files", daemon=True)
        self.size = 0
        self.days = 0
        self._folder = folder
        self._ages = Ages(now)
        self._closed_until = closed_until
        self._closing = False
        self._work: queue.SimpleQueue[tuple[str, Marks] | None] = queue.SimpleQueue()

    def cut(self, identity: str, marks: Marks) -> None:
        """*identity* is closed, and holds *marks*."""
        self._work.put((identity, marks))

    def close(self) -> None:
        """End behind the file at hand; what is left to do is done after the next start."""
        self._closing = True
        self._work.put(None)

    def run(self) -> None:
        """Until closed; a fault of ours costs a minute, and not the room on the disk."""
        for left in files.parts(self._folder):
            with contextlib.suppress(OSError):
                left.unlink()
        going = True
        while going:
            try:
                if not self._closing:
                    self.tidy()
            except Exception:
                log.exception("the log's files are not tidied")
            going = self._take()

    def _take(self) -> bool:
        """Index the next file that is cut, if one is soon; False when closed."""
        try:
            piece = self._work.get(timeout=_PACE_S)
        except queue.Empty:
            return True
        if piece is not None:
            self._index(*piece)
        return piece is not None

    def tidy(self) -> None:
        """Make room, and then compress and index what is not yet."""
        self._remove_old()
        for identity in reversed(files.identities(self._folder)):
            if self._is_closed(identity) and not self._closing:
                self._compress(identity)
        self._index_all()
        self._remove_old()

    # -- index ---------------------------------------------------------------------------------

    def _index(self, identity: str, marks: Marks) -> None:
        try:
            index.add(self._folder, identity, marks)
        except sqlite3.OperationalError:  # a full disk, or somebody reads for long: later
            return
        except sqlite3.Error:
            with contextlib.suppress(OSError):
                index.discard(self._folder)

    def _index_all(self) -> None:
        """What was not indexed when it was closed: after a crash, or without a place on disk."""
        try:
            known = index.indexed(self._folder) if files.identities(self._folder) else {}
            for gone in known.keys() - set(files.identities(self._folder)):
                index.forget(self._folder, gone)
        except sqlite3.OperationalError:
            return
        except sqlite3.Error:
            with contextlib.suppress(OSError):
                index.discard(self._folder)
            known = {}
        for identity in files.identities(self._folder):
            if identity not in known and self._is_closed(identity) and not self._closing:
                self._index(identity, marks_in(self._folder, identity))

    def _is_closed(self, identity: str) -> bool:
        return identity <= self._closed_until()

    # -- compressing ---------------------------------------------------------------------------

    def _compress(self, identity: str) -> None:
        path = files.plain(self._folder, identity)
        part = files.part(self._folder, identity)
        try:
            with path.open("rb") as plain, part.open("xb") as raw:
                with gzip.GzipFile("", "wb", _LEVEL, raw) as packed:
                    shutil.copyfileobj(plain, packed, 1 << 18)
                os.fchmod(raw.fileno(), 0o640)
                os.fsync(raw.fileno())
            status = path.stat()
            os.utime(part, (status.st_atime, status.st_mtime))  # its age is that of its lines
            part.rename(files.closed(self._folder, identity))
            path.unlink()
        except FileNotFoundError:  # it is compressed already, or gone
            return
        except OSError:  # no room: it stays as it is until there is
            with contextlib.suppress(OSError):
                part.unlink()

    # -- room ----------------------------------------------------------------------------------

    def _remove_old(self) -> None:
        sizes = {one: files.size(self._folder, one) for one in files.identities(self._folder)}
        total = sum(sizes.values())
        written = {one: files.modified(self._folder, one) or 0.0 for one in sizes}
        oldest = self._ages.now(max(written.values(), default=0.0)) - self.days * _DAY
        for identity, size in sizes.items():
            aged = 0.0 < written[identity] < oldest
            if (total > self.size or aged) and self._is_closed(identity) and not self._closing:
                self._remove(identity)
                total -= size

    def _remove(self, identity: str) -> None:
        try:
            files.remove(self._folder, identity)
        except OSError:
            return
        with contextlib.suppress(sqlite3.Error):
            index.forget(self._folder, identity)


def marks_in(folder: Path, identity: str) -> Marks:
    """The marks of a file, read from itself."""
    marks = Marks()
    for offset, line in reader.offsets(folder, identity):
        try:
            document = json.loads(line)
            ours = document.get("netbootd", {})
            key = ours.get("machine") or document.get("source", {}).get("ip") or ""
            marks.add(str(key), int(ours.get("boot_id", 0)), offset)
        except (ValueError, TypeError, AttributeError):  # somebody else's line
            continue
    return marks
