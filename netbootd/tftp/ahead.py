"""
A file read ahead, a little at a time.  Pure but for what reads it.
"""

from __future__ import annotations

from collections.abc import Callable

#: Bytes read at once in lock step: one system call for eleven blocks.  More than that is not kept,
#: nor anything for who was never heard: it would be kept for ten thousand transfers.
_READ_AHEAD = 16_384


class Ahead:
    """*size* bytes that *read* (offset and count in bytes) gives; None where nobody knows."""

    __slots__ = ("_found", "_found_at", "_read", "_size")

    def __init__(self, read: Callable[[int, int], bytes], size: int | None) -> None:
        self._read = read
        self._size = size
        self._found = memoryview(b"")  # the part that was read last, and where it begins
        self._found_at = 0

    def part(self, offset: int, count: int, *, ahead: bool) -> memoryview:
        """
        *count* bytes, or what there is up to the end; raises EOFError where there is less.

        *ahead*: what comes behind them is soon asked for.
        """
        size, stretch = self._size, count
        if size is not None:
            count = min(count, size - offset)
            stretch = min(max(count, _READ_AHEAD if ahead else 0), size - offset)
        found, start = self._found, offset - self._found_at
        if start < 0 or start + count > len(found):
            found, start = memoryview(self._read(offset, stretch)), 0
            if stretch > count:
                self._found, self._found_at = found, offset
        if size is not None and start + count > len(found):
            raise EOFError(f"file shrank below its {size} bytes while it was sent")
        return found[start : start + count]
