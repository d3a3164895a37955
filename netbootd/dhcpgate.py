"""
Which packets of DHCP, for IPv4 as for IPv6, are looked at where more come than can be answered: of
each kind of sender as many as its share of the time allows (see ``netbootd.budget``).

A rack that is switched on is a storm and no flood: of listed machines so much is saved up that
thousands of them are answered at once.  What goes on beyond that is somebody who knows their MACs.
Then each exchange (a card and its transaction) that was turned away is heard when it is asked
again, once: firmware does so after four seconds, and a flood that makes up transactions does not,
nor does one that repeats what was answered already go before it.

Pure: the caller says what time it is.
"""

from __future__ import annotations

from collections import Counter

from netbootd.budget import MOST_CHARGED_S, Budget, Strangers

#: Of each second on one interface: for cards that nobody knows, for those of them that ask again,
#: and for those that have an address from us, which who floods may have got as well.
STRANGERS, AGAIN, CLIENTS = 0.3, 0.2, 0.8
#: For those of listed machines, and for exchanges of theirs that were turned away before; and what
#: is saved up, for 20,000 packets at 0.2 ms.
LISTED, LISTED_AGAIN, LISTED_BURST_S = 0.35, 0.15, 4.0
#: For what cannot be read, and only has to be told of.
BROKEN = 0.05
#: Packets in a second of one machine that is listed.  U-Boot sends four.
MOST_OF_ONE = 50
_TOLD_S = 60.0  # a flood is told of this often


class Gate:
    """The budgets of one interface."""

    def __init__(self, now: float) -> None:
        self._strangers = Strangers(STRANGERS, AGAIN, now)
        self._clients = Budget(CLIENTS, now)
        self._listed = Strangers(
            LISTED, LISTED_AGAIN, now, most=LISTED_BURST_S, once=True, preferred=True
        )
        self._broken = Budget(BROKEN, now)
        self._shed = 0  # and not told of
        self._told = float("-inf")
        self._until = now
        self._counts: Counter[bytes] = Counter()

    def for_listed(self, card: bytes, exchange: bytes, now: float) -> Budget | None:
        """
        What a packet of a listed machine's *card* is paid from; None: it is not looked at, as all
        those below.  It may be the machine's own flood.
        """
        if now >= self._until:
            self._until = now + 1.0
            self._counts.clear()
        self._counts[card] += 1
        if self._counts[card] > MOST_OF_ONE:
            return None
        return self._listed.budget_of(card + exchange, now)

    def for_client(self, now: float) -> Budget | None:
        """Of somebody who has an address from us."""
        return self._clients if self._clients.affords(now) else None

    def for_stranger(self, card: bytes, now: float) -> Budget | None:
        """Of anybody else."""
        return self._strangers.budget_of(card, now)

    def for_broken(self, now: float) -> Budget | None:
        """Of nobody: it cannot be read."""
        return self._broken if self._broken.affords(now) else None

    def turn_away(self, now: float) -> int:
        """One was not looked at; how many there were that are to be told of now, 0 for none."""
        self._shed += 1
        if now < self._told + _TOLD_S:
            return 0
        shed, self._shed, self._told = self._shed, 0, now
        return shed


def charge(budget: Budget, seconds: float, *, crowded: bool) -> None:
    """
    One was looked at, for so long.  A queue that grows meanwhile makes no machine wait that is
    listed: its share is small enough.
    """
    budget.spend(min(seconds, MOST_CHARGED_S), crowded=crowded and not budget.preferred)
