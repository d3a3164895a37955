"""
What the SQLite files of the state folder have in common: how they are opened, how one transaction
is written, and what becomes of one that is broken.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

_BUSY_S = 5.0  # how long one waits for another's lock
_APPLICATION = 0x6E626400  # "nbd", PRAGMA application_id of our files; earlier ones have 0
#: What SQLite keeps beside a file (https://www.sqlite.org/tempfiles.html).
_BESIDE = ("-wal", "-shm", "-journal")
#: Of one name.
_MOST_ASIDE = 5


class NoDatabase(sqlite3.DatabaseError):
    """What has the name of a file is nothing that we wrote, or can write."""


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
    _clear_beside(file)
    if not os.path.lexists(file):
        _make(file, tables, version)
    elif not file.is_file() or not file.stat().st_size:
        raise NoDatabase("it is empty, or no file at all")
    _make_writable(file)
    connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
    try:
        written = _version(connection, version)  # before anything in it is changed
        use_no_other_folder(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        if written < version:
            connection.executescript(f"{tables} PRAGMA user_version = {version};")
        _check_tables(connection, tables)
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


def _version(connection: sqlite3.Connection, newest: int) -> int:
    """Of its tables, as long as they are ours and not later than the *newest* that we know."""
    program = connection.execute("PRAGMA application_id").fetchone()[0]
    if program not in (0, _APPLICATION):
        raise NoDatabase(f"it is another program's (application_id {program:#x})")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > newest:
        raise NoDatabase(f"it was written by a newer netbootd (version {version})")
    return version


def _check_tables(connection: sqlite3.Connection, tables: str) -> None:
    """*tables* are there with our columns, and nothing that acts on its own."""
    with contextlib.closing(sqlite3.connect(":memory:")) as ours:
        ours.executescript(tables)
        wanted = _columns(ours)
    found = _columns(connection)
    for table, columns in wanted.items():
        if table not in found:
            raise NoDatabase(f"it has no table {table}")
        if found[table] != columns:
            raise NoDatabase(f"its table {table} has other columns than ours")
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    if trigger := triggers.fetchone():
        raise NoDatabase(f"it has a trigger that is not ours, {trigger[0]}")


def _columns(connection: sqlite3.Connection) -> dict[str, set[tuple[str, int]]]:
    """The columns of each table by their names, with their places in its primary key."""
    found: dict[str, set[tuple[str, int]]] = {}
    for table, column, key in connection.execute(
        "SELECT m.name, c.name, c.pk FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c"
        " WHERE m.type = 'table'"
    ):
        found.setdefault(table, set()).add((column, key))
    return found


def _clear_beside(file: Path) -> None:
    """What has the name of a journal, and is no file, makes way: the database itself is well."""
    for ending in _BESIDE:
        there = file.with_name(file.name + ending)
        if os.path.lexists(there) and (there.is_symlink() or not there.is_file()):
            aside = _free(there.with_name(f"{there.name}.broken"))
            there.rename(aside)
            log.error("%s is no file; it is %s now", there, aside)


def _make_writable(file: Path) -> None:
    """
    A file of ours that may only be read, such as a backup that root has put back, is replaced by a
    copy.  Raises NoDatabase where it may not be read either.
    """
    if not os.access(file.parent, os.W_OK, effective_ids=True):
        return  # a read-only disk, or somebody else's folder: SQLite says what is wrong
    for one in (file, *(file.with_name(file.name + ending) for ending in _BESIDE)):
        # Not by opening it: whoever closes a file gives up its process's locks (fcntl(2)).
        if one.exists() and not os.access(one, os.W_OK, effective_ids=True):
            _copy(one)


def _copy(file: Path) -> None:
    new = file.with_name(f"{file.name}.new")
    try:
        shutil.copyfile(file, new)
        new.chmod(0o600)
        new.rename(file)
    except PermissionError as problem:
        new.unlink(missing_ok=True)
        raise NoDatabase(f"it may not be written, and a copy cannot be made: {problem}") from None
    log.error("%s could not be written: a copy that can be has its place now", file)


def _make(file: Path, tables: str, version: int) -> None:
    """A new *file*, complete before it has its name: a kill leaves none that is empty."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
            new.chmod(0o600)
            connection.executescript(
                f"{tables} PRAGMA user_version = {version}; PRAGMA application_id = {_APPLICATION};"
            )
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
    Rename a broken *file*, whatever it is, and its log of what was written last with it.  Raises
    OSError.
    """
    broken = _free(file.with_name(f"{file.name}.broken"))
    for ending in _BESIDE:
        broken.with_name(broken.name + ending).unlink(missing_ok=True)
    file.rename(broken)
    with contextlib.suppress(FileNotFoundError):
        file.with_name(f"{file.name}-wal").rename(f"{broken}-wal")
    for ending in _BESIDE:
        file.with_name(f"{file.name}{ending}").unlink(missing_ok=True)
    return broken


def _free(wanted: Path) -> Path:
    """
    *wanted*, or with a number where there is something; what was set aside before may be all that
    is left.  From the last on it is given up, and so is an empty folder anywhere.
    """
    for number in itertools.count(1):
        place = wanted if number == 1 else wanted.with_name(f"{wanted.name}.{number}")
        try:
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
            elif number < _MOST_ASIDE and os.path.lexists(place):
                continue
            else:
                place.unlink(missing_ok=True)
        except OSError as problem:
            if problem.errno != errno.ENOTEMPTY:
                raise
        else:
            return place
    raise AssertionError("numbers have no end")


def identity(file: Path) -> tuple[int, int] | None:
    """Which file it is, whatever it is called; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
