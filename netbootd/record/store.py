"""
The record on disk, kept and looked after in a thread of its own.

A disk that is full or gone while the daemon runs costs the memory over a restart, never a boot: the
reactor's side keeps everything in memory and is told of the trouble.  What cannot be read at the
start is not taken for nothing: it is read later, and until then what is to be booted once waits
(``Record.unread``).

A file that is broken is set aside and a new one begun.  While the daemon runs nothing is lost by
that; at the start all is, and a file ``record.lost`` says so until an operator removes it:
meanwhile machines of which nothing is known do not boot what is to be booted once
(``Record.lost``).
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from netbootd import sqlitefile
from netbootd.record import database, outside
from netbootd.record.database import FILE, LOST, STANDING, STYLE, Loaded, NoRecord
from netbootd.record.outside import Order
from netbootd.record.standing import Standing
from netbootd.record.styles import Worked
from netbootd.sqlitefile import set_aside

_LOOK_S = 0.25  # how often the daemon looks for orders
#: What is kept within so long is written together: in a storm each write wakes this thread, which
#: the reactor waits for.  Nobody who needs it on the disk waits for this.
_TOGETHER_S = 0.1
_MOST_AT_ONCE = 500
_PATIENCE_S = 2.0


class _Kept(NamedTuple):
    table: str
    key: str
    value: Standing | Worked | None


class _Taken(NamedTuple):
    number: int


class Store(threading.Thread):
    """
    Keeps standings and learned reply styles on disk, and looks for orders.

    All are called in this thread: *ordered* with the orders that are new, *troubled* with
    what is wrong with the disk (empty once it is well again), *found* with what is there when it
    could not be read at the start, and with None when the file is another than before: then all
    that is known has to be kept anew; *warned* with what an operator should know once.
    """

    def __init__(
        self,
        folder: Path,
        ordered: Callable[[list[Order]], None],
        troubled: Callable[[str], None],
        found: Callable[[Loaded | None], None],
        warned: Callable[[str], None],
    ) -> None:
        super().__init__(name="netbootd-record", daemon=True)
        self._folder = folder
        self._ordered = ordered
        self._troubled = troubled
        self._found = found
        self._warned = warned
        self._loaded = False
        self._identity: tuple[int, int] | None = None
        self._work: queue.SimpleQueue[_Kept | _Taken | threading.Event | None]
        self._work = queue.SimpleQueue()
        self._waiting: list[threading.Event] = []
        self._hurry = threading.Event()  # somebody waits
        self._unsaved: dict[tuple[str, str], Standing | Worked | None] = {}
        self._done: set[int] = set()
        self._seen = 0  # the last order that was handed over
        self._trouble = ""

    def load(self) -> Loaded:
        """What is on disk, before the thread starts.  Raises NoRecord."""
        try:
            loaded = self._load()
        except NoRecord as problem:
            self._trouble = str(problem)
            raise
        self._loaded = True
        self._identity = sqlitefile.identity(self._folder / FILE)
        return loaded

    def _load(self) -> Loaded:
        try:
            with database.opened(self._folder) as connection:
                return database.load(connection)
        except NoRecord as problem:
            if not problem.broken:
                raise
            self._replace(problem)
        with database.opened(self._folder) as connection:
            return database.load(connection)

    def _replace(self, problem: NoRecord) -> None:
        """Set the broken file aside; where nothing of it was read, that is written down first."""
        file = self._folder / FILE
        try:
            if not self._loaded:
                (self._folder / LOST).write_text(f"{problem}\n")
            broken = set_aside(file)
        except OSError as other:
            raise NoRecord(f"{file}: {other}") from None
        self._warned(f"{problem}; it is {broken} now, and a new one begun")

    def keep(self, key: str, standing: Standing | None) -> None:
        """Write it soon; None: forget it."""
        self._work.put(_Kept(STANDING, key, standing))

    def keep_style(self, key: str, worked: Worked | None) -> None:
        """Likewise, what a kind of firmware follows."""
        self._work.put(_Kept(STYLE, key, worked))

    def taken(self, order: Order) -> None:
        """The order is carried out; what was kept before this call is written with it."""
        self._work.put(_Taken(order.number))

    def settle(self) -> bool:
        """Wait until all that was kept is on disk; False if that takes longer than one would."""
        done = threading.Event()
        self._work.put(done)
        self._hurry.set()
        return done.wait(_PATIENCE_S)

    def close(self) -> None:
        """Write what is left and end."""
        self._work.put(None)
        self._hurry.set()
        self.join(10)

    def run(self) -> None:
        """Until closed; a disk that fails is tried again and again."""
        going = True
        while going:
            going = self._collect()
            try:
                with database.opened(self._folder) as connection:
                    self._begin(connection)
                    self._save(connection)
                    self._report("")
                    going = going and self._serve(connection)
                    self._save(connection)
            except NoRecord as problem:
                self._report(str(problem))
                if problem.broken:
                    with contextlib.suppress(NoRecord):
                        self._replace(problem)

    def _begin(self, connection: sqlite3.Connection) -> None:
        """What is to be done with a file that was just opened."""
        if not self._loaded:
            self._found(database.load(connection))
            self._loaded = True
        elif self._identity != sqlitefile.identity(self._folder / FILE):
            database.load(connection)  # makes its secret
            self._seen = 0
            self._found(None)
        self._identity = sqlitefile.identity(self._folder / FILE)

    def _serve(self, connection: sqlite3.Connection) -> bool:
        """With the file open: write what comes, hand over orders; False when closed."""
        self._look(connection)
        while self._collect():
            self._save(connection)
            self._look(connection)
        return False

    def _collect(self) -> bool:
        """
        Take what there is to do, waiting a little for the first, and for what comes with it; False
        when closed.
        """
        wait = _LOOK_S
        for _ in range(_MOST_AT_ONCE):
            try:
                piece = self._work.get(timeout=wait)
            except queue.Empty:
                break
            if wait and isinstance(piece, _Kept):
                self._hurry.wait(_TOGETHER_S)
            wait = 0.0
            if piece is None:
                return False
            if isinstance(piece, _Kept):
                self._unsaved[piece.table, piece.key] = piece.value
            elif isinstance(piece, threading.Event):
                self._waiting.append(piece)
            else:
                self._done.add(piece.number)
        return True

    def _save(self, connection: sqlite3.Connection) -> None:
        if self._unsaved or self._done:
            self._write(connection)
        if self._waiting:
            self._hurry.clear()
        while self._waiting:
            self._waiting.pop().set()

    def _write(self, connection: sqlite3.Connection) -> None:
        database.write(connection, self._unsaved, self._done)
        self._unsaved.clear()
        self._done.clear()

    def _look(self, connection: sqlite3.Connection) -> None:
        if sqlitefile.identity(self._folder / FILE) != self._identity:
            raise NoRecord(f"{self._folder / FILE} was replaced while netbootd runs")
        if given := outside.after(connection, self._seen):
            self._seen = given[-1].number
            self._ordered(given)

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._troubled(trouble)
