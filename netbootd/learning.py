"""
Learns from events which reply style firmware follows (``record/styles``).

An answer on port 4011, a file read by TFTP and a loader or a script fetched by HTTP all follow an
offer, if they are the machine's own: by its MAC, which travels in the paths that we hand out, or by
the serial number that a Raspberry Pi asks with.  A file that was refused counts as well, since it
was asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from netbootd import urls
from netbootd.events.event import (
    Event,
    Offered,
    Refused,
    Scripted,
    Served,
    StyleFound,
    TransferEnded,
    Transferred,
)
from netbootd.mac import MAC
from netbootd.record.styles import StyleMemory, Worked

_ACKNOWLEDGED = "acknowledged"


class Learner:
    """Told of events of ``KINDS``; *publish* is told what was learned from one."""

    KINDS = (Offered, Refused, Scripted, Served, TransferEnded, Transferred)

    def __init__(self, memory: StyleMemory, publish: Callable[[Event], None]) -> None:
        self._memory = memory
        self._publish = publish

    def __call__(self, event: Event) -> None:
        """Learn from *event*."""
        mac = self._who_followed(event)
        found = self._memory.followed(mac) if mac is not None else None
        if mac is not None and found is not None:
            self._publish(self._told(mac, event, found))

    def _who_followed(self, event: Event) -> MAC | None:
        match event:
            case Offered(message=message):
                return event.mac if message == _ACKNOWLEDGED else None
            case Scripted():
                return event.mac
            case Served(path=path) if _loader(path):
                return event.mac
            case Refused(protocol="TFTP", path=path) | Transferred(path=path):
                return self._of_path(event, path)
            case TransferEnded(path=path):
                return self._of_path(event, path)
        return None

    def _of_path(self, event: Event, path: str) -> MAC | None:
        named, _ = urls.split_mac(path)
        folder = path.replace("\\", "/").lstrip("/").partition("/")[0]
        return named or self._memory.named(folder.lower()) or event.mac

    def _told(self, mac: MAC, event: Event, found: Worked) -> StyleFound:
        tried = self._memory.tried(mac)
        like = tried.kind.key if tried else ""
        return StyleFound(
            mac=mac,
            target=event.target,
            peer=event.peer,
            style=found.style,
            like=like,
            first=found.first,
        )


def _loader(path: str) -> bool:
    return path.rpartition("/")[2] in urls.PROGRAMS
