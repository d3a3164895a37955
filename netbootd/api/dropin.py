"""
The drop-in of one machine, as netbootd writes it: its name, and its text with who wrote it when.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

from netbootd.api.no import No
from netbootd.dropins.reading import MANAGED
from netbootd.dropins.sections import MACHINES
from netbootd.errors import Place
from netbootd.mac import MAC
from netbootd.printable import printable

_LONGEST_NAME = 255  # bytes, limits.h


class Author(NamedTuple):
    """*who* changes something, *how* (``command`` or ``web``) and when, in Unix seconds."""

    who: str
    how: str
    at: float


class Change(NamedTuple):
    """*key* gets the *entry*; None: ours goes.  *over* is what is written by hand about it."""

    key: str
    entry: Mapping[str, Any] | None
    over: Place | None = None


def who_of(uid: int, names: Callable[[int], Any]) -> str:
    """The name of a user, or the number of one that has none; *names* is ``pwd.getpwuid``."""
    try:
        return str(names(uid).pw_name)
    except KeyError:
        return f"user {uid}"


def file_name(key: str) -> str:
    """The drop-in of the entry *key*; raises No where that would be no file's name."""
    mac = MAC.maybe(key)
    name = f"{MANAGED}{mac.dashed if mac else quote(key, safe=' ')}.json"
    if len(name) + len(".netbootd-new-") > _LONGEST_NAME:
        told = f'"{printable(key, 40)}" is too long for the name of a file'
        raise No(HTTPStatus.UNPROCESSABLE_ENTITY, "key-invalid", told)
    return name


def text_of(change: Change, author: Author) -> bytes:
    """The drop-in as it is written, with who wrote it and when."""
    when = datetime.fromtimestamp(int(author.at), UTC).isoformat().replace("+00:00", "Z")
    who = printable(author.who, 100)
    lines = [f"# Written by netbootd for {who} at {when}, by {author.how}."]
    if change.over is not None:
        lines.append(f"# It counts over the entry at {printable(str(change.over), 300)}.")
    document = {MACHINES: {change.key: change.entry}}
    body = json.dumps(document, indent=4, ensure_ascii=False, separators=(",", " : "))
    return "\n".join([*lines, _showable(body), ""]).encode("utf-8")


def _showable(body: str) -> str:
    """*body*, and as escapes what no terminal should be sent; that stands in strings alone."""
    return "".join(
        one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in body
    )
