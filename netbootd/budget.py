"""
How much of our time strangers may cost, so that a flood from made-up addresses leaves the rest to
those that are known.

Pure: the caller says what time it is, in seconds of a clock that does not go back.  What is bounded
is time and not packets: as many are answered as this host can, and none is turned away on a quiet
day.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

#: How much longer strangers have to save where others wait behind them.
_SLOWER = 4.0
#: Seconds that one packet is charged with at most: the rest was another program's time.
MOST_CHARGED_S = 0.02
#: Seconds of work that a rack which is switched on may ask for at once.
_BURST_S = 0.5
#: Bits of which two are set for whoever was turned away: among 400,000 within the two spans one
#: stranger of a hundred is taken for another.
_BITS = 1 << 23
_BIT_OF_OTHER = 24  # of the hash, where another number begins
_SPAN_S = 20.0  # firmware asks again after 4 s or so, and then waits for longer each time
_HEARD_S = 60.0  # and gives up after this
_MOST_SENDERS = 16_384


class Budget:
    """
    Seconds of work, which grow by *share* in each second; *most* are saved up, and there at first.
    *preferred*: of those that go before others.
    """

    def __init__(
        self, share: float, now: float, most: float = _BURST_S, *, preferred: bool = False
    ) -> None:
        self.preferred = preferred
        self._share, self._most = share, most
        self._left = most
        self._at = now
        self._crowded = False

    def affords(self, now: float) -> bool:
        """Whether one more is looked at."""
        saved = self._share * max(0.0, now - self._at) / (_SLOWER if self._crowded else 1.0)
        self._left = min(self._most, self._left + saved)
        self._at = now
        return self._left > 0

    def spend(self, seconds: float, *, crowded: bool = False) -> None:
        """
        One was looked at, and took so long; *crowded* where a queue grew meanwhile, so that this
        share is more than the processor has to give.  What was saved before is there all the same:
        a rack that is switched on fills a queue as well, and is over before it is used up.
        """
        self._left -= max(0.0, seconds)
        self._crowded = crowded


class Strangers:
    """
    Two budgets: one for whoever comes, and one for those that come again after they were turned
    away, as firmware does and a flood from ever new addresses does not.

    *once*: where there is a flood, the second is for those alone who were not heard yet, so that
    they go before those who repeat themselves.  Of the first *most* seconds are saved up.
    """

    def __init__(
        self,
        first: float,
        again: float,
        now: float,
        most: float = _BURST_S,
        *,
        once: bool = False,
        preferred: bool = False,
    ) -> None:
        self._first = Budget(first, now, most, preferred=preferred)
        self._again = Budget(again, now, preferred=preferred)
        self._knocked = _Knocked(now)
        self._heard = _Knocked(now, _HEARD_S) if once else None
        self._flooded_until = now

    def budget_of(self, who: Hashable, now: float) -> Budget | None:
        """What *who* is looked at from; None: it is turned away, and that is remembered."""
        if self._first.affords(now):
            if self._heard is not None and now < self._flooded_until:
                self._heard.before(who, now)
            return self._first
        self._flooded_until = now + _SPAN_S
        if not self._knocked.before(who, now) or not self._again.affords(now):
            return None
        if self._heard is not None and self._heard.before(who, now):
            return None
        return self._again


class _Knocked:
    """
    Who was here within one span or two, of *span_s* seconds, roughly: a Bloom filter, by a hash
    that nobody else can foresee (``PYTHONHASHSEED``), so that a flood costs no memory.
    """

    def __init__(self, now: float, span_s: float = _SPAN_S) -> None:
        self._span_s = span_s
        self._until = now
        self._here, self._before = bytearray(), bytearray()

    def before(self, who: Hashable, now: float) -> bool:
        """Whether it was; from now on it was."""
        if now >= self._until:
            fresh = now < self._until + self._span_s
            self._before = self._here if fresh and self._here else bytearray(_BITS // 8)
            self._here = bytearray(_BITS // 8)
            self._until = now + self._span_s
        number = hash(who)
        one = self._set(number % _BITS)
        return self._set((number >> _BIT_OF_OTHER) % _BITS) and one

    def _set(self, bit: int) -> bool:
        byte, mask = bit >> 3, 1 << (bit & 7)
        known = bool((self._here[byte] | self._before[byte]) & mask)
        self._here[byte] |= mask
        return known


class Rates:
    """
    A bucket of tokens for each sender (RFC 2697): *burst* at once, *rate* in a second.

    The senders are bounded; of too many the one heard longest ago begins anew.
    """

    def __init__(self, burst: float, rate: float, most: int = _MOST_SENDERS) -> None:
        self._burst, self._rate, self._most = burst, rate, most
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def takes(self, who: Hashable, now: float, count: int = 1) -> bool:
        """Whether *count* more of *who* are taken."""
        left, at = self._left.get(who, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        taken = left >= count
        self._left[who] = (left - count if taken else left), now
        self._left.move_to_end(who)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return taken
