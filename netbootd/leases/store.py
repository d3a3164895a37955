"""
The leases on disk, written in a thread of its own.

What waits is written together, in the order it came, and nobody is told that a lease is on disk
before it is: a daemon that is killed has forgotten nothing that a client was promised.  A disk that
is full or cannot be written says no at once, until a try each second goes well; then, and when the
file was lost, all that is in memory is to be written anew.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from netbootd import sqlitefile
from netbootd.errors import NetbootdError
from netbootd.leases import database
from netbootd.leases.database import FILE, Clock, Reading
from netbootd.leases.lease import Lease, State
from netbootd.sqlitefile import is_broken, set_aside

Then = Callable[[bool], None]
_MOST_AT_ONCE = 512
_RETRY_S = 1.0
_PATIENCE_S = 10.0
#: How often the clocks are looked at where nothing is written, and how far the wall clock must
#: have been set to be written down.
_LOOK_S = 60.0
_STEP_S = 1.0


class NoLeases(NetbootdError):
    """The file of leases cannot be read; the text says why."""


class _Piece(NamedTuple):
    leases: Sequence[Lease]
    then: Then


def tell_each(thens: Sequence[Then], ok: bool) -> None:
    """Call all of *thens* with *ok*."""
    for then in thens:
        then(ok)


class Store(threading.Thread):
    """
    Keeps leases on disk.

    All of these are called in the store's thread.  *told* with the callbacks of what was written
    together, in their order, and whether it is on disk; *troubled* with what is wrong with the
    disk, empty once it is well again; *warned* with what an operator should know once; *found* with
    what is there, where it could not be read at the start; *renewed* where the file is a new one,
    or was out of reach for a while: then all that is in memory is to be written.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        troubled: Callable[[str], None],
        warned: Callable[[str], None],
        found: Callable[[list[Lease]], None],
        renewed: Callable[[], None],
        told: Callable[[Sequence[Then], bool], None] = tell_each,
    ) -> None:
        super().__init__(name="netbootd-leases", daemon=True)
        self._file = folder / FILE
        self._clock = clock
        self._troubled, self._warned = troubled, warned
        self._found, self._renewed, self._told = found, renewed, told
        self._work: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._loaded = False
        self._closing = False
        self._trouble = ""
        self._identity: tuple[int, int] | None = None
        self._noted = clock.read()

    @property
    def trouble(self) -> str:
        """What is wrong with the disk, empty where nothing is."""
        return self._trouble

    def load(self) -> list[Lease]:
        """
        What is on disk, in the order it was written, before the thread starts.  Raises NoLeases;
        what cannot be written but read is returned, and is a trouble.
        """
        try:
            return self._load()
        except (OSError, sqlite3.Error) as problem:
            if is_broken(problem):
                return self._begin_anew(problem)
            self._report(f"{self._file}: {problem}")
        return self._read()

    def _load(self) -> list[Lease]:
        with closing(self._open()) as connection:
            leases = database.load(connection, self._clock.read())
        self._loaded = True
        return leases

    def _begin_anew(self, problem: Exception) -> list[Lease]:
        try:
            self._replace(problem)
            return self._load()
        except (OSError, sqlite3.Error) as other:
            self._report(f"{self._file}: {other}")
            raise NoLeases(self._trouble) from None

    def _read(self) -> list[Lease]:
        try:
            leases = database.read(self._file, self._clock.read())
        except FileNotFoundError:
            leases = []
        except (OSError, sqlite3.Error):
            raise NoLeases(self._trouble) from None
        self._loaded = True
        return leases

    def _replace(self, problem: Exception) -> None:
        broken = set_aside(self._file)
        self._warned(f"{self._file} is broken ({problem}); it is {broken} now, and a new one begun")

    # -- called by others ----------------------------------------------------------------------

    def write(self, leases: Sequence[Lease], then: Then) -> None:
        """
        Write *leases*, all or none, after what was given before; *then* with whether they are on
        disk.  Offers are in memory alone.
        """
        self._work.put(_Piece(leases, then))

    def close(self) -> None:
        """Write what is left and end."""
        self._work.put(None)
        if self.is_alive():
            self.join(_PATIENCE_S)

    # -- in the thread -------------------------------------------------------------------------

    def run(self) -> None:
        """Until closed; a disk that fails is tried again and again."""
        while not self._closing:
            try:
                with closing(self._open()) as connection:
                    self._welcome(connection)
                    self._serve(connection)
            except Exception as problem:  # the disk's, or ours: it must not end without a word
                self._report(f"{self._file}: {problem}")
                if is_broken(problem):
                    with suppress(OSError):
                        self._replace(problem)
                self._refuse()

    def _open(self) -> sqlite3.Connection:
        connection = database.connect(self._file)
        identity = sqlitefile.identity(self._file)
        if self._identity is None:
            self._identity = identity
        return connection

    def _welcome(self, connection: sqlite3.Connection) -> None:
        """The file was just opened: what there is to do with it before anything else."""
        identity = sqlitefile.identity(self._file)
        anew = bool(self._trouble) or self._identity != identity
        self._identity = identity
        if anew:  # after an error, what is in the page cache need not be what is on disk
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        now = self._clock.read()
        if self._loaded:
            database.settle(connection, now)
        else:
            leases = database.load(connection, now)
            self._loaded = True
            self._found(leases)
        self._noted = now
        database.prune(connection)
        if anew:
            self._renewed()

    def _serve(self, connection: sqlite3.Connection) -> None:
        """With the file open, until closed."""
        while not self._closing:
            pieces = self._collect(_RETRY_S if self._trouble else _LOOK_S)
            now = self._clock.read()
            if pieces:
                self._write(connection, pieces, now)
            elif self._trouble or self._stepped(now):
                database.note(connection, now)
            self._noted = now
            self._report("")

    def _collect(self, wait: float) -> list[_Piece]:
        """What waits, after *wait* seconds for the first."""
        pieces: list[_Piece] = []
        with suppress(queue.Empty):
            piece = self._work.get(timeout=wait)
            while piece is not None:
                pieces.append(piece)
                if len(pieces) >= _MOST_AT_ONCE:
                    return pieces
                piece = self._work.get_nowait()
            self._closing = True
        return pieces

    def _write(self, connection: sqlite3.Connection, pieces: list[_Piece], now: Reading) -> None:
        thens = [piece.then for piece in pieces]
        try:
            if self._identity != sqlitefile.identity(self._file):
                raise OSError("it was replaced while netbootd runs")
            database.write(connection, _rows(pieces), now)
        except BaseException as problem:
            self._report(f"{self._file}: {problem}")  # first, so that nobody asks at once again
            self._told(thens, False)
            raise
        self._told(thens, True)

    def _refuse(self) -> None:
        """For a while there is no disk; whoever asks is told so."""
        until = time.monotonic() + _RETRY_S
        while not self._closing and (left := until - time.monotonic()) > 0:
            if pieces := self._collect(left):
                self._told([piece.then for piece in pieces], False)

    def _stepped(self, now: Reading) -> bool:
        """Whether somebody set the wall clock since the clocks were last looked at."""
        passed = now.boottime - self._noted.boottime
        return abs(now.wall - self._noted.wall - passed) > _STEP_S

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._troubled(trouble)


def _rows(pieces: list[_Piece]) -> list[Lease]:
    return [one for piece in pieces for one in piece.leases if one.state is not State.OFFERED]
