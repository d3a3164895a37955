"""
Our DUID, by which clients know us again: a UUID of chance (RFC 6355), kept in the state folder.

A copy of the folder is another server with the same one; who clones hosts removes the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from netbootd.dhcp6.message import Duid

NAME = "duid"
_SIZE = 18  # the type and a UUID


def made() -> bytes:
    """A new one."""
    return Duid.UUID.to_bytes(2, "big") + uuid4().bytes


def read(file: Path) -> bytes:
    """The one in *file*, in hexadecimal; raises OSError, also where there is none in it."""
    try:
        duid = bytes.fromhex(file.read_text("ascii"))
    except ValueError:
        duid = b""
    if len(duid) != _SIZE:
        raise OSError(f"{file} does not hold the {_SIZE} bytes of a DUID in hexadecimal")
    return duid


def read_or_make(file: Path) -> bytes:
    """The one in *file*, which is made with a new one if it is missing; raises OSError."""
    try:
        return read(file)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".new-{file.name}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with open(descriptor, "w", encoding="ascii") as opened:
        opened.write(made().hex() + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    new.rename(file)
    return read(file)
