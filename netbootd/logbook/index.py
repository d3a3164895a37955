"""
The marks of closed files on disk: SQLite beside them.

It can be made anew from the files at any time, so nothing here is worth a sync of the disk; a
database that is broken is thrown away.  Each call opens it for itself: several threads use it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from netbootd.logbook.marks import Mark, Marks
from netbootd.sqlitefile import use_no_other_folder

FILE = "index.sqlite"
_VERSION = 1
_BUSY_S = 5.0
_TABLES = """
CREATE TABLE IF NOT EXISTS file (id TEXT PRIMARY KEY, lines INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS mark (
    key TEXT, file TEXT, blocks BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (key, file)
) WITHOUT ROWID;
"""


@contextlib.contextmanager
def _open(folder: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(folder / FILE, timeout=_BUSY_S)
    try:
        use_no_other_folder(connection)
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"{_TABLES} PRAGMA user_version = {_VERSION};")
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            yield connection
    finally:
        connection.close()


def add(folder: Path, identity: str, marks: Marks) -> None:
    """Keep what *identity* holds.  Raises sqlite3.Error."""
    with _open(folder) as connection:
        connection.execute("INSERT OR REPLACE INTO file VALUES (?, ?)", (identity, marks.lines))
        connection.executemany(
            "INSERT OR REPLACE INTO mark VALUES (?, ?, ?, ?, ?)",
            [
                (key, identity, _packed(mark.blocks), mark.first_boot, mark.last_boot)
                for key, mark in marks.of.items()
            ],
        )


def forget(folder: Path, identity: str) -> None:
    """*identity* is gone.  Raises sqlite3.Error."""
    with _open(folder) as connection:
        connection.execute("DELETE FROM file WHERE id = ?", (identity,))
        connection.execute("DELETE FROM mark WHERE file = ?", (identity,))


def indexed(folder: Path) -> dict[str, int]:
    """The files that are in the index, and how many lines each has.  Raises sqlite3.Error."""
    with _open(folder) as connection:
        return dict(connection.execute("SELECT id, lines FROM file"))


def marks_of(folder: Path, key: str) -> dict[str, Mark]:
    """Where lines of *key* are, by file.  Raises sqlite3.Error."""
    with _open(folder) as connection:
        rows = connection.execute(
            "SELECT file, blocks, first, last FROM mark WHERE key = ?", (key,)
        ).fetchall()
    return {file: Mark(int.from_bytes(blocks, "little"), *boots) for file, blocks, *boots in rows}


def discard(folder: Path) -> None:
    """Throw it away."""
    for suffix in ("", "-wal", "-shm"):
        (folder / (FILE + suffix)).unlink(missing_ok=True)


def _packed(blocks: int) -> bytes:
    return blocks.to_bytes((blocks.bit_length() + 7) // 8, "little")
