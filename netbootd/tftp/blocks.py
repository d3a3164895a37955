"""
DATA packets end to end, as a train of them leaves.  Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from netbootd.tftp.wire import HEADER, Opcode

_HEADER = struct.Struct("!HH").pack
_DATA = int(Opcode.DATA)
_MASK = 0xFFFF

#: Datagrams to be sent in order, end to end, and the length of each; only the last may be shorter.
Train = tuple[bytes | memoryview, int]

#: Blocks that one call can read, each into its own place (IOV_MAX, limits.h).
MOST_ROOMS = 1024
_LOW = bytes(range(256)) * (MOST_ROOMS // 256 + 1)
_MOULDS = 8  # kept: a rack has one kind of windows, and it has 128 KB at most


class Source(Protocol):
    """Where the DATA of a transfer comes from; *packets* is all of it, None where it is read."""

    @property
    def packets(self) -> memoryview | None:
        """All datagrams end to end."""

    def train(self, first: int, until: int) -> Train:
        """The blocks *first* to *until*, to be sent before another is asked; OSError, EOFError."""
        ...


def single(datagram: bytes) -> Train:
    """One packet of any kind."""
    return datagram, len(datagram)


def laid(data: bytes | memoryview, blksize: int, first: int, until: int) -> bytes:
    """
    The blocks *first* to *until*, whose bytes are *data*, with their headers.

    The last may be short, or empty.
    """
    pieces: list[bytes | memoryview] = []
    at = 0
    for block in range(first, until + 1):
        pieces += (_HEADER(_DATA, block & _MASK), data[at : at + blksize])
        at += blksize
    return b"".join(pieces)


class Whole:
    """A file of *data*, laid out for blocks of *blksize* bytes: any window is a slice of it."""

    __slots__ = ("_length", "packets", "size")

    def __init__(self, data: bytes, blksize: int) -> None:
        self._length = blksize + HEADER
        last = len(data) // blksize + 1
        self.packets = memoryview(laid(memoryview(data), blksize, 1, last))
        #: Bytes it takes.
        self.size = len(self.packets)

    def train(self, first: int, until: int) -> Train:
        """The blocks *first* to *until*."""
        length = self._length
        return self.packets[(first - 1) * length : until * length], length


class Mould:
    """
    Room for *blocks* blocks of *blksize* bytes, the headers between them.

    A file is read into it by one call, and no block is put together.  What comes out is the mould
    itself: it has to leave before the mould is filled again.
    """

    def __init__(self, blksize: int, blocks: int) -> None:
        self._blksize = blksize
        self._length = length = blksize + HEADER
        self._packets = bytearray(_HEADER(_DATA, 0).ljust(length, b"\0") * blocks)
        self._view = view = memoryview(self._packets)
        self._rooms = [view[at + HEADER : at + length] for at in range(0, len(view), length)]

    def fill(
        self,
        read_into: Callable[[Sequence[memoryview], int], int],
        first: int,
        until: int,
        size: int,
    ) -> Train:
        """The blocks *first* to *until* of *size* bytes; EOFError where *read_into* has fewer."""
        count, length, offset = until - first + 1, self._length, (first - 1) * self._blksize
        wanted = min(count * self._blksize, size - offset)
        if read_into(self._rooms[:count], offset) < wanted:
            raise EOFError(f"file shrank below its {size} bytes while it was sent")
        self._number(first, count)
        return self._view[: wanted + count * HEADER], length

    def _number(self, first: int, count: int) -> None:
        """The block numbers of all headers, high bytes and low bytes."""
        end, low = count * self._length, first & 0xFF
        self._packets[3 : end : self._length] = _LOW[low : low + count]
        if low + count <= 256:
            high = bytes((first >> 8 & 0xFF,)) * count
        else:
            high = bytes(block >> 8 & 0xFF for block in range(first, first + count))
        self._packets[2 : end : self._length] = high


@lru_cache(maxsize=_MOULDS)
def mould(blksize: int, blocks: int) -> Mould:
    """The one that everybody with such windows uses."""
    return Mould(blksize, blocks)


class Streamed:
    """A file of *size* bytes that *read_into* reads, for windows of *windowsize* blocks."""

    __slots__ = ("_blksize", "_read_into", "_size", "_windowsize")

    packets = None

    def __init__(
        self,
        read_into: Callable[[Sequence[memoryview], int], int],
        size: int,
        blksize: int,
        windowsize: int,
    ) -> None:
        self._read_into = read_into
        self._size = size
        self._blksize, self._windowsize = blksize, windowsize

    def train(self, first: int, until: int) -> Train:
        """The blocks *first* to *until*."""
        place = mould(self._blksize, self._windowsize)
        return place.fill(self._read_into, first, until, self._size)
