"""
What can happen to the logs that nodes send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Flooding(Event):
    """A node sends more than *rate* lines a second, and not all of them are taken any more."""

    level: ClassVar[str] = "warn"
    rate: int

    @property
    def what(self) -> str:
        return (
            f"floods the log: of more than {self.rate} lines a second the rest is dropped "
            '("rate" in section netbootd.syslog)'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodOver(Event):
    """It does not any more; *dropped* lines were not taken within *seconds*."""

    level: ClassVar[str] = "warn"
    dropped: int
    seconds: float

    @property
    def what(self) -> str:
        return f"floods the log no more: {self.dropped} lines were dropped in {self.seconds:.0f} s"
