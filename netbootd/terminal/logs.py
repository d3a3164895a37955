"""A node's log lines, which are documents in the names of the Elastic Common Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from netbootd.terminal.paper import Bit, Look, Piece

_LOOKS = {
    "emergency": Look.BAD,
    "alert": Look.BAD,
    "critical": Look.BAD,
    "error": Look.BAD,
    "warning": Look.WARN,
    "notice": Look.STRONG,
    "debug": Look.FAINT,
}
_BOOT = "netbootd.boot"


def pieces(document: Mapping[str, Any], *, day: str = "") -> Iterator[Piece]:
    """
    One line: local time, with the date where that is not *day* (``2026-11-21``), program, text.
    """
    at = at_of(document)
    if at is not None:
        yield Bit(f"{at:%H:%M:%S}." if f"{at:%Y-%m-%d}" == day else f"{at:%Y-%m-%d %H:%M:%S}.",
                  Look.FAINT)  # fmt: skip
        yield Bit(f"{at.microsecond // 1000:03} ", Look.FAINT)
    level = str(_at(document, "log", "level") or "")
    look = _LOOKS.get(level, Look.PLAIN)
    if _at(document, "event", "dataset") == _BOOT:
        yield Bit("netbootd ", Look.BUSY)
    elif name := _at(document, "process", "name"):
        pid = _at(document, "process", "pid")
        yield Bit(f"{name}[{pid}] " if pid else f"{name} ", Look.BUSY)
    if look is Look.BAD or level == "warning":
        yield Bit(f"{level}: ", look)
    yield Bit(str(document.get("message", "")), look)


def at_of(document: Mapping[str, Any]) -> datetime | None:
    """When it was, in local time."""
    try:
        return datetime.fromisoformat(str(document["@timestamp"])).astimezone()
    except (KeyError, ValueError, OverflowError):
        return None


def identity(document: Mapping[str, Any]) -> str:
    """
    What tells a document from all others: when it came, to the microsecond, and what it says.

    It may come twice, live and from the file; only there it has an ``event.id``.
    """
    created = _at(document, "event", "created")
    return f"{document.get('@timestamp')} {created} {document.get('message')}"


def _at(document: Mapping[str, Any], *path: str) -> Any:
    found: Any = document
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found
