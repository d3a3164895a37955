"""
What machines said last, in memory: for who asks why one of them does not boot.

Only their own words: what netbootd saw of a boot is in the record of boots, and would push out the
few lines that tell of trouble.  A sender that is no machine cannot be asked about, and has none
here.  Machines that are not listed can be made up by anybody, so they have a bound of their own;
the machine unheard of for longest goes first.  Pure.
"""

from __future__ import annotations

import sys
from collections import OrderedDict

from netbootd.logbook.line import Line, Source

MOST_LINES = 50  # of one machine
MOST_MACHINES, MOST_BYTES = 4096, 16 << 20
MOST_STRANGERS, MOST_STRANGE_BYTES = 1024, 8 << 20
_MOST_TEXT = 2048  # characters of a line
_BESIDE = 88  # bytes: the pair, its float, and the place in a list
_OURS = frozenset({Source.BOOT, Source.AUDIT})

#: Its time (Unix seconds) and its text.
Word = tuple[float, str]


class LastWords:
    """The last lines of machines by their keys, of those listed and of others."""

    def __init__(self) -> None:
        self._of = {
            True: _Shelf(MOST_MACHINES, MOST_BYTES),
            False: _Shelf(MOST_STRANGERS, MOST_STRANGE_BYTES),
        }

    def note(self, line: Line) -> None:
        """Remember *line*, if a machine said it."""
        filing = line.filing
        if filing.key and line.source not in _OURS:
            self._of[filing.known].add(filing.key, (line.at, line.text[:_MOST_TEXT]))

    def of(self, key: str) -> tuple[Word, ...]:
        """The last lines of a machine in the order they came; before it was listed, and since."""
        return (*self._of[False].words.get(key, ()), *self._of[True].words.get(key, ()))

    @property
    def bytes(self) -> int:
        """Of memory, roughly."""
        return sum(shelf.bytes for shelf in self._of.values())


class _Shelf:
    """No more than *most* machines, and *most_bytes* of their words."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.words: OrderedDict[str, list[Word]] = OrderedDict()
        self.bytes = 0
        self._most, self._most_bytes = most, most_bytes

    def add(self, key: str, word: Word) -> None:
        words = self.words.get(key)
        if words is None:
            words = self.words[key] = []
        else:
            self.words.move_to_end(key)
        words.append(word)
        self.bytes += _size(word)
        if len(words) > MOST_LINES:
            self.bytes -= _size(words.pop(0))
        while len(self.words) > self._most or self.bytes > self._most_bytes:
            _, gone = self.words.popitem(last=False)
            self.bytes -= sum(map(_size, gone))


def _size(word: Word) -> int:
    return sys.getsizeof(word[1]) + _BESIDE
