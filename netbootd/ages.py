"""
Whether the wall clock is to be believed where things are thrown away for their age.

A host without a battery begins in 1970 and leaps to the present; a wrong time server leaps years
ahead, for a while.  What was kept for ninety days would be gone at once.  So nothing is too old for
an hour after the clock was set, or began more than a year after the newest thing that there is:
time to set it right.
"""

from __future__ import annotations

import time
from collections.abc import Callable

WAIT_S = 3600.0
#: The clock was set where it went so far from the one that nobody sets.
_STEP_S = 60.0
_YEAR_S = 366 * 86400.0


class Ages:
    """*wall* gives Unix seconds, *steady* seconds that nobody sets."""

    def __init__(
        self, wall: Callable[[], float], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._steady = wall, steady
        self._apart: float | None = None
        self._until = float("-inf")

    def now(self, newest: float) -> float:
        """
        The time by which things are old; *newest* is when the newest of them was made.

        While the clock is not believed it is the beginning of time.  To be asked every minute.
        """
        wall, steady = self._wall(), self._steady()
        before, self._apart = self._apart, wall - steady
        begun_late = before is None and wall - newest > _YEAR_S
        if begun_late or (before is not None and abs(self._apart - before) > _STEP_S):
            self._until = steady + WAIT_S
        return wall if steady >= self._until else 0.0
