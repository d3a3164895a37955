"""
The record of boots on disk, in a thread of its own.

A boot is written again when it has changed, ``_SOON_S`` after that, in a storm ``_LATEST_S``, so a
daemon that is killed loses no more.  A disk that is full or gone costs the memory over a restart,
never a boot: what was not written is kept, the newest of it, and tried again.  A file that is
broken is set aside, and a new one begun.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from netbootd.ages import Ages
from netbootd.boots import database
from netbootd.boots.boot import Boot
from netbootd.boots.database import FILE, Loaded, NoBoots, Row, Unsaved
from netbootd.config import Boots
from netbootd.sqlitefile import identity, is_broken, set_aside
from netbootd.unhurried import unhurried

_SOON_S = 1.0
#: Writing takes so small a part of the time, though not later than ``_LATEST_S``: in a storm
#: thousands of boots change all the time.
_PART = 10.0
_LATEST_S = 5.0
_RETRY_S = 1.0  # a disk that failed is tried again this often
_PRUNE_S = 60.0
_PATIENCE_S = 10.0
#: Boots that wait for a disk that is full; the oldest is given up first.
MOST_UNSAVED = 16384


class _Asked(NamedTuple):
    """*ask* is called with the file open, *told* with its answer or with what went wrong."""

    ask: Callable[[sqlite3.Connection], list[Boot]]
    told: Callable[[list[Boot] | NoBoots], None]


class _Stir:
    """There is something to write."""


class Store(threading.Thread):
    """
    Keeps boots on disk.

    Called in this thread: *troubled* with what is wrong with the disk, empty once it is well again;
    *warned* with what an operator should know once; *renewed* when the file is new while the daemon
    runs: then what is in memory is to be kept anew.
    """

    def __init__(
        self,
        folder: Path,
        settings: Boots,
        now: Callable[[], float],
        *,
        troubled: Callable[[str], None],
        warned: Callable[[str], None],
        renewed: Callable[[], None],
    ) -> None:
        super().__init__(name="netbootd-boots", daemon=True)
        self.settings = settings
        self._file = folder / FILE
        self._ages = Ages(now)
        self._troubled, self._warned, self._renewed = troubled, warned, renewed
        self._lock = threading.Lock()
        self._unsaved: dict[int, Unsaved] = {}
        self._next = 0
        self._moves: dict[str, str] = {}
        self._work: queue.SimpleQueue[_Asked | _Stir | None] = queue.SimpleQueue()
        self._due: float | None = None
        self._pause = _SOON_S
        self._pruned_at = time.monotonic() - _PRUNE_S
        self._closing = False
        self._trouble = ""
        self._identity: tuple[int, int] | None = None

    def load(self) -> Loaded:
        """What is on disk, before the thread starts.  Raises NoBoots."""
        try:
            return self._loaded()
        except sqlite3.DatabaseError as problem:
            if not is_broken(problem):
                raise self._no_boots(problem) from None
            self._replace(problem)
        except OSError as problem:
            raise self._no_boots(problem) from None
        try:
            return self._loaded()
        except (OSError, sqlite3.Error) as problem:
            raise self._no_boots(problem) from None

    def _loaded(self) -> Loaded:
        with contextlib.closing(database.connect(self._file)) as connection:
            loaded = database.load(connection)
        self._identity = identity(self._file)
        self._next = loaded.number
        return loaded

    def _replace(self, problem: sqlite3.Error) -> None:
        try:
            broken = set_aside(self._file)
        except OSError as other:
            raise self._no_boots(other) from None
        self._warned(f"{self._file} is broken ({problem}); it is {broken} now, and a new one begun")

    def _no_boots(self, problem: Exception) -> NoBoots:
        self._trouble = f"{self._file}: {problem}"
        return NoBoots(self._trouble)

    # -- called by others ----------------------------------------------------------------------

    def keep(self, boot: Boot, *, known: bool = True) -> None:
        """Write *boot* soon; *known*: its machine is listed."""
        number, kept = boot.number, Unsaved(boot, known)
        with self._lock:
            first = not self._unsaved
            self._unsaved.pop(number, None)
            self._unsaved[number] = kept
            if number >= self._next:
                self._next = number + 1
            while len(self._unsaved) > MOST_UNSAVED:
                del self._unsaved[next(iter(self._unsaved))]
        if first:
            self._work.put(_Stir())

    def rename(self, old: str, new: str) -> None:
        """The boots of the machine *old* are those of *new*."""
        with self._lock:
            self._moves[old] = new
        self._work.put(_Stir())

    def ask_machine(
        self, key: str, limit: int, told: Callable[[list[Boot] | NoBoots], None]
    ) -> None:
        """The last *limit* boots of *key* that are on disk, newest first."""
        query = "SELECT value FROM boot WHERE key = ? ORDER BY number DESC LIMIT ?"
        self._ask(query, (key, limit), told)

    def ask_boot(self, number: int, told: Callable[[list[Boot] | NoBoots], None]) -> None:
        """The boot *number*, if it is on disk."""
        self._ask("SELECT value FROM boot WHERE number = ?", (number,), told)

    def _ask(
        self,
        query: str,
        values: tuple[str | int, ...],
        told: Callable[[list[Boot] | NoBoots], None],
    ) -> None:
        def ask(connection: sqlite3.Connection) -> list[Boot]:
            return database.decoded(row[0] for row in connection.execute(query, values))

        self._work.put(_Asked(ask, told))

    def close(self) -> None:
        """Write what is left and end."""
        self._work.put(None)
        self.join(_PATIENCE_S)

    # -- in the thread -------------------------------------------------------------------------

    def run(self) -> None:
        """Until closed; a disk that fails is tried again and again."""
        going = True
        while going:
            try:
                with contextlib.closing(self._open()) as connection:
                    if self._trouble:
                        self._save(connection)
                        self._report("")
                    going = self._serve(connection)
            except NoBoots as problem:
                self._report(str(problem))
            except Exception as problem:  # the disk's, or ours: it must not end without a word
                self._report(f"{self._file}: {problem}")
                if isinstance(problem, sqlite3.Error) and is_broken(problem):
                    with contextlib.suppress(NoBoots):
                        self._replace(problem)
            if self._closing:
                return
            if self._trouble:
                going = self._wait_out()

    def _open(self) -> sqlite3.Connection:
        connection = database.connect(self._file)
        if self._identity != (seen := identity(self._file)):
            if self._identity is not None or self._trouble:
                self._renewed()
            self._identity = seen
        return connection

    def _serve(self, connection: sqlite3.Connection) -> bool:
        """With the file open; False when closed."""
        self._prune(connection)
        while True:
            piece = self._piece()
            if piece is None:
                self._closing = True
                self._save(connection)
                database.close_cleanly(connection)
                return False
            if isinstance(piece, _Asked):
                self._answer(piece, connection)
            if self._due is not None and time.monotonic() >= self._due:
                if self._identity != identity(self._file):
                    raise NoBoots(f"{self._file} was replaced while netbootd runs")
                self._save(connection)
                self._prune(connection)

    def _piece(self) -> _Asked | _Stir | None:
        """The next thing to do, or that it is time to write."""
        wait = None if self._due is None else max(0.0, self._due - time.monotonic())
        try:
            piece = self._work.get(timeout=wait)
        except queue.Empty:
            return _Stir()
        if isinstance(piece, _Stir) and self._due is None:
            self._due = time.monotonic() + self._pause
        return piece

    def _wait_out(self) -> bool:
        """A while without the disk: whoever asks is told; False when closed."""
        until = time.monotonic() + _RETRY_S
        while (left := until - time.monotonic()) > 0:
            try:
                piece = self._work.get(timeout=left)
            except queue.Empty:
                break
            if piece is None:
                return False
            if isinstance(piece, _Asked):
                piece.told(NoBoots(self._trouble))
        self._due = time.monotonic()
        return True

    def _answer(self, asked: _Asked, connection: sqlite3.Connection) -> None:
        try:
            found = asked.ask(connection)
        except sqlite3.Error as problem:
            asked.told(NoBoots(f"{self._file}: {problem}"))
            raise
        asked.told(found)

    def _save(self, connection: sqlite3.Connection) -> None:
        began = time.monotonic()
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
            moves, self._moves = self._moves, {}
            following = self._next
        try:
            database.write(connection, self._rows(unsaved.values()), moves, following)
        except BaseException:
            with self._lock:  # what has changed since counts
                self._unsaved = {**unsaved, **self._unsaved}
                self._moves = {**moves, **self._moves}
            raise
        self._due = None
        self._pause = min(max(_SOON_S, _PART * (time.monotonic() - began)), _LATEST_S)

    def _rows(self, unsaved: Iterable[Unsaved]) -> list[Row]:
        """With rests, unless all waits for us: the reactor goes before."""
        return [one.row for one in (unsaved if self._closing else unhurried(unsaved))]

    def _prune(self, connection: sqlite3.Connection) -> None:
        if time.monotonic() >= self._pruned_at + _PRUNE_S:
            self._pruned_at = time.monotonic()
            now = self._ages.now(database.newest(connection))
            database.prune(connection, self.settings, now)

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._troubled(trouble)
