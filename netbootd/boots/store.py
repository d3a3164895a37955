"""
The record of boots on disk: SQLite in the state folder, in a thread of its own.

A boot is a row, written again when it has changed, at most ``_SOON_S`` after that; with WAL and
``synchronous = NORMAL`` a killed daemon loses what it did not write yet, and a power failure at
most the last transactions, never the file (https://www.sqlite.org/pragma.html#pragma_synchronous).

A disk that is full or gone costs the memory over a restart, never a boot: what was not written is
kept, the newest of it, and tried again.  A file that is broken is set aside, and a new one begun.
"""

from __future__ import annotations

import contextlib
import json
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from netbootd.boots.boot import Boot
from netbootd.config import Boots
from netbootd.errors import NetbootdError

FILE = "boots.sqlite"
_VERSION = 1  # PRAGMA user_version of the tables below
_TABLES = """
CREATE TABLE IF NOT EXISTS boot (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL, began REAL NOT NULL, last REAL NOT NULL,
    known INTEGER NOT NULL, value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS boot_key ON boot (key, number);
CREATE INDEX IF NOT EXISTS boot_began ON boot (began);
CREATE TABLE IF NOT EXISTS counter (next INTEGER NOT NULL, clean INTEGER NOT NULL);
"""
_BUSY_S = 5.0  # how long one waits for another's lock
_SOON_S = 0.25
_RETRY_S = 1.0  # a disk that failed is tried again this often
_PRUNE_S = 60.0
_PATIENCE_S = 10.0
#: Boots that wait for a disk that is full; the oldest is given up first.
MOST_UNSAVED = 16384
_PRUNED_AT_ONCE = 1000
#: Of the boots that are kept, those of machines that are not listed are this part.
_STRANGERS_SHARE = 10
#: Numbers that may have been given and not written when the daemon was killed.
_SKIPPED = 100
#: Rows read at the start.
MOST_LATEST = 16384
MOST_RECENT = 2048


class NoBoots(NetbootdError):
    """The file of boots cannot be used; the text says why."""


class Loaded(NamedTuple):
    """What was on disk: *boots* newest first, and the *number* of the next."""

    boots: list[Boot]
    number: int


class _Unsaved(NamedTuple):
    boot: Boot
    known: bool


class _Asked(NamedTuple):
    """*ask* is called with the file open, *told* with its answer or with what went wrong."""

    ask: Callable[[sqlite3.Connection], list[Boot]]
    told: Callable[[list[Boot] | NoBoots], None]


class _Stir:
    """There is something to write."""


# -- the file --------------------------------------------------------------------------------------


def _connect(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = not file.exists()
    connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
    try:
        if new:
            file.chmod(0o600)  # answers of nodes stand in it
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise NoBoots(f"{file}: it was written by a newer netbootd")
        if version < _VERSION:
            connection.executescript(f"{_TABLES} PRAGMA user_version = {_VERSION};")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_broken(problem: sqlite3.Error) -> bool:
    """Whether the file itself is no database any more (https://www.sqlite.org/rescode.html)."""
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def _set_aside(file: Path) -> Path:
    """Rename a broken *file*; one that was set aside before is given up for it."""
    broken = file.with_name(f"{file.name}.broken")
    file.replace(broken)
    for ending in ("-wal", "-shm"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
    return broken


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a full disk may have ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _load(connection: sqlite3.Connection) -> Loaded:
    """The latest boot of each machine and the last ones of all, newest first."""
    latest = connection.execute(
        "SELECT number, value FROM boot WHERE number IN "
        "(SELECT max(number) FROM boot GROUP BY key) ORDER BY number DESC LIMIT ?",
        (MOST_LATEST,),
    )
    rows = dict(latest.fetchall())
    recent = connection.execute(
        "SELECT number, value FROM boot ORDER BY number DESC LIMIT ?", (MOST_RECENT,)
    )
    rows |= dict(recent.fetchall())
    boots = _decoded(value for _, value in sorted(rows.items(), reverse=True))
    return Loaded(boots, _number(connection))


def _number(connection: sqlite3.Connection) -> int:
    """The next number, which nothing had before; from now on the file is in use."""
    with _transaction(connection):
        highest = connection.execute("SELECT max(number) FROM boot").fetchone()[0] or 0
        row = connection.execute("SELECT next, clean FROM counter").fetchone()
        number, clean = row or (1, 1)
        number = max(number if clean else number + _SKIPPED, highest + 1)
        connection.execute("DELETE FROM counter")
        connection.execute("INSERT INTO counter VALUES (?, 0)", (number,))
    return int(number)


def _decoded(values: Iterable[str]) -> list[Boot]:
    boots = []
    for value in values:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):  # a garbled one
            boots.append(Boot.of_dict(json.loads(value)))
    return boots


# -- the thread ------------------------------------------------------------------------------------


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
        self._now = now
        self._troubled, self._warned, self._renewed = troubled, warned, renewed
        self._lock = threading.Lock()
        self._unsaved: dict[int, _Unsaved] = {}
        self._next = 0
        self._moves: dict[str, str] = {}
        self._work: queue.SimpleQueue[_Asked | _Stir | None] = queue.SimpleQueue()
        self._due: float | None = None
        self._pruned_at = 0.0
        self._trouble = ""
        self._identity: tuple[int, int] | None = None

    def load(self) -> Loaded:
        """What is on disk, before the thread starts.  Raises NoBoots."""
        try:
            return self._loaded()
        except sqlite3.DatabaseError as problem:
            if not _is_broken(problem):
                raise self._no_boots(problem) from None
            self._replace(problem)
        except OSError as problem:
            raise self._no_boots(problem) from None
        try:
            return self._loaded()
        except (OSError, sqlite3.Error) as problem:
            raise self._no_boots(problem) from None

    def _loaded(self) -> Loaded:
        with contextlib.closing(_connect(self._file)) as connection:
            loaded = _load(connection)
        self._identity = self._seen()
        self._next = loaded.number
        return loaded

    def _replace(self, problem: sqlite3.Error) -> None:
        try:
            broken = _set_aside(self._file)
        except OSError as other:
            raise self._no_boots(other) from None
        self._warned(f"{self._file} is broken ({problem}); it is {broken} now, and a new one begun")

    def _no_boots(self, problem: Exception) -> NoBoots:
        self._trouble = f"{self._file}: {problem}"
        return NoBoots(self._trouble)

    # -- called by others ----------------------------------------------------------------------

    def keep(self, boot: Boot, *, known: bool = True) -> None:
        """Write *boot* soon; *known*: its machine is listed."""
        with self._lock:
            first = not self._unsaved
            self._unsaved.pop(boot.number, None)
            self._unsaved[boot.number] = _Unsaved(boot, known)
            self._next = max(self._next, boot.number + 1)
            if len(self._unsaved) > MOST_UNSAVED:
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
            return _decoded(row[0] for row in connection.execute(query, values))

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
                    self._report("")
                    going = self._serve(connection)
            except NoBoots as problem:
                self._report(str(problem))
            except (OSError, sqlite3.Error) as problem:
                self._report(f"{self._file}: {problem}")
                if isinstance(problem, sqlite3.Error) and _is_broken(problem):
                    with contextlib.suppress(NoBoots):
                        self._replace(problem)
            if going and self._trouble:
                going = self._wait_out()

    def _open(self) -> sqlite3.Connection:
        connection = _connect(self._file)
        if self._identity != (seen := self._seen()):
            if self._identity is not None or self._trouble:
                self._renewed()
            self._identity = seen
        return connection

    def _seen(self) -> tuple[int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _serve(self, connection: sqlite3.Connection) -> bool:
        """With the file open; False when closed."""
        while True:
            piece = self._piece()
            if piece is None:
                self._save(connection)
                connection.execute("UPDATE counter SET clean = 1")
                return False
            if isinstance(piece, _Asked):
                self._answer(piece, connection)
            if self._due is not None and time.monotonic() >= self._due:
                if self._identity != self._seen():
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
            self._due = time.monotonic() + _SOON_S
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
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
            moves, self._moves = self._moves, {}
            following = self._next
        try:
            if unsaved or moves:
                self._write(connection, unsaved, moves, following)
        except BaseException:
            with self._lock:  # what has changed since counts
                self._unsaved = {**unsaved, **self._unsaved}
                self._moves = {**moves, **self._moves}
            raise
        self._due = None

    def _write(
        self,
        connection: sqlite3.Connection,
        unsaved: dict[int, _Unsaved],
        moves: dict[str, str],
        following: int,
    ) -> None:
        with _transaction(connection):
            for old, new in moves.items():
                connection.execute(
                    "UPDATE boot SET key = ?, value = json_set(value, '$.key', ?) WHERE key = ?",
                    (new, new, old),
                )
            connection.executemany(
                "INSERT OR REPLACE INTO boot VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (boot.number, boot.key, boot.began, boot.last, known, encode(boot))
                    for boot, known in unsaved.values()
                ),
            )
            connection.execute("UPDATE counter SET next = max(next, ?)", (following,))

    def _prune(self, connection: sqlite3.Connection) -> None:
        """By age and by number; a little at a time, so that writing never waits long."""
        if time.monotonic() < self._pruned_at + _PRUNE_S:
            return
        self._pruned_at = time.monotonic()
        settings = self.settings
        too_old = self._now() - settings.days * 86400
        while connection.execute(
            "DELETE FROM boot WHERE number IN (SELECT number FROM boot WHERE began < ? LIMIT ?)",
            (too_old, _PRUNED_AT_ONCE),
        ).rowcount:
            pass
        self._prune_to(connection, settings.kept // _STRANGERS_SHARE, known=0)
        self._prune_to(connection, settings.kept, known=1)

    @staticmethod
    def _prune_to(connection: sqlite3.Connection, kept: int, *, known: int) -> None:
        """Delete the oldest rows beyond *kept*: of strangers with *known* 0, else of all."""
        counted = connection.execute("SELECT count(*) FROM boot WHERE known <= ?", (known,))
        count = counted.fetchone()[0]
        while count > kept:
            some = min(count - kept, _PRUNED_AT_ONCE)
            connection.execute(
                "DELETE FROM boot WHERE number IN "
                "(SELECT number FROM boot WHERE known <= ? ORDER BY number LIMIT ?)",
                (known, some),
            )
            count -= some

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._troubled(trouble)


def encode(boot: Boot) -> str:
    """As ``Boot.of_dict`` reads it after json.loads."""
    return json.dumps(boot.as_dict(), separators=(",", ":"))
