"""
Who has shown an API token in a browser.

A session is a random number in a cookie and nothing on disk: a restart ends them all.  Kept is its
digest alone, so that to look it up takes no time that tells how much of a guess was right.  So it
is with the keys that open one session each, for somebody who has no token: a user of our socket.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

#: Seconds after which a session ends, whatever it does; and in which a key has to be used.
LIFE_S = 12 * 3600
KEY_LIFE_S = 300
_MOST = 256


class _Open(NamedTuple):
    """Something of *owner* that is good until *end*."""

    end: float
    owner: str


class Sessions:
    """Those that are open, the oldest end first when they are too many; *now* in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._open: OrderedDict[bytes, _Open] = OrderedDict()
        self._keys: OrderedDict[bytes, _Open] = OrderedDict()

    def begin(self, owner: str) -> str:
        """A new one of *owner*: what its cookie holds."""
        return self._add(self._open, owner, LIFE_S)

    def owner(self, name: str) -> str:
        """Whose the open session *name* is, empty where it is none."""
        return self._find(self._open, name)

    def end(self, name: str) -> None:
        """Close it, if it is one."""
        self._open.pop(_digest(name), None)

    def clear(self) -> None:
        """Close all, and forget all keys: other tokens count now than when they were opened."""
        self._open.clear()
        self._keys.clear()

    def make_key(self, owner: str) -> str:
        """What opens one session for *owner*, once."""
        return self._add(self._keys, owner, KEY_LIFE_S)

    def use_key(self, key: str) -> str:
        """Whose *key* it was, empty where it is none; it is none from now on."""
        owner = self._find(self._keys, key)
        self._keys.pop(_digest(key), None)
        return owner

    def _add(self, where: OrderedDict[bytes, _Open], owner: str, life_s: float) -> str:
        name = secrets.token_urlsafe(32)
        where[_digest(name)] = _Open(self._now() + life_s, owner)
        if len(where) > _MOST:
            where.popitem(last=False)
        return name

    def _find(self, where: OrderedDict[bytes, _Open], name: str) -> str:
        found = where.get(_digest(name))
        if found is not None and found.end <= self._now():
            del where[_digest(name)]
            return ""
        return found.owner if found else ""


def _digest(name: str) -> bytes:
    return sha256(name.encode("utf-8", "surrogateescape")).digest()
