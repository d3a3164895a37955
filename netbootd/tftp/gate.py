"""
Which TFTP requests are looked at where more come than can be answered, and how much is sent to an
address that never said a word: any packet of these may be forged.

- Of each address so many are heard, and whatever is beyond that is not answered.  So what is sent
  to an address in somebody's name has an end, and so has one client's flood.  An address that is
  known (see ``events.familiar``) may stand for the many nodes behind a gateway.
- Strangers have a share of our time.  Beyond it they are turned away before anything is looked for
  or opened; whoever asks again goes before them, and who is known before all.

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
_TOLD_S = 60.0


class Gate:
    """*known* are addresses; *tell* is given how many were turned away, once a minute at most."""

    def __init__(self, known: Container[str], now: float, tell: Callable[[int], None]) -> None:
        self._known = known
        self._strangers = Strangers(_FIRST, _AGAIN, now)
        self._of_unknown = Rates(_UNKNOWN_BURST, _UNKNOWN_RATE)
        self._of_known = Rates(_KNOWN_BURST, _KNOWN_RATE)
        self._tell = tell
        self._told = float("-inf")
        self._shed = 0
        self._began = now
        self._budget: Budget | None = None
        #: Whether much waits in the socket that is read.
        self.crowded = False

    def lets_in(self, address: str, now: float) -> bool:
        """Whether a packet of *address* is looked at; ``done`` is to follow then."""
        self._began, self._budget = now, None
        if address in self._known:
            allowed = self._of_known.takes(address, now)
        else:
            self._budget = self._strangers.budget_of(address, now)
            allowed = self._budget is not None and self._of_unknown.takes(address, now)
        if not allowed:
            self._turn_away(now)
        return allowed

    def done(self, now: float) -> None:
        """It was looked at."""
        if self._budget is not None:
            seconds = min(now - self._began, MOST_CHARGED_S)
            self._budget.spend(seconds, crowded=self.crowded)

    def _turn_away(self, now: float) -> None:
        self._shed += 1
        if now >= self._told + _TOLD_S:
            self._tell(self._shed)
            self._shed, self._told = 0, now
