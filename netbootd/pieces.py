"""
Bytes end to end that lie in several places.

An archive of 16 MiB is made for each request, and its client may take minutes to read it.  Nearly
all of it is the same for every machine, so it is kept once, however many read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

#: Bytes of a piece that is shared; shorter ones are copied, since each costs a hundred by itself.
_SHARED = 1024


class Pieces:
    """*pieces* in order; none of them is copied that is long."""

    __slots__ = ("_pieces", "_size", "_starts")

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = tuple(_gathered(pieces))
        self._starts: list[int] = []
        self._size = 0
        for piece in self._pieces:
            self._starts.append(self._size)
            self._size += len(piece)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)

    def __getitem__(self, part: slice) -> bytes:
        """As of bytes; without steps."""
        at, until, _ = part.indices(self._size)
        found: list[memoryview] = []
        while at < until:
            found.append(view := self.view(at, until - at))
            at += len(view)
        return b"".join(found)

    def view(self, offset: int, count: int) -> memoryview:
        """Up to *count* bytes from *offset*, as far as they lie together; nothing is copied."""
        number = bisect_right(self._starts, offset) - 1
        if number < 0:
            return memoryview(b"")
        at = offset - self._starts[number]
        return memoryview(self._pieces[number])[at : at + count]


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, the short ones between two long ones in one."""
    short: list[bytes] = []
    for piece in pieces:
        if len(piece) < _SHARED:
            short.append(piece)
            continue
        if short:
            yield b"".join(short)
            short = []
        yield piece
    if short:
        yield b"".join(short)
