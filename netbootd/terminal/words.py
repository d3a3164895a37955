"""Times, sizes and states in words, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from netbootd.terminal.paper import Bit, Look
from netbootd.why.diagnosis import State

LOOKS: Mapping[str, Look] = {
    State.UNKNOWN: Look.FAINT,
    State.BOOTING: Look.BUSY,
    State.STUCK: Look.WARN,
    State.UP: Look.GOOD,
    State.FAILED: Look.BAD,
    State.OVERDUE: Look.BAD,
    State.HELD: Look.BAD,
    State.DISABLED: Look.FAINT,
}
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def state(word: str) -> Bit:
    """A State as the API says it, which may be of a newer daemon."""
    return Bit(word, LOOKS.get(word, Look.PLAIN))


def span(seconds: float) -> str:
    """``0.3 s``, ``45 s``, ``3 min``, ``2 h``."""
    seconds = max(0.0, seconds)
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def ago(at: float | None, now: float) -> str:
    """How long *at* is past, empty for never."""
    return f"{span(now - at)} ago" if at else ""


def moment(at: float, now: float) -> str:
    """Local time of *at* (Unix seconds); with the date, where it is not the day of *now*."""
    here = datetime.fromtimestamp(at)
    same_day = here.date() == datetime.fromtimestamp(now).date()
    return f"{here:%H:%M:%S}" if same_day else f"{here:%Y-%m-%d %H:%M:%S}"


def size(count: float) -> str:
    """``74.2 kB``, in powers of ten, as cards and disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
