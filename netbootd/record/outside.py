"""
The record from outside the daemon: what commands read of it, and the orders that they leave.

The daemon takes an order within a quarter of a second, or at its next start.  So a command needs
neither a password nor a running daemon: who may write the file may give orders.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from netbootd import privilege
from netbootd.record.coding import known, members
from netbootd.record.database import FILE, NoRecord, opened, standings, styles
from netbootd.record.standing import Armed, Standing
from netbootd.record.styles import Worked
from netbootd.sqlitefile import transaction


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


def read(folder: Path) -> dict[str, Standing]:
    """All standings, for a command that shows them; none where there is no record yet."""
    if not (folder / FILE).exists():
        return {}
    with _acting_as_owner(folder), opened(folder) as connection:
        return standings(connection)


def read_styles(folder: Path) -> dict[str, Worked]:
    """What was learned of reply styles, by kind; nothing where there is no record yet."""
    if not (folder / FILE).exists():
        return {}
    with _acting_as_owner(folder), opened(folder) as connection:
        return styles(connection)


def give(folder: Path, verb: str, key: str, armed: Armed | None = None) -> int:
    """Leave an order for the daemon; its number.  Raises NoRecord."""
    if not folder.is_dir():
        raise NoRecord(f"{folder}: there is no such folder; has netbootd run with this file yet?")
    said = {"verb": verb, "key": key, "armed": members(armed) if armed else None, "by": _myself()}
    value = json.dumps(said)
    with _acting_as_owner(folder), opened(folder) as connection:
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
    with _acting_as_owner(folder), opened(folder) as connection:
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


def after(connection: sqlite3.Connection, number: int) -> list[Order]:
    """The orders that came after order *number*, in their order."""
    rows = connection.execute(
        "SELECT id, value FROM orders WHERE id > ? ORDER BY id", (number,)
    ).fetchall()
    return [_order(*row) for row in rows]


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
