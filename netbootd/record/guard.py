"""
Loaders that are fetched again and again: a machine that goes in a circle.

Counted for each machine and loader, in memory only; times in seconds of any clock.
"""

from __future__ import annotations

from collections import OrderedDict

_MOST = 8192  # machines counted; the oldest is forgotten first
_LONGEST = 1001


class LoaderGuard:
    """Told of every loader that was fetched whole."""

    def __init__(self) -> None:
        self._fetched: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def count(self, key: str, loader: str, now: float, within: float) -> int:
        """How often *key* has fetched *loader* within *within* s, this time included."""
        times = self._fetched.setdefault((key, loader), [])
        self._fetched.move_to_end((key, loader))
        if len(self._fetched) > _MOST:
            self._fetched.popitem(last=False)
        recent = [at for at in (*times, now) if now - at <= within]
        times[:] = recent[-_LONGEST:]
        return len(times)

    def forget(self, key: str) -> None:
        """Begin again with the machine *key*."""
        for known in [known for known in self._fetched if known[0] == key]:
            del self._fetched[known]
