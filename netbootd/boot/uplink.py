"""
How many bodies at once fill the uplink, found by trying.

Nobody tells the speed of the line, of the disk behind it or of one node's loader; what can be seen
is how many bytes leave in a second while so many nodes load.  Fewer at once than fill the line
waste it, more only share it: each of them is slower, and nobody is up sooner.

::

    growing   twice as many, as long as that brings more bytes
    steady    now and then a few more, or a few fewer; what brings more is kept, and gone on with

Rather too many than too few: twice as many as fill the line cost a long queue next to nothing, half
as many cost it half of its speed (``tests/bench/pace.py``).  Only what was measured while nodes
were waiting counts: else their number is no limit.  Pure: time comes in as *now*, seconds of a
steady clock.
"""

from __future__ import annotations

from dataclasses import dataclass

#: How many at the beginning: three usual loaders fill a line of 1 Gbit/s, twenty one of 10.
FIRST = 16
MOST = 4096
#: Seconds of one measurement; loaders pause between files, and TCP takes a while to get going.
_WINDOW_S = 2.0
_MORE = 1.1  # times the bytes that twice as many must bring at least
_BETTER = 1.05  # and a quarter more, or a fifth fewer
_REST = 5  # windows between two tries
_FULL = 0.95  # of the line that was named


@dataclass(frozen=True, slots=True)
class _Measured:
    limit: int
    rate: float


class Uplink:
    """
    ``limit`` is how many may load at once, ``rate`` the bytes a second that left lately.

    *line* is what the uplink may carry, in bytes a second, 0 where nobody said.
    """

    def __init__(self, limit: int = FIRST, line: float = 0.0) -> None:
        self.limit = limit
        self.rate = 0.0
        self.line = line
        self._growing = True
        self._before: _Measured | None = None  # a try is under way, and this was before it
        self._up = True
        self._rest = 0
        self._settling = True
        self._since = 0.0
        self._total = -1

    def sample(self, total: int, now: float, *, crowded: bool) -> None:
        """
        *total* bytes have left since some beginning.  *crowded*: nodes wait, so that more
        would load if they might.
        """
        seconds = now - self._since
        if self._total < 0 or total < self._total or seconds <= 0:
            self._begin(total, now)
        elif seconds >= _WINDOW_S or not crowded:
            self.rate = (total - self._total) / seconds
            self._begin(total, now)
            if crowded:
                self._measured()
            else:
                self._settling = True

    def _begin(self, total: int, now: float) -> None:
        self._total, self._since = total, now

    def _measured(self) -> None:
        if self._settling:  # those who were let go just now are not under way yet
            self._settling = False
        elif self.line and self.rate > self.line:
            self._stay(max(1, int(self.limit * self.line / self.rate)))
        elif self._growing:
            self._grow()
        elif self._before is not None:
            self._judge(self._before)
        elif self._rest:
            self._rest -= 1
        else:
            self._try()

    def _grow(self) -> None:
        before, full = self._before, self.line and self.rate > _FULL * self.line
        if before is None and not full:
            self._change(self.limit * 2)
        elif before is None or full:
            self._growing = False
            self._stay(self.limit)
        elif self.rate >= before.rate * _MORE:
            self._change(self.limit * 2)
        else:  # where it brought even less, as from a disk that seeks, fewer may bring more
            self._growing = False
            self._up = self.rate * _BETTER > before.rate
            self._stay(before.limit, rest=0 if not self._up else _REST)

    def _try(self) -> None:
        """A few more or fewer, by turns."""
        full = self.line and self.rate > _FULL * self.line
        more = max(self.limit + 1, self.limit * 5 // 4)
        fewer = max(1, self.limit * 4 // 5)
        self._change(more if self._up and not full else fewer)

    def _judge(self, before: _Measured) -> None:
        if self.rate >= before.rate * _BETTER:
            self._stay(self.limit, rest=0)
        else:
            self._up = not self._up
            self._stay(before.limit)

    def _change(self, limit: int) -> None:
        self._before = _Measured(self.limit, self.rate)
        self.limit, self._settling = min(limit, MOST), True

    def _stay(self, limit: int, rest: int = _REST) -> None:
        self.limit, self._before = limit, None
        self._rest, self._settling = rest, True
