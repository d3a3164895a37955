"""
Which TFTP requests are looked at where more come than can be answered, and how much is sent to an
address that never said a word: any packet of these may be forged.

- Of each address so many are heard, and whatever is beyond that is not answered.  So what is sent
  to an address in somebody's name has an end, and so has one client's flood.  An address that is
  known (see ``events.familiar``) may stand for the many nodes behind a gateway.
- Strangers have a share of our time.  Beyond it they are turned away before anything is looked for
  or opened; whoever asks again goes before them, and who is known before all.
- Nor can who is known have all of it: a flood may bear the addresses of real machines.  While more
  waits than is soon read, they have a share as well, and most of it is for those that ask no more
  than a boot does; a real one among them asks less often than those it is forged with.

Who is turned away gets no answer, since an ERROR would end its boot: it asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from netbootd.budget import MOST_CHARGED_S, Budget, Rates, Strangers

#: Of each second: for strangers, and for those of them that ask again.
_FIRST, _AGAIN = 0.15, 0.1
#: Packets of one address that are answered: at once, and in a second from then on.
_UNKNOWN_BURST, _UNKNOWN_RATE = 1024, 32
_KNOWN_BURST, _KNOWN_RATE = 4096, 1024
#: Of each second, for who is known and asks no more than this, and for all that ask more; a storm's
#: requests are within the seconds that are saved up.
_MODEST, _GREEDY, _SAVED_S = 0.4, 0.1, 2.0
_MODEST_BURST, _MODEST_RATE = 24, 1
_BUSY_S = 1.0  # for which shares are kept to after too much waited
_TOLD_S = 60.0


class Gate:
    """*known* are addresses; *tell* is given how many were turned away, once a minute at most."""

    def __init__(self, known: Container[str], now: float, tell: Callable[[int], None]) -> None:
        self._known = known
        self._strangers = Strangers(_FIRST, _AGAIN, now)
        self._of_unknown = Rates(_UNKNOWN_BURST, _UNKNOWN_RATE)
        self._of_known = Rates(_KNOWN_BURST, _KNOWN_RATE)
        self._asks_little = Rates(_MODEST_BURST, _MODEST_RATE)
        self._modest = Budget(_MODEST, now, _SAVED_S)
        self._greedy = Budget(_GREEDY, now)
        self._tell = tell
        self._told = float("-inf")
        self._shed = 0
        self._began = now
        self._budget: Budget | None = None
        self._crowded = False
        self._busy_until = float("-inf")

    def look(self, crowded: bool, now: float) -> None:
        """Before a socket is read: whether much waits in it."""
        self._crowded = crowded
        if crowded:
            self._busy_until = now + _BUSY_S

    def lets_in(self, address: str, now: float) -> bool:
        """Whether a packet of *address* is looked at; ``done`` is to follow then."""
        self._began, self._budget = now, None
        if address in self._known:
            self._budget = self._budget_of_known(address, now)
            allowed = self._budget is not None and self._of_known.takes(address, now)
        else:
            self._budget = self._strangers.budget_of(address, now)
            allowed = self._budget is not None and self._of_unknown.takes(address, now)
        if not allowed:
            self._turn_away(now)
        return allowed

    def _budget_of_known(self, address: str, now: float) -> Budget | None:
        budget = self._modest if self._asks_little.takes(address, now) else self._greedy
        return budget if budget.affords(now) or now >= self._busy_until else None

    def done(self, now: float) -> None:
        """It was looked at."""
        budget = self._budget
        if budget is not None:
            of_known = budget is self._modest or budget is self._greedy
            seconds = min(now - self._began, MOST_CHARGED_S)
            budget.spend(seconds, crowded=self._crowded and not of_known)

    def _turn_away(self, now: float) -> None:
        self._shed += 1
        if now >= self._told + _TOLD_S:
            self._tell(self._shed)
            self._shed, self._told = 0, now
