"""
Octets as netascii: LF becomes CR LF, CR becomes CR NUL (RFC 1350 section 1, RFC 764).

The translation of a byte depends on that byte alone, so it can be made a piece at a time; where a
line end falls across two blocks, its CR ends the one and its LF begins the other.  How long the
whole will be is not known before the end, so such a transfer has no size.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable

_PIECE = 16_384  # bytes of the file translated at a time


def translate(octets: bytes) -> bytes:
    """*octets* as they travel; CR first, lest the CR of a line end be doubled."""
    return octets.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


class Netascii:
    """
    Reads *size* octets through *read* and gives their translation.

    Made for a transfer that goes forward: what lies before the last offset asked for is
    forgotten, and an offset before that starts again from the beginning.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._rewind()

    def _rewind(self) -> None:
        self._taken = 0  # octets of the file translated so far
        self._start = 0  # where in the translation the kept part begins
        self._kept = b""

    def read(self, offset: int, count: int) -> bytes:
        """
        Up to *count* translated bytes from *offset*, fewer at the end.

        Raises EOFError where the file has shrunk.
        """
        if offset < self._start:
            self._rewind()
        while self._start + len(self._kept) < offset + count and self._taken < self._size:
            self._forget(offset)
            self._kept += self._next()
        self._forget(offset)
        return self._kept[:count]

    def _forget(self, offset: int) -> None:
        past = min(offset - self._start, len(self._kept))
        self._kept = self._kept[past:]
        self._start += past

    def _next(self) -> bytes:
        wanted = min(_PIECE, self._size - self._taken)
        octets = self._read(self._taken, wanted)
        if len(octets) < wanted:
            raise EOFError(f"file shrank below its {self._size} bytes while it was sent")
        self._taken += wanted
        return translate(octets)
