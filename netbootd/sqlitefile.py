"""
What the SQLite files of the state folder have in common: how they are opened, how one transaction
is written, and what becomes of one that is broken.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

_BUSY_S = 5.0  # how long one waits for another's lock
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")


class NoDatabase(sqlite3.DatabaseError):
    """What has the name of a file is nothing that we wrote."""


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
    if not os.path.lexists(file):
        _make(file, tables, version)
    elif not file.is_file() or not file.stat().st_size:
        raise NoDatabase("it is empty, or no file at all")
    connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
    try:
        use_no_other_folder(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        written = connection.execute("PRAGMA user_version").fetchone()[0]
        if written > version:
            raise sqlite3.DatabaseError("it was written by a newer netbootd")
        if written < version:
            connection.executescript(f"{tables} PRAGMA user_version = {version};")
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if missing := set(_TABLE.findall(tables)) - found:
            raise NoDatabase(f"it has no table {min(missing)}")
    except BaseException:
        connection.close()
        raise
    return connection


def use_no_other_folder(connection: sqlite3.Connection) -> None:
    """
    Keep in memory what SQLite would put into files in ``/var/tmp`` for large transactions and sorts
    (https://www.sqlite.org/tempfiles.html): a daemon that is confined may not, or has none.
    """
    connection.execute("PRAGMA temp_store = MEMORY")


def _make(file: Path, tables: str, version: int) -> None:
    """A new *file*, complete before it has its name: a kill leaves none that is empty."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
            new.chmod(0o600)
            connection.executescript(f"{tables} PRAGMA user_version = {version};")
        new.rename(file)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


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
    return isinstance(problem, NoDatabase) or getattr(problem, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def set_aside(file: Path) -> Path:
    """
    Rename a broken *file*, whatever it is, and its log of what was written last with it; what was
    set aside before is given up for it.  Raises OSError.
    """
    broken = file.with_name(f"{file.name}.broken")
    for ending in ("", "-wal", "-shm"):
        there = broken.with_name(broken.name + ending)
        if there.is_dir() and not there.is_symlink():
            there.rmdir()
        else:
            there.unlink(missing_ok=True)
    file.rename(broken)
    with contextlib.suppress(FileNotFoundError):
        file.with_name(f"{file.name}-wal").rename(f"{broken}-wal")
    file.with_name(f"{file.name}-shm").unlink(missing_ok=True)
    return broken


def identity(file: Path) -> tuple[int, int] | None:
    """Which file it is, whatever it is called; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
