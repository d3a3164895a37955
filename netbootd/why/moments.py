"""Times as a diagnosis tells them."""

from __future__ import annotations

from datetime import datetime


def clock(at: float) -> str:
    """``14:02:31``, in the time zone of this host; for a time that cannot be, ``?``."""
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "?"


def moment(at: float) -> str:
    """The same with its day: ``Nov 21 14:02:31``."""
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%b %d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "?"
