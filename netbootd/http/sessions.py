"""
Who has shown the API token in a browser, and who tries to guess it.

A session is a random number in a cookie and nothing on disk: a restart ends them all.  Kept is its
digest alone, so that to look it up takes no time that tells how much of a guess was right.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

#: Seconds after which a session ends, whatever it does.
LIFE_S = 12 * 3600
_MOST = 256
#: Wrong tokens that one address may send within _WINDOW_S seconds.
_GUESSES = 10
_WINDOW_S = 60.0
_MOST_PEERS = 4096


class Sessions:
    """Those that are open, the oldest end first when they are too many; *now* in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def begin(self) -> str:
        """A new one: what its cookie holds."""
        name = secrets.token_urlsafe(32)
        self._ends[_digest(name)] = self._now() + LIFE_S
        if len(self._ends) > _MOST:
            self._ends.popitem(last=False)
        return name

    def holds(self, name: str) -> bool:
        """Whether *name* is one that is open."""
        end = self._ends.get(_digest(name))
        if end is not None and end <= self._now():
            self.end(name)
            return False
        return end is not None

    def end(self, name: str) -> None:
        """Close it, if it is one."""
        self._ends.pop(_digest(name), None)

    def clear(self) -> None:
        """Close all: the token they were opened with counts no more."""
        self._ends.clear()


class Guesses:
    """Wrong tokens by address; the addresses unheard of for longest are forgotten first."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._of: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, peer: str) -> int:
        """Seconds that *peer* has to wait for its next try, 0 for none."""
        times = self._of.get(peer, [])
        if len(times) < _GUESSES:
            return 0
        left = times[-_GUESSES] + _WINDOW_S - self._now()
        return int(left) + 1 if left > 0 else 0

    def wrong(self, peer: str) -> None:
        """*peer* has sent a wrong one."""
        times = self._of.setdefault(peer, [])
        times.append(self._now())
        del times[:-_GUESSES]
        self._of.move_to_end(peer)
        if len(self._of) > _MOST_PEERS:
            self._of.popitem(last=False)


def _digest(name: str) -> bytes:
    return sha256(name.encode("utf-8", "surrogateescape")).digest()
