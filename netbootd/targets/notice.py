"""
What stands in for a target that cannot boot: a script that tells a person at the console why.

It never shows the names of the server's files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from netbootd.targets.base import Facts, Target


@dataclass(frozen=True, slots=True)
class Notice(Target):
    """*reason* says what is wrong, *advice* what to do about it; both one line."""

    reason: str
    advice: str = "mend it, then press a key to try again, or wait for the next boot device"

    template_name: ClassVar[str] = "notice"

    def values(self, facts: Facts) -> dict[str, Any]:
        return {"reason": self.reason, "advice": self.advice}
