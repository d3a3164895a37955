"""What is noted beside the steps of a boot: from each event its note, with the facts.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netbootd.boots.boot import Code, Note
from netbootd.boots.steps import MOST_PATH, MOST_TEXT
from netbootd.events.event import (
    Claimed,
    Contested,
    Event,
    Held,
    Loaderless,
    Looped,
    Offered,
    Refused,
    Reported,
    Restyled,
    Served,
    Silent,
    TransferEnded,
    TransferFailed,
    Unreadable,
    Unserved,
)
from netbootd.events.lease import (
    AddressInUse,
    ForeignServer,
    Leased,
    LeaseOffered,
    Naked,
    NoAddress,
)
from netbootd.events.witness import NotNetboot, Overheard, Requested

#: Characters of a node's own words that are kept here; the record of standings has more.
MOST_OUTPUT = 4096
CLIENT_LEFT = "the client went away"
_Facts = tuple[Code, str, dict[str, Any]]


def note_of(event: Event, now: float, times: int = 1) -> Note | None:
    """The note that *event* leaves, which happened *times*; None for one that leaves none."""
    facts = _MAKERS.get(type(event))
    found = facts(event) if facts else None
    if found is None:
        return None
    code, text, data = found
    return Note(code=code, at=now, until=now, text=text[:MOST_TEXT], times=times, data=data)


def _unserved(event: Unserved) -> _Facts:
    data = {"reason": event.reason[:MOST_TEXT], "code": event.code, "protocol": event.protocol}
    if event.stage:
        data["stage"] = event.stage
    return Code.UNSERVED, event.reason, {**data, "interface": event.interface}


def _not_netboot(event: NotNetboot) -> _Facts:
    data = {"vendor_class": event.vendor_class[:MOST_PATH], "host_name": event.host_name[:255]}
    return Code.NOT_NETBOOT, f"a DHCP client that boots nothing: {event.vendor_class!r:.80}", data


def _requested(event: Requested) -> _Facts:
    data = {"server": event.server, "address": event.address, "netboot": event.netboot}
    return Code.REQUESTED, event.what, {**data, "interface": event.interface}


def _overheard(event: Overheard) -> _Facts:
    data = {
        "message": event.message,
        "server": event.server,
        "address": event.address,
        "file": event.file[:MOST_PATH],
        "next_server": event.next_server[:255],
        "proxy": event.proxy,
        "interface": event.interface,
    }
    return Code.OVERHEARD, event.what, data


def _lease_offered(event: LeaseOffered) -> _Facts:
    return Code.LEASE_OFFERED, event.what, {"address": event.address, "interface": event.interface}


def _leased(event: Leased) -> _Facts:
    data = {
        "address": event.address,
        "seconds": event.seconds,
        "how": event.how,
        "reserved": event.reserved,
        "netboot": event.netboot,
        "interface": event.interface,
    }
    return Code.LEASED, event.what, data


def _naked(event: Naked) -> _Facts:
    data = {"address": event.address, "reason": event.reason[:MOST_TEXT]}
    return Code.NAKED, event.what, {**data, "interface": event.interface}


def _no_address(event: NoAddress) -> _Facts:
    data = {"reason": event.reason[:MOST_TEXT], "code": event.code, "subnet": event.subnet}
    return Code.NO_ADDRESS, event.what, {**data, "interface": event.interface}


def _in_use(event: AddressInUse) -> _Facts:
    data = {"address": event.address, "by": event.by[:255], "interface": event.interface}
    return Code.ADDRESS_IN_USE, event.what, data


def _foreign(event: ForeignServer) -> _Facts:
    data = {"server": event.server, "address": event.address, "interface": event.interface}
    return Code.FOREIGN_SERVER, event.what, data


def _offered(event: Offered) -> _Facts | None:
    if not event.warning:
        return None
    return Code.WARNED, event.warning, {"file": event.file[:MOST_PATH]}


def _refused(event: Refused) -> _Facts:
    data = {
        "protocol": event.protocol,
        "path": event.path[:MOST_PATH],
        "status": int(event.status),
        "reason": event.reason[:MOST_TEXT],
    }
    return Code.REFUSED, event.what, data


def _ended(event: TransferEnded) -> _Facts | None:
    if is_probe(event):
        return None
    data = {
        "protocol": "TFTP",
        "path": event.path[:MOST_PATH],
        "reason": event.reason[:MOST_TEXT],
        "end": event.end,
        "size": event.size,
        "sent": event.acked,
        "blksize": event.blksize,
        "oack": event.oack,
        "seconds": event.seconds,
    }
    return Code.BROKEN, event.what, data


def is_probe(event: TransferEnded) -> bool:
    """Whether the client wanted the file's size alone, as firmware does before it fetches."""
    if event.acked or event.confirmed:
        return False
    return event.end == "aborted" or "abort" in event.reason


def _served(event: Served) -> _Facts | None:
    if event.sent >= event.count:
        return None
    why = event.problem or CLIENT_LEFT
    data = {
        "protocol": "HTTP",
        "path": event.path[:MOST_PATH],
        "end": event.problem or "client",
        "size": event.size,
        "first": event.first,
        "count": event.count,
        "sent": event.sent,
        "seconds": event.seconds,
    }
    return Code.BROKEN, f"HTTP of {event.path[:MOST_PATH]} ended: {why}", data


def _restyled(event: Restyled) -> _Facts:
    data = {"before": event.before, "style": event.style, "again": event.again}
    return Code.RESTYLED, event.what, data


def _looped(event: Looped) -> _Facts:
    data = {"file": event.file, "times": event.times}
    return Code.LOOPED, f"fetched {event.file} again and again without asking for its script", data


def _silent(event: Silent) -> _Facts:
    return (
        Code.SILENT,
        "silence between its loader and iPXE's first packet",
        {"seconds": event.seconds},
    )


def _held(event: Held | Claimed) -> _Facts:
    return Code.HELD, event.says, {"reason": event.says[:MOST_TEXT]}


def _reported(event: Reported) -> _Facts:
    data = {
        "outcome": event.outcome,
        "status": event.status[:255],
        "output": event.output[-MOST_OUTPUT:],
    }
    return Code.REPORTED, event.what, data


_MAKERS: dict[type[Event], Callable[[Any], _Facts | None]] = {
    NotNetboot: _not_netboot,
    Requested: _requested,
    Overheard: _overheard,
    LeaseOffered: _lease_offered,
    Leased: _leased,
    Naked: _naked,
    NoAddress: _no_address,
    AddressInUse: _in_use,
    ForeignServer: _foreign,
    Offered: _offered,
    Served: _served,
    Restyled: _restyled,
    Looped: _looped,
    Silent: _silent,
    Held: _held,
    Claimed: _held,
    Reported: _reported,
    Unserved: _unserved,
    Loaderless: _unserved,
    Refused: _refused,
    Unreadable: _refused,
    Contested: _refused,
    TransferEnded: _ended,
    TransferFailed: _ended,
}
