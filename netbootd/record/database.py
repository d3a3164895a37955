"""
The file of the record: its tables, and what is read from and written to them.

The daemon is the only one that changes standings; commands (``netbootd next``, ``release``) leave
an order in the same file.  So there is one writer of each table.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from netbootd import sqlitefile
from netbootd.errors import NetbootdError
from netbootd.record.coding import decode, decode_style, encode, encode_style
from netbootd.record.standing import Standing
from netbootd.record.styles import Worked
from netbootd.sqlitefile import is_broken, transaction

FILE = "record.sqlite"
#: What says that the record was lost; its text says how.
LOST = "record.lost"
_VERSION = 2  # PRAGMA user_version of the tables below; 1 had no styles
STANDING, STYLE = "standing", "style"
_TABLES = """
CREATE TABLE IF NOT EXISTS standing (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS style (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY AUTOINCREMENT, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS secret (value BLOB NOT NULL);
"""


class NoRecord(NetbootdError):
    """
    The state folder cannot be used; the text says why, and what to do.  *broken*: its file is no
    database any more.
    """

    def __init__(self, text: str, *, broken: bool = False) -> None:
        super().__init__(text)
        self.broken = broken


class Loaded(NamedTuple):
    """What was on disk at the start."""

    standings: dict[str, Standing]
    secret: bytes
    styles: dict[str, Worked]


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """The file in *folder*, made where there is none.  What fails inside is NoRecord, too."""
    try:
        connected = sqlitefile.connect(folder / FILE, _TABLES, _VERSION)
        with contextlib.closing(connected) as connection:
            yield connection
    except (OSError, sqlite3.Error) as problem:
        told = f'{folder / FILE}: {problem}; "state" names the folder'
        raise NoRecord(told, broken=is_broken(problem)) from None


def load(connection: sqlite3.Connection) -> Loaded:
    """All of it; the secret is made where there is none."""
    with transaction(connection):
        found = connection.execute("SELECT value FROM secret").fetchone()
        secret = found[0] if found else secrets.token_bytes(32)
        if not found:
            connection.execute("INSERT INTO secret VALUES (?)", (secret,))
        return Loaded(standings(connection), secret, styles(connection))


def standings(connection: sqlite3.Connection) -> dict[str, Standing]:
    """By machine, without those that are garbled."""
    return _rows(connection.execute("SELECT key, value FROM standing"), decode)


def styles(connection: sqlite3.Connection) -> dict[str, Worked]:
    """What was learned of reply styles, by kind, without those that are garbled."""
    return _rows(connection.execute("SELECT key, value FROM style"), decode_style)


def _rows(rows: Iterable[tuple[str, str]], decode_one: Callable[[str], Any]) -> dict[str, Any]:
    found = {}
    for key, value in rows:
        with contextlib.suppress(ValueError, TypeError, AttributeError):  # one that is garbled
            found[key] = decode_one(value)
    return found


def write(
    connection: sqlite3.Connection,
    unsaved: Mapping[tuple[str, str], Standing | Worked | None],
    done: Iterable[int],
) -> None:
    """*unsaved*, by table and key, None for what is forgotten; the orders *done* go with it."""
    with transaction(connection):
        for table in (STANDING, STYLE):
            mine = [(key, one) for (of, key), one in unsaved.items() if of == table]
            connection.executemany(
                f"INSERT OR REPLACE INTO {table} VALUES (?, ?)",  # noqa: S608  our own words
                ((key, _encoded(one)) for key, one in mine if one is not None),
            )
            connection.executemany(
                f"DELETE FROM {table} WHERE key = ?",  # noqa: S608
                ((key,) for key, one in mine if one is None),
            )
        connection.executemany("DELETE FROM orders WHERE id = ?", ((number,) for number in done))


def _encoded(value: Standing | Worked) -> str:
    return encode(value) if isinstance(value, Standing) else encode_style(value)
