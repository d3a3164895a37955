"""
The boots in memory: the latest of each machine, and a few before it.

Machines that are not listed can be made up by anybody, so they have a bound of their own, and the
one unheard of for longest goes first.  Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from netbootd.boots.boot import Boot

MOST_MACHINES = 16384
MOST_STRANGERS = 1024
#: Boots before the latest: of one machine, and of all.
MOST_BEFORE = 5
MOST_OLDER = 4096


class Shelf:
    """Boots by the key of their machine."""

    def __init__(self) -> None:
        self._latest: OrderedDict[str, Boot] = OrderedDict()
        self._strangers: OrderedDict[str, None] = OrderedDict()
        self._before: OrderedDict[str, tuple[Boot, ...]] = OrderedDict()  # newest first
        self._older = 0

    @property
    def latest(self) -> Mapping[str, Boot]:
        """The latest boot of each machine."""
        return self._latest

    def is_listed(self, key: str) -> bool:
        """Whether the machine *key*, of which there is a boot, was listed when last heard of."""
        return key not in self._strangers

    def recent(self, key: str) -> tuple[Boot, ...]:
        """The boots of the machine *key*, newest first."""
        latest = self._latest.get(key)
        return (latest, *self._before.get(key, ())) if latest else ()

    def put(self, boot: Boot, *, known: bool = True) -> None:
        """*boot* as it is now; one with a new number is the latest of its machine."""
        before = self._latest.get(boot.key)
        if before is not None and boot.number < before.number:
            self._put_before(boot)
            return
        if before is not None and before.number != boot.number:
            self._move_back(before)
        self._latest[boot.key] = boot
        self._latest.move_to_end(boot.key)
        if before is None or not known or boot.key in self._strangers:
            self._bound(boot.key, known=known)

    def take(self, key: str) -> tuple[Boot, ...]:
        """Take all boots of *key* off the shelf, newest first."""
        boots = self.recent(key)
        self._forget(key)
        return boots

    def _put_before(self, boot: Boot) -> None:
        before = self._before.get(boot.key, ())
        changed = tuple(boot if one.number == boot.number else one for one in before)
        if changed != before:
            self._before[boot.key] = changed

    def fill(self, boot: Boot) -> None:
        """Put *boot* behind those that are there; for boots that come newest first."""
        if boot.key not in self._latest:
            self._latest[boot.key] = boot
            self._latest.move_to_end(boot.key, last=False)
            return
        kept = self._before.get(boot.key, ())
        if len(kept) < MOST_BEFORE and self._older < MOST_OLDER:
            self._before[boot.key] = (*kept, boot)
            self._older += 1

    def _move_back(self, boot: Boot) -> None:
        kept = self._before.get(boot.key, ())
        self._before[boot.key] = (boot, *kept)[:MOST_BEFORE]
        self._before.move_to_end(boot.key)
        self._older += len(self._before[boot.key]) - len(kept)
        while self._older > MOST_OLDER:
            _, gone = self._before.popitem(last=False)
            self._older -= len(gone)

    def _bound(self, key: str, *, known: bool) -> None:
        if known:
            self._strangers.pop(key, None)
        else:
            self._strangers[key] = None
            self._strangers.move_to_end(key)
        if len(self._strangers) > MOST_STRANGERS:
            self._forget(next(iter(self._strangers)))
        if len(self._latest) > MOST_MACHINES:
            self._forget(next(iter(self._latest)))

    def _forget(self, key: str) -> None:
        self._latest.pop(key, None)
        self._strangers.pop(key, None)
        self._older -= len(self._before.pop(key, ()))
