"""
The token that writes over HTTP need: one line in a file that only the daemon and root can read.

It travels in clear, as everything on a boot network does: it keeps off whoever may not change
anything, not whoever listens.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

NAME = "api.token"
_BYTES = 32  # of chance; 43 characters


def read(file: Path) -> str:
    """The token in *file*; raises OSError, also where the file holds none."""
    token = file.read_bytes().decode("latin-1").strip()
    if not token or not token.isprintable() or " " in token:
        raise OSError(f"{file} does not hold one line with a token")
    return token


def read_or_make(file: Path) -> str:
    """The token in *file*, which is made with a new one if it is missing; raises OSError."""
    try:
        return read(file)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".new-{file.name}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="ascii") as opened:
        opened.write(secrets.token_urlsafe(_BYTES) + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    new.rename(file)
    return read(file)
