"""
What netbootd sees of a boot by itself, as lines among those that the node sends; and what was
changed by whom.
"""

from __future__ import annotations

from netbootd.events.audit import Audited, AuditedRefusal
from netbootd.events.event import Event
from netbootd.logbook.line import AUDIT_DATA, Filing, Line, Source
from netbootd.printable import printable

_DAEMON = 3  # facility
_AUDIT = 13
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


def audit_line(event: Audited, now: float) -> Line:
    """The line that tells of *event*, at *now* in Unix seconds; nobody's among the machines."""
    refused = isinstance(event, AuditedRefusal)
    said = {"user": (printable(event.by),), "outcome": ("failure" if refused else "success",)}
    return Line(
        source=Source.AUDIT,
        received=now,
        at=now,
        text=event.what,
        facility=_AUDIT,
        severity=_SEVERITIES[event.level],
        app="netbootd",
        structured={AUDIT_DATA: said},
        peer=event.peer,
    )
