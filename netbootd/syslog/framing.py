"""
Syslog over TCP: a stream into messages (RFC 6587).

Each frame is looked at for itself: a number, a blank and ``<`` begin one whose bytes are counted;
any other ends with LF or NUL.  Senders mix them in one stream.
"""

from __future__ import annotations

import re

from netbootd.errors import WireError

#: Bytes of a message (rsyslog takes 200,000 for a counted one).
LONGEST = 1 << 18
_COUNT = re.compile(rb"([1-9]\d{0,9}) (?=<)")
_MAYBE_COUNT = re.compile(rb"[1-9]\d{0,9}(?: |$)")
_END = re.compile(rb"[\n\0]")


class Frames:
    """
    The messages of one connection, from its bytes as they come.

    A frame without a count that is too long is given as far as it goes, and the rest of it is
    skipped.  ``problem`` tells why nothing behind what was given can be read, empty while it can.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._buffer = bytearray()
        self._skipping = False
        self._searched = 0  # so far there is no end in the buffer

    @property
    def pending(self) -> int:
        """Bytes of a message that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that *data* completes, as far as it can be read."""
        buffer: bytes | bytearray = data
        if self._buffer:
            self._buffer += data  # in place: one that comes byte by byte would be copied each time
            buffer = self._buffer
        found: list[bytes] = []
        at = 0
        try:
            while at < len(buffer) and (end := self._end(buffer, at, found)) >= 0:
                at = end
        except WireError as problem:
            self.problem = str(problem)
            at = len(buffer)
        if buffer is self._buffer:
            del self._buffer[:at]
        else:
            self._buffer += buffer[at:]
        return found

    def end(self) -> list[bytes]:
        """The connection is over: what is left is a message too."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return [rest] if rest and not self._skipping else []

    def _end(self, buffer: bytes | bytearray, at: int, found: list[bytes]) -> int:
        """Take the frame that begins at *at*; where it ends, -1 if that has not come yet."""
        if not self._skipping and b"1" <= buffer[at : at + 1] <= b"9":
            if counted := _COUNT.match(buffer, at):
                return _counted(buffer, counted, found)
            whole = _MAYBE_COUNT.match(buffer, at)
            if whole and whole.end() == len(buffer):
                return -1
        match = _END.search(buffer, at + self._searched)
        if match is None:
            return self._endless(buffer, at, found)
        self._searched = 0
        if self._skipping:
            self._skipping = False
        elif frame := buffer[at : match.start()].removesuffix(b"\r"):
            found.append(bytes(frame))
        return match.end()

    def _endless(self, buffer: bytes | bytearray, at: int, found: list[bytes]) -> int:
        if len(buffer) - at <= LONGEST:
            self._searched = len(buffer) - at
            return -1
        if not self._skipping:
            found.append(bytes(buffer[at:]))
        self._skipping, self._searched = True, 0
        return len(buffer)


def _counted(buffer: bytes | bytearray, counted: re.Match[bytes], found: list[bytes]) -> int:
    """Raises WireError for a count beyond the limit: how the stream goes on cannot be known."""
    length = int(counted[1])
    if length > LONGEST:
        raise WireError(f"a message of {length} bytes is announced, the limit is {LONGEST}")
    end = counted.end() + length
    if end > len(buffer):
        return -1
    found.append(bytes(buffer[counted.end() : end]))
    return end
