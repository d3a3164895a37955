"""
How much of our time cards that nobody knows may have, so that a flood of DISCOVERs from made-up
addresses leaves the rest to those that are known.

Pure: the caller says what time it is.  What is bounded is time and not packets: as many are
answered as this host can, and none is turned away on a quiet day.
"""

from __future__ import annotations

#: Of each second, for strangers of one interface.
SHARE = 0.5
#: Seconds of work that a rack which is switched on may ask for at once.
_BURST_S = 0.5


class Budget:
    """Seconds of work, which grow by ``SHARE`` in each second."""

    def __init__(self, now: float) -> None:
        self._left = _BURST_S
        self._at = now

    def affords(self, now: float) -> bool:
        """Whether a stranger is looked at."""
        self._left = min(_BURST_S, self._left + SHARE * max(0.0, now - self._at))
        self._at = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        """One was looked at, and took so long."""
        self._left -= max(0.0, seconds)
