"""
Option negotiation: what is asked, what is granted (RFC 2347).

Only what was asked is granted, in the order it was asked, names in lower case (EDK2 looks for the
lower-case word).  An option we do not know is left out; an OACK with an option nobody asked for
makes firmware abort.  A value outside the range its RFC gives raises OptionRefused, which becomes
ERROR 8.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from netbootd.errors import OptionRefused

DEFAULT_BLKSIZE = 512  # RFC 1350
LARGEST_BLKSIZE = 65_464  # RFC 2348
_BLKSIZE = range(8, LARGEST_BLKSIZE + 1)
_TIMEOUT_S = range(1, 255 + 1)  # RFC 2349
_WINDOWSIZE = range(1, 65_535 + 1)  # RFC 7440
#: IP, UDP and TFTP headers are 32 bytes; a larger block leaves in fragments, which ROMs lose.
_HEADERS = 32
#: Bytes of a window.  The end of one that the socket's send buffer (212,992 bytes, packets and
#: what surrounds them) does not hold would be lost each time, and only the timer would notice.
#: It is also less than half of the 16-bit block numbers, so old and new ones can be told apart.
_LARGEST_WINDOW = 131_072


_MOST_KEPT = 256  # grants: a whole rack asks for the same


class Bounds(NamedTuple):
    """
    What limits the grants: *size* of the file in bytes (None where it is not known), *mtu* of the
    way to the client in bytes, *windowsize* in blocks (0 grants none), *blksize* in bytes.
    """

    size: int | None
    mtu: int
    windowsize: int
    blksize: int = LARGEST_BLKSIZE


@dataclass(frozen=True, slots=True)
class Grant:
    """
    How a transfer goes: *blksize* in bytes, *windowsize* in blocks.

    *timeout_s* is None where the client left the time to us.  *answer* is what the OACK says;
    where it is empty no OACK is sent.
    """

    blksize: int = DEFAULT_BLKSIZE
    windowsize: int = 1
    timeout_s: int | None = None
    answer: Mapping[str, str] = field(default_factory=dict)


#: A transfer as before there were options.
PLAIN = Grant()


def negotiate(asked: Mapping[str, str], bounds: Bounds) -> Grant:
    """What we grant of *asked* (names in lower case); raises OptionRefused."""
    return _negotiated(tuple(asked.items()), bounds)


@lru_cache(maxsize=_MOST_KEPT)
def _negotiated(asked: tuple[tuple[str, str], ...], bounds: Bounds) -> Grant:
    granted: dict[str, int] = {}
    for name, value in asked:
        if name in _GRANTS and (number := _GRANTS[name](value, bounds)) is not None:
            granted[name] = number
    if "windowsize" in granted:
        most = _LARGEST_WINDOW // granted.get("blksize", PLAIN.blksize)
        granted["windowsize"] = max(1, min(granted["windowsize"], most))
    return Grant(
        blksize=granted.get("blksize", PLAIN.blksize),
        windowsize=granted.get("windowsize", PLAIN.windowsize),
        timeout_s=granted.get("timeout"),
        answer={name: str(number) for name, number in granted.items()},
    )


def _number(name: str, value: str, allowed: range) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 20):
        raise OptionRefused(f"{name} must be a number")
    number = int(value)
    if number not in allowed:
        raise OptionRefused(f"{name} must be {allowed[0]} to {allowed[-1]}")
    return number


def _grant_blksize(value: str, bounds: Bounds) -> int:
    """Bytes per block (RFC 2348): never above what was asked, never more than a frame holds."""
    asked = _number("blksize", value, _BLKSIZE)
    return min(asked, bounds.blksize, max(bounds.mtu - _HEADERS, _BLKSIZE[0]))


def _grant_tsize(value: str, bounds: Bounds) -> int | None:
    """The size of the file (RFC 2349), whatever number the client wrote."""
    _number("tsize", value, range(1 << 63))
    return bounds.size


def _grant_timeout(value: str, _bounds: Bounds) -> int:
    """Seconds (RFC 2349): the same number or none at all."""
    return _number("timeout", value, _TIMEOUT_S)


def _grant_windowsize(value: str, bounds: Bounds) -> int | None:
    """Blocks we send before waiting for an ACK (RFC 7440), before their size is looked at."""
    asked = _number("windowsize", value, _WINDOWSIZE)
    return min(asked, bounds.windowsize) or None


_GRANTS: Mapping[str, Callable[[str, Bounds], int | None]] = {
    "blksize": _grant_blksize,
    "tsize": _grant_tsize,
    "timeout": _grant_timeout,
    "windowsize": _grant_windowsize,
}
