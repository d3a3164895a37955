"""
What was changed by whom, or was tried in vain: a line each, for whoever has to know it later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.events.event import Event
from netbootd.printable import printable

_LONGEST = 1000  # characters of a deed; a table of machines has many


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited(Event):
    """
    *by* did *deed*; *result* is ``done``, or why it was not.  *peer* is empty for a user of this
    host.  Nothing of it may be a secret.
    """

    by: str
    deed: str
    result: str = "done"

    @property
    def who(self) -> str:
        return "audit:"

    @property
    def what(self) -> str:
        told = (printable(self.by), printable(self.deed, _LONGEST), printable(self.result))
        return ": ".join(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedRefusal(Audited):
    """It was tried, and refused."""

    level: ClassVar[str] = "warn"
