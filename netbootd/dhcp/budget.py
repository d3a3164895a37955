"""
How much of our time a DHCP packet may cost, by who sends it, so that a flood from made-up addresses
leaves the rest to the machines that are listed.

Pure: the caller says what time it is.  What is bounded is time and not packets: as many are
answered as this host can, and none is turned away on a quiet day.
"""

from __future__ import annotations

from collections import Counter

#: Of each second on one interface: for cards that nobody knows, and for those that have an address
#: from us, which who floods may have got as well.
STRANGERS, CLIENTS = 0.5, 0.8
#: Seconds of work that a rack which is switched on may ask for at once.
_BURST_S = 0.5
#: Packets in a second of one machine that is listed.  U-Boot sends four.
MOST_OF_ONE = 50


class Budget:
    """Seconds of work, which grow by *share* in each second."""

    def __init__(self, share: float, now: float) -> None:
        self._share = share
        self._left = _BURST_S
        self._at = now

    def affords(self, now: float) -> bool:
        """Whether one more is looked at."""
        self._left = min(_BURST_S, self._left + self._share * max(0.0, now - self._at))
        self._at = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        """One was looked at, and took so long."""
        self._left -= max(0.0, seconds)


class Gate:
    """The budgets of one interface; *shed* packets were not looked at since *told*."""

    def __init__(self, now: float) -> None:
        self.strangers = Budget(STRANGERS, now)
        self.clients = Budget(CLIENTS, now)
        self.shed = 0
        self.told = float("-inf")
        self._until = now
        self._counts: Counter[bytes] = Counter()

    def lets_in(self, card: bytes, now: float) -> bool:
        """Whether a listed machine's *card* is heard: it may be its own flood."""
        if now >= self._until:
            self._until = now + 1.0
            self._counts.clear()
        self._counts[card] += 1
        return self._counts[card] <= MOST_OF_ONE
