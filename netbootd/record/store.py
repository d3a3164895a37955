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
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from netbootd import sqlitefile
from netbootd.record import database, outside
from netbootd.record.database import FILE, LOST, STANDING, STYLE, Loaded, NoRecord
from netbootd.record.outside import Order
from netbootd.record.standing import Standing
from netbootd.record.styles import Worked
from netbootd.record.waiting import Waiting
from netbootd.sqlitefile import set_aside

_LOOK_S = 0.25  # how often the daemon looks for orders
#: What is kept within so long is written together: in a storm each write wakes this thread, which
#: the reactor waits for.  Nobody who needs it on the disk waits for this.
_TOGETHER_S = 0.1
_PATIENCE_S = 2.0


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
        self._waiting = Waiting()
        self._done: set[int] = set()  # orders that are carried out
        self._news = threading.Event()  # there is something to write
        self._hurry = threading.Event()  # somebody waits for it
        self._closing = False
        self._asked = 0  # how often somebody wanted all on the disk
        self._settled = 0  # which of these times it was
        self._settling = threading.Condition()
        self._seen = 0  # the last order that was handed over
        self._trouble = ""

    def load(self) -> Loaded:
        """What is on disk, before the thread starts.  Raises NoRecord."""
        try:
            loaded = self._load()
        except NoRecord as problem:
            self._trouble = str(problem)
            raise
        self._take_over(loaded)
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

    def _take_over(self, loaded: Loaded) -> None:
        self._waiting.found(STANDING, loaded.standings)
        self._waiting.found(STYLE, loaded.styles)
        self._loaded = True

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
        self._waiting.keep((STANDING, key), standing)
        self._news.set()

    def keep_style(self, key: str, worked: Worked | None) -> None:
        """Likewise, what a kind of firmware follows."""
        self._waiting.keep((STYLE, key), worked)
        self._news.set()

    def taken(self, order: Order) -> None:
        """The order is carried out; what was kept before this call is written with it."""
        self._done.add(order.number)
        self._news.set()

    def settle(self) -> bool:
        """Wait until all that was kept is on disk; False if that takes longer than one would."""
        with self._settling:
            self._asked += 1
            mine = self._asked
            self._wake()
            return self._settling.wait_for(lambda: self._settled >= mine, _PATIENCE_S)

    def close(self) -> None:
        """Write what is left and end."""
        self._closing = True
        self._wake()
        self.join(10)

    def _wake(self) -> None:
        self._hurry.set()
        self._news.set()

    def run(self) -> None:
        """Until closed; a disk that fails is tried again and again."""
        going = True
        while going:
            going = self._wait()
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
            loaded = database.load(connection)
            self._take_over(loaded)
            self._found(loaded)
        elif self._identity != sqlitefile.identity(self._folder / FILE):
            database.load(connection)  # makes its secret
            self._seen = 0
            self._found(None)
        self._identity = sqlitefile.identity(self._folder / FILE)

    def _serve(self, connection: sqlite3.Connection) -> bool:
        """With the file open: write what comes, hand over orders; False when closed."""
        self._look(connection)
        while self._wait():
            self._save(connection)
            self._look(connection)
        return False

    def _wait(self) -> bool:
        """For something to write, and a little for what comes with it; False when closed."""
        if self._news.wait(_LOOK_S):
            self._hurry.wait(_TOGETHER_S)
        # Cleared before anything is taken: what is kept from here on is news again.
        self._news.clear()
        self._hurry.clear()
        return not self._closing

    def _save(self, connection: sqlite3.Connection) -> None:
        """Write all that waits; the orders first looked at, so all that they changed is with it."""
        asked, done = self._asked, set(self._done)
        unsaved = self._waiting.take()
        if unsaved or done:
            database.write(connection, unsaved, done)
            self._waiting.written()
            self._done -= done
        with self._settling:
            self._settled = asked
            self._settling.notify_all()

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
