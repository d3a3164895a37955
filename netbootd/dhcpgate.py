"""
Which DHCP packets are looked at where more come than can be answered: those of listed machines,
then those of who has an address from us, and of strangers as many as their share of the time
allows (see ``netbootd.budget``).

Pure: the caller says what time it is.
"""

from __future__ import annotations

from collections import Counter

from netbootd.budget import Budget, Strangers

#: Of each second on one interface: for cards that nobody knows, for those of them that ask again,
#: and for those that have an address from us, which who floods may have got as well.
STRANGERS, AGAIN, CLIENTS = 0.3, 0.2, 0.8
#: Packets in a second of one machine that is listed.  U-Boot sends four.
MOST_OF_ONE = 50


class Gate:
    """The budgets of one interface; *shed* packets were not looked at since *told*."""

    def __init__(self, now: float) -> None:
        self.strangers = Strangers(STRANGERS, AGAIN, now)
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

    def budget_of(self, card: bytes, client: bool, now: float) -> Budget | None:
        """What another's packet is paid from; None: it is not looked at."""
        if not client:
            return self.strangers.budget_of(card, now)
        return self.clients if self.clients.affords(now) else None
