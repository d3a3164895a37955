"""Bytes on their way: what is being fetched at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.events.event import Event
from netbootd.mac import MAC
from netbootd.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """A transfer of *path* began; *size* is what will go over the wire, in bytes, 0 if unknown."""

    level: ClassVar[str] = "debug"
    protocol: str
    path: str
    size: int

    @property
    def what(self) -> str:
        return f"fetches {printable(self.path)} by {self.protocol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """
    One transfer under way: *sent* of *size* bytes (0 if unknown) since *began*, Unix seconds.

    TFTP counts what was acknowledged, HTTP what the kernel took.
    """

    protocol: str
    path: str
    peer: str
    mac: MAC | None
    size: int
    sent: int
    began: float
