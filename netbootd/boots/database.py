"""
The file of boots: its tables, and what is read and written at once.

A boot is a row.  WAL and ``synchronous = NORMAL``: a power failure costs the last transactions at
most, and never the file (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from netbootd import sqlitefile
from netbootd.boots.boot import Boot
from netbootd.boots.written import encode
from netbootd.config import Boots
from netbootd.errors import NetbootdError
from netbootd.sqlitefile import transaction

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
_PRUNED_AT_ONCE = 1000
#: Of the boots that are kept, those of machines that are not listed are this part.
_STRANGERS_SHARE = 10
#: Of too many, the oldest go; first those of a machine that has more than this part of all, since
#: somebody may have made them up in its name.
_ONE_MACHINES_SHARE = 50
#: Numbers that may have been given and not written when the daemon was killed.
_SKIPPED = 100
#: Rows read at the start: the latest of each machine, and the last of all.
_MOST_LATEST = 16384
_MOST_RECENT = 2048


Row = tuple[int, str, float, float, bool, str]


class NoBoots(NetbootdError):
    """The file of boots cannot be used; the text says why."""


class Loaded(NamedTuple):
    """What was on disk: *boots* newest first, and the *number* of the next."""

    boots: list[Boot]
    number: int


class Unsaved(NamedTuple):
    """A *boot* to be written; *known*: its machine is listed."""

    boot: Boot
    known: bool

    @property
    def row(self) -> Row:
        """As it is written."""
        boot = self.boot
        return boot.number, boot.key, boot.began, boot.last, self.known, encode(boot)


def connect(file: Path) -> sqlite3.Connection:
    """Answers of nodes stand in the file: it is for its owner alone."""
    return sqlitefile.connect(file, _TABLES, _VERSION, synchronous="NORMAL")


def load(connection: sqlite3.Connection) -> Loaded:
    """The latest boot of each machine and the last ones of all, newest first."""
    latest = connection.execute(
        "SELECT number, value FROM boot WHERE number IN "
        "(SELECT max(number) FROM boot GROUP BY key) ORDER BY number DESC LIMIT ?",
        (_MOST_LATEST,),
    )
    rows = dict(latest.fetchall())
    recent = connection.execute(
        "SELECT number, value FROM boot ORDER BY number DESC LIMIT ?", (_MOST_RECENT,)
    )
    rows |= dict(recent.fetchall())
    boots = decoded(value for _, value in sorted(rows.items(), reverse=True))
    return Loaded(boots, _number(connection))


def _number(connection: sqlite3.Connection) -> int:
    """The next number, which nothing had before; from now on the file is in use."""
    with transaction(connection):
        highest = connection.execute("SELECT max(number) FROM boot").fetchone()[0] or 0
        row = connection.execute("SELECT next, clean FROM counter").fetchone()
        number, clean = row or (1, 1)
        number = max(number if clean else number + _SKIPPED, highest + 1)
        connection.execute("DELETE FROM counter")
        connection.execute("INSERT INTO counter VALUES (?, 0)", (number,))
    return int(number)


def decoded(values: Iterable[str]) -> list[Boot]:
    boots = []
    for value in values:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):  # a garbled one
            boots.append(Boot.of_dict(json.loads(value)))
    return boots


def write(
    connection: sqlite3.Connection,
    rows: Iterable[Row],
    moves: Mapping[str, str],
    following: int,
) -> None:
    """
    Write *rows*, after the machines in *moves* have got their new keys; *following* is the number
    of the next boot.
    """
    with transaction(connection):
        for old, new in moves.items():
            connection.execute(
                "UPDATE boot SET key = ?, value = json_set(value, '$.key', ?) WHERE key = ?",
                (new, new, old),
            )
        connection.executemany("INSERT OR REPLACE INTO boot VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("UPDATE counter SET next = max(next, ?)", (following,))


def close_cleanly(connection: sqlite3.Connection) -> None:
    """All that was begun is written: no number needs to be skipped."""
    connection.execute("UPDATE counter SET clean = 1")


def newest(connection: sqlite3.Connection) -> float:
    """When the last boot was begun; 0 where there is none."""
    return float(connection.execute("SELECT max(began) FROM boot").fetchone()[0] or 0.0)


def prune(connection: sqlite3.Connection, settings: Boots, now: float) -> None:
    """Delete by age and by number, a little at a time, so that nobody waits long for the file."""
    too_old = now - settings.days * 86400
    while connection.execute(
        "DELETE FROM boot WHERE number IN (SELECT number FROM boot WHERE began < ? LIMIT ?)",
        (too_old, _PRUNED_AT_ONCE),
    ).rowcount:
        pass
    _prune_to(connection, settings.kept // _STRANGERS_SHARE, known=0)
    _prune_greedy(connection, settings.kept)
    _prune_to(connection, settings.kept, known=1)


def _prune_greedy(connection: sqlite3.Connection, kept: int) -> None:
    """Of more than *kept*, delete the oldest rows of the machines that have most."""
    excess = connection.execute("SELECT count(*) FROM boot").fetchone()[0] - kept
    share = kept // _ONE_MACHINES_SHARE
    while excess > 0:
        key, count = connection.execute(
            "SELECT key, count(*) FROM boot GROUP BY key ORDER BY count(*) DESC LIMIT 1"
        ).fetchone()
        some = min(excess, count - share, _PRUNED_AT_ONCE)
        if some <= 0:
            return
        connection.execute(
            "DELETE FROM boot WHERE number IN "
            "(SELECT number FROM boot WHERE key = ? ORDER BY number LIMIT ?)",
            (key, some),
        )
        excess -= some


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
