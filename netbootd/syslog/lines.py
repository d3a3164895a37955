"""
From what a message says, and who sent it, to the line that is kept.
"""

from __future__ import annotations

from typing import NamedTuple

from netbootd.logbook.filing import OWN_DATA, Filed
from netbootd.logbook.line import Line, Source
from netbootd.syslog import wire
from netbootd.syslog.wire import Said

_ERROR = 3


class Arrival(NamedTuple):
    """How a message came: from *peer* and its *port*, at *received*, Unix seconds."""

    source: Source
    peer: str
    port: int
    received: float


def own_mac(said: Said) -> str:
    """The MAC that the sender gives of itself; empty where it does not."""
    if not said.structured:
        return ""
    return next(iter(said.structured.get(OWN_DATA, {}).get("mac", ())), "")


def line_of(said: Said, arrival: Arrival, filed: Filed, *, troubled: bool) -> Line:
    """
    The line.  *troubled*: it tells that a boot goes wrong, which the plain netconsole, where
    nothing has a severity, makes an error.
    """
    tags, at, said_at = said.tags, arrival.received, ""
    if said.stamp is not None:
        at = wire.moment(said.stamp, arrival.received, filed.zone)
        if not wire.is_believed(at, arrival.received):
            at, said_at = arrival.received, said.stamp.written
            tags = (*tags, "clock_skew")
    if filed.filing.by == "hostname":
        tags = (*tags, "weak_host")
    severity = said.severity
    if troubled and arrival.source is Source.NETCONSOLE and not said.structured:
        severity = min(severity, _ERROR)
    return Line(
        source=arrival.source,
        received=arrival.received,
        at=at,
        text=said.text,
        facility=said.facility,
        severity=severity,
        host_name=said.host_name,
        app=said.app,
        procid=said.procid,
        msgid=said.msgid,
        version=said.version,
        structured=said.structured,
        peer=arrival.peer,
        port=arrival.port,
        said_at=said_at,
        original=said.original,
        tags=tags,
        filing=filed.filing,
    )
