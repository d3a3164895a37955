"""
What netbootd sees of a boot by itself, as lines among those that the node sends.
"""

from __future__ import annotations

from netbootd.events.event import Event
from netbootd.logbook.line import Filing, Line, Source

_DAEMON = 3  # facility
_SEVERITIES = {"info": 6, "warn": 4, "error": 3}


def line_of(event: Event, now: float, filing: Filing, times: int = 1) -> Line | None:
    """
    The line that tells of *event*, *times* at *now* in Unix seconds; None for what is only for
    debug.
    """
    severity = _SEVERITIES.get(event.level)
    if severity is None:
        return None
    return Line(
        source=Source.BOOT,
        received=now,
        at=now,
        text=f"{event.what} ({times} times)" if times > 1 else event.what,
        facility=_DAEMON,
        severity=severity,
        app="netbootd",
        msgid=event.kind,
        peer=event.peer,
        filing=filing,
    )
