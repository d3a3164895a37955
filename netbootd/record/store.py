"""
The record on disk: SQLite in the state folder, in a thread of its own.

The daemon is the only one that changes standings; commands (``netbootd next``, ``release``) leave
an order in the same file, which the daemon takes within a quarter of a second, or at its next
start.  So there is one writer of each table, and a command needs neither a password nor a running
daemon: who may write the file may give orders.

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
import json
import os
import pwd
import queue
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from netbootd import privilege, sqlitefile
from netbootd.errors import NetbootdError
from netbootd.record.coding import decode, decode_style, encode, encode_style, known, members
from netbootd.record.standing import Armed, Standing
from netbootd.record.styles import Worked
from netbootd.sqlitefile import is_broken, set_aside, transaction

FILE = "record.sqlite"
#: What says that the record was lost; its text says how.
LOST = "record.lost"
_VERSION = 2  # PRAGMA user_version of the tables below; 1 had no styles
_STANDING, _STYLE = "standing", "style"
_TABLES = """
CREATE TABLE IF NOT EXISTS standing (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS style (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY AUTOINCREMENT, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS secret (value BLOB NOT NULL);
"""
_LOOK_S = 0.25  # how often the daemon looks for orders
#: What is kept within so long is written together: in a storm each write wakes this thread, which
#: the reactor waits for.  Nobody who needs it on the disk waits for this.
_TOGETHER_S = 0.1
_MOST_AT_ONCE = 500
_PATIENCE_S = 2.0


class NoRecord(NetbootdError):
    """
    The state folder cannot be used; the text says why, and what to do.  *broken*: its file is no
    database any more.
    """

    def __init__(self, text: str, *, broken: bool = False) -> None:
        super().__init__(text)
        self.broken = broken


class Order(NamedTuple):
    """
    What a command asks of the daemon: *verb* ``next``, ``cancel`` or ``release`` for *key*, or
    ``release-all``; ``forget-style`` for the kind of firmware *key*, or ``forget-styles``.  *by* is
    who gave it, as far as he says.
    """

    number: int
    verb: str
    key: str
    armed: Armed | None = None
    by: str = ""


class Loaded(NamedTuple):
    """What was on disk at the start."""

    standings: dict[str, Standing]
    secret: bytes
    styles: dict[str, Worked]


# -- the file --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open(folder: Path) -> Iterator[sqlite3.Connection]:
    try:
        connected = sqlitefile.connect(folder / FILE, _TABLES, _VERSION)
        with contextlib.closing(connected) as connection:
            yield connection
    except (OSError, sqlite3.Error) as problem:
        told = f'{folder / FILE}: {problem}; "state" names the folder'
        raise NoRecord(told, broken=is_broken(problem)) from None


def _load(connection: sqlite3.Connection) -> Loaded:
    with transaction(connection):
        found = connection.execute("SELECT value FROM secret").fetchone()
        secret = found[0] if found else secrets.token_bytes(32)
        if not found:
            connection.execute("INSERT INTO secret VALUES (?)", (secret,))
        return Loaded(_standings(connection), secret, _styles(connection))


def _standings(connection: sqlite3.Connection) -> dict[str, Standing]:
    return _rows(connection.execute("SELECT key, value FROM standing"), decode)


def _styles(connection: sqlite3.Connection) -> dict[str, Worked]:
    return _rows(connection.execute("SELECT key, value FROM style"), decode_style)


def _rows(rows: Iterable[tuple[str, str]], decode_one: Callable[[str], Any]) -> dict[str, Any]:
    found = {}
    for key, value in rows:
        with contextlib.suppress(ValueError, TypeError, AttributeError):  # one that is garbled
            found[key] = decode_one(value)
    return found


# -- for commands ----------------------------------------------------------------------------------


def read(folder: Path) -> dict[str, Standing]:
    """All standings, for a command that shows them; none where there is no record yet."""
    if not (folder / FILE).exists():
        return {}
    with _acting_as_owner(folder), _open(folder) as connection:
        return _standings(connection)


def read_styles(folder: Path) -> dict[str, Worked]:
    """What was learned of reply styles, by kind; nothing where there is no record yet."""
    if not (folder / FILE).exists():
        return {}
    with _acting_as_owner(folder), _open(folder) as connection:
        return _styles(connection)


def give(folder: Path, verb: str, key: str, armed: Armed | None = None) -> int:
    """Leave an order for the daemon; its number.  Raises NoRecord."""
    if not folder.is_dir():
        raise NoRecord(f"{folder}: there is no such folder; has netbootd run with this file yet?")
    said = {"verb": verb, "key": key, "armed": members(armed) if armed else None, "by": _myself()}
    value = json.dumps(said)
    with _acting_as_owner(folder), _open(folder) as connection:
        with transaction(connection):
            made = connection.execute("INSERT INTO orders (value) VALUES (?)", (value,))
        return made.lastrowid or 0


def _myself() -> str:
    """Whose process this is."""
    uid = os.getuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name} (user {uid})"
    except KeyError:
        return f"user {uid}"


def waits(folder: Path, number: int) -> bool:
    """Whether the daemon has not yet taken order *number*."""
    with _acting_as_owner(folder), _open(folder) as connection:
        found = connection.execute("SELECT 1 FROM orders WHERE id = ?", (number,)).fetchone()
        return found is not None


@contextlib.contextmanager
def _acting_as_owner(folder: Path) -> Iterator[None]:
    """
    As root, be the state folder's owner meanwhile.

    SQLite makes files beside its own; were they root's, the daemon could not open them.
    """
    try:
        owner = folder.stat()
    except FileNotFoundError:
        yield
        return
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    # Whoever runs as that user may get there by a right of its own.
    with privilege.acting_as(owner.st_uid, owner.st_gid, reading=True):
        yield


# -- for the daemon --------------------------------------------------------------------------------


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
            with _open(self._folder) as connection:
                return _load(connection)
        except NoRecord as problem:
            if not problem.broken:
                raise
            self._replace(problem)
        with _open(self._folder) as connection:
            return _load(connection)

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
        self._work.put(_Kept(_STANDING, key, standing))

    def keep_style(self, key: str, worked: Worked | None) -> None:
        """Likewise, what a kind of firmware follows."""
        self._work.put(_Kept(_STYLE, key, worked))

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
                with _open(self._folder) as connection:
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
            self._found(_load(connection))
            self._loaded = True
        elif self._identity != sqlitefile.identity(self._folder / FILE):
            _load(connection)  # makes its secret
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
        with transaction(connection):
            for table in (_STANDING, _STYLE):
                mine = [(key, one) for (of, key), one in self._unsaved.items() if of == table]
                connection.executemany(
                    f"INSERT OR REPLACE INTO {table} VALUES (?, ?)",  # noqa: S608  our own words
                    ((key, _encoded(one)) for key, one in mine if one is not None),
                )
                connection.executemany(
                    f"DELETE FROM {table} WHERE key = ?",  # noqa: S608
                    ((key,) for key, one in mine if one is None),
                )
            connection.executemany(
                "DELETE FROM orders WHERE id = ?", ((number,) for number in self._done)
            )
        self._unsaved.clear()
        self._done.clear()

    def _look(self, connection: sqlite3.Connection) -> None:
        if sqlitefile.identity(self._folder / FILE) != self._identity:
            raise NoRecord(f"{self._folder / FILE} was replaced while netbootd runs")
        rows = connection.execute(
            "SELECT id, value FROM orders WHERE id > ? ORDER BY id", (self._seen,)
        ).fetchall()
        if rows:
            self._seen = rows[-1][0]
            self._ordered([_order(number, value) for number, value in rows])

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._troubled(trouble)


def _encoded(value: Standing | Worked) -> str:
    return encode(value) if isinstance(value, Standing) else encode_style(value)


def _order(number: int, value: str) -> Order:
    try:
        given = json.loads(value)
        armed = given.get("armed")
        return Order(
            number,
            str(given["verb"]),
            str(given["key"]),
            Armed(**{**known(Armed, armed), "order": number}) if armed else None,
            str(given.get("by", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Order(number, "garbled", "")
