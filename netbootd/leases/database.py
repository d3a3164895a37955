"""
The file of leases, ``leases.sqlite``: one row for each address.

Times in it are seconds of CLOCK_BOOTTIME of the host's boot that is named beside them (boot_id of
random(4)), and with each transaction the wall clock is written down.  So long as the host runs, a
lease ends when it should, whatever becomes of the wall clock.  After another boot, what has passed
since the last transaction is known by the wall clock alone; where that was set back meanwhile,
nothing has passed, and a lease has as much left as it had then: never more than it was given for.

An address that looks free after a boot with a wrong wall clock may be in use: a probe before it
goes to another tells (RFC 2131, section 2.2).
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from netbootd import sqlitefile
from netbootd.leases.lease import Lease, State
from netbootd.leases.table import MOST_LEASES
from netbootd.mac import MAC
from netbootd.sqlitefile import transaction

FILE = "leases.sqlite"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_VERSION = 1  # PRAGMA user_version of the tables below
#: A row that is written again is the last one: rows are in the order of their writing.
_TABLES = """
CREATE TABLE IF NOT EXISTS lease (
    address TEXT NOT NULL UNIQUE ON CONFLICT REPLACE, key TEXT NOT NULL, state TEXT NOT NULL,
    since REAL NOT NULL, until REAL NOT NULL, mac BLOB, client_id TEXT NOT NULL,
    hostname TEXT NOT NULL, machine TEXT NOT NULL, port TEXT NOT NULL, reserved INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS clock (
    id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, boottime REAL NOT NULL, wall REAL NOT NULL);
"""
_COLUMNS = "address, key, state, since, until, mac, client_id, hostname, machine, port, reserved"
#: The same clock cannot go back; one that did is another's, as of a machine put back to a snapshot.
_SAME_S = 1.0


@dataclass(frozen=True, slots=True)
class Clock:
    """
    *boottime* is the clock of leases, seconds that nobody sets and that pass while the host is
    suspended; *wall* the wall clock, Unix seconds.  *boot_id* names the boot of the host, empty
    where nobody knows.
    """

    boottime: Callable[[], float]
    wall: Callable[[], float]
    boot_id: str = ""

    @classmethod
    def of_host(cls) -> Clock:
        """Those of this host; where the sandbox hides the boot, systemd's unit tells (``%b``)."""
        try:
            boot_id = _BOOT_ID.read_text()
        except OSError:
            boot_id = os.environ.get("NETBOOTD_BOOT_ID", "")
        boot_id = boot_id.strip().replace("-", "")
        return cls(lambda: time.clock_gettime(time.CLOCK_BOOTTIME), time.time, boot_id)

    def read(self) -> Reading:
        """What they say now."""
        return Reading(self.boot_id, self.boottime(), self.wall())


class Reading(NamedTuple):
    """What the clocks said at one time."""

    boot_id: str
    boottime: float
    wall: float

    def same_boot(self, later: Reading) -> bool:
        """Whether the host has not been booted until *later*."""
        known = bool(self.boot_id) and self.boot_id == later.boot_id
        return known and later.boottime > self.boottime - _SAME_S

    def shift(self, later: Reading) -> float:
        """What has to be added to times of this boot, to be times of *later*'s."""
        if self.same_boot(later):
            return 0.0
        return later.boottime - max(0.0, later.wall - self.wall) - self.boottime


def connect(file: Path) -> sqlite3.Connection:
    """The file, which survives a power failure with all that was committed."""
    return sqlitefile.connect(file, _TABLES, _VERSION)


def settle(connection: sqlite3.Connection, now: Reading) -> None:
    """From here on, times in the file are those of *now*'s boot."""
    with transaction(connection):
        if shift := _written(connection, now).shift(now):
            connection.execute("UPDATE lease SET since = since + ?1, until = until + ?1", (shift,))
        _note(connection, now)


def load(connection: sqlite3.Connection, now: Reading) -> list[Lease]:
    """All leases in the order they were written, settled."""
    settle(connection, now)
    leases = []
    for row in connection.execute(f"SELECT {_COLUMNS} FROM lease ORDER BY rowid"):  # noqa: S608
        with suppress(ValueError, TypeError):  # a garbled one
            leases.append(_lease(row))
    return leases


def read(file: Path, now: Reading) -> list[Lease]:
    """
    As load, of a *file* that cannot be written, nor can anything beside it: where SQLite has left
    no log there, all is in the file itself (https://www.sqlite.org/wal.html#read_only_databases).
    """
    file.stat()  # raises FileNotFoundError
    how = "mode=ro" if file.with_name(f"{file.name}-wal").exists() else "immutable=1"
    there = sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True)
    copy = sqlite3.connect(":memory:", isolation_level=None)
    with closing(there), closing(copy):
        there.backup(copy)
        return load(copy, now)


def write(connection: sqlite3.Connection, leases: Iterable[Lease], now: Reading) -> None:
    """Write *leases*, the last one of each address counts; on disk when this returns."""
    with transaction(connection):
        connection.executemany(
            f"INSERT INTO lease ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            map(_row, leases),
        )
        _note(connection, now)


def note(connection: sqlite3.Connection, now: Reading) -> None:
    """Write down what the clocks say."""
    with transaction(connection):
        _note(connection, now)


def prune(connection: sqlite3.Connection) -> None:
    """Of more rows than the table in memory has, delete the free ones that are oldest."""
    count = connection.execute("SELECT count(*) FROM lease").fetchone()[0]
    if count > MOST_LEASES:
        connection.execute(
            "DELETE FROM lease WHERE rowid IN "
            "(SELECT rowid FROM lease WHERE state = ? ORDER BY rowid LIMIT ?)",
            (State.FREE.value, count - MOST_LEASES),
        )


def _written(connection: sqlite3.Connection, now: Reading) -> Reading:
    row = connection.execute("SELECT boot_id, boottime, wall FROM clock").fetchone()
    return Reading(*row) if row else now


def _note(connection: sqlite3.Connection, now: Reading) -> None:
    connection.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)", now)


def _row(lease: Lease) -> tuple[Any, ...]:
    return (
        str(lease.address),
        lease.key,
        lease.state.value,
        lease.since,
        lease.until,
        lease.mac,
        lease.client_id,
        _writable(lease.hostname),
        _writable(lease.machine),
        _writable(lease.port),
        lease.reserved,
    )


def _writable(text: str) -> str:
    """One name that is no text must not keep all others from the disk (PEP 383's surrogates)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _lease(row: tuple[Any, ...]) -> Lease:
    address, key, state, since, until, mac, client_id, hostname, machine, port, reserved = row
    if math.isnan(since) or math.isnan(until):
        raise ValueError(f"{address}: its times are none")
    return Lease(
        address=ip_address(address),
        key=str(key),
        state=State(state),
        since=since,
        until=until,
        mac=None if mac is None else MAC(mac),
        client_id=str(client_id),
        hostname=str(hostname),
        machine=str(machine),
        port=str(port),
        reserved=bool(reserved),
    )
