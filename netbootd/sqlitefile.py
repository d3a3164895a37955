"""
What the SQLite files of the state folder have in common: how they are opened, how one transaction
is written, and what becomes of one that is broken.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

_BUSY_S = 5.0  # how long one waits for another's lock


def connect(
    file: Path, tables: str, version: int, *, synchronous: str = "FULL"
) -> sqlite3.Connection:
    """
    *file*, made where it is missing, for its owner alone; with *tables* where it has not yet those
    of *version* (PRAGMA user_version).

    WAL, and *synchronous* FULL: what was committed survives a power failure; with NORMAL a power
    failure costs the last transactions, and never the file
    (https://www.sqlite.org/pragma.html#pragma_synchronous).  Raises sqlite3.Error and OSError.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    new = not file.exists()
    connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
    try:
        if new:
            file.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        written = connection.execute("PRAGMA user_version").fetchone()[0]
        if written > version:
            raise sqlite3.DatabaseError("it was written by a newer netbootd")
        if written < version:
            connection.executescript(f"{tables} PRAGMA user_version = {version};")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is done inside, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a full disk may have ended it already
            connection.execute("ROLLBACK")
        raise


def is_broken(problem: Exception) -> bool:
    """Whether the file itself is no database any more (https://www.sqlite.org/rescode.html)."""
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def set_aside(file: Path) -> Path:
    """Rename a broken *file*; one that was set aside before is given up for it."""
    broken = file.with_name(f"{file.name}.broken")
    file.replace(broken)
    for ending in ("-wal", "-shm"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
    return broken


def identity(file: Path) -> tuple[int, int] | None:
    """Which file it is, whatever it is called; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
