"""
Lines of the log as what is sent, and what became of sending them; values alone.

A line has an identity that is its own for ever (``observer.hostname`` and ``event.id``), so that
whoever gets it twice can tell.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from netbootd.logbook.files import Place


@dataclass(frozen=True, slots=True)
class Item:
    """
    One line: *raw* is its document, without newline; *place* is behind it, *number* its own in its
    file, from 1.  *stream* is the data stream that it belongs to.  *unfit* says why it cannot be
    sent to anybody, empty where it can.
    """

    place: Place
    number: int
    raw: bytes
    identity: str
    stream: str
    unfit: str = ""


class Aside(NamedTuple):
    """An item that will never be taken, with the destination's reason in a few words."""

    item: Item
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of sending some items: all that are in neither *again* nor *aside* have arrived.

    *problem* says why some have not, for the operator, without numbers that change; *wait* are the
    seconds that the destination asks for, None where it does not; *grave*: trying again soon will
    not help.  *halve*: there are too many of them for one request.
    """

    again: Sequence[Item] = ()
    aside: Sequence[Aside] = ()
    problem: str = ""
    wait: float | None = None
    grave: bool = False
    halve: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """
    One destination, since the start: lines it took (*shipped*), would not take (*rejected*), and
    that were deleted before it was there to take them (*lost*); *lines* and *size*, in bytes, are
    what it has yet to get.
    """

    shipped: int = 0
    rejected: int = 0
    lost: int = 0
    lines: int = 0
    size: int = 0


def item_of(place: Place, number: int, raw: bytes) -> Item:
    """The line number *number* of its file, which ends at *place*."""
    try:
        document = json.loads(raw)
        origin = document["data_stream"]
        stream = "-".join(str(origin[part]) for part in ("type", "dataset", "namespace"))
        identity = f"{document['observer']['hostname']}-{document['event']['id']}"
        if not document["@timestamp"]:
            raise KeyError("@timestamp")
    except (ValueError, KeyError, TypeError) as problem:
        reason = f"no line of the log ({type(problem).__name__}: {problem})"
        return Item(place, number, raw, f"{place.file}-{number}", "", reason)
    return Item(place, number, raw, identity, stream)
