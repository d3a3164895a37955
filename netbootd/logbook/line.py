"""
One line of a node's log, as it was read and filed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from netbootd.mac import MAC


class Source(StrEnum):
    """How a line came; the data set it belongs to."""

    SYSLOG = "netbootd.syslog"
    NETCONSOLE = "netbootd.netconsole"
    BOOT = "netbootd.boot"  # what netbootd itself saw
    AUDIT = "netbootd.audit"  # what was changed by whom


#: The structured data of a line of AUDIT: its ``user`` and ``outcome``.
AUDIT_DATA = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """
    Whose line it is: the machine's *key* and *name*, its card, the number of its *boot*, what it
    boots; *by* is the rule that decided (``lease``, ``boot``, ``ip``, ``neighbour``, ``hostname``,
    ``mac``); *known* is whether it is listed.  All empty for a stranger's.
    """

    key: str = ""
    name: str = ""
    mac: MAC | None = None
    boot: int = 0
    target: str = ""
    by: str = ""
    known: bool = False


NOBODY = Filing()


#: Most lines have no structured data, and thousands are kept.
_UNSTRUCTURED: Mapping[str, Mapping[str, Sequence[str]]] = {}


@dataclass(slots=True, kw_only=True)  # a frozen one takes twice as long to make
class Line:
    """
    A value, that nobody changes.

    *received* and *at*, its own time where that can be believed, in Unix seconds; *said_at* is what
    the sender wrote for a time, if that was not believed.  *facility* 0 to 23 and *severity* 0 to 7
    (RFC 5424, 6.2.1).  *structured* is structured data: by identifier, each parameter's values.
    *original* is the raw text.  *tags* are remarks such as ``truncated``.
    """

    source: Source
    received: float
    at: float
    text: str
    facility: int = 1
    severity: int = 5
    host_name: str = ""
    app: str = ""
    procid: str = ""
    msgid: str = ""
    version: int = 0
    structured: Mapping[str, Mapping[str, Sequence[str]]] = field(
        default_factory=lambda: _UNSTRUCTURED
    )
    peer: str = ""
    port: int = 0
    said_at: str = ""
    original: str = ""
    tags: tuple[str, ...] = ()
    filing: Filing = NOBODY
