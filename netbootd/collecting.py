"""
When Python looks for circles among what we have made (``gc``), which stops everything meanwhile.

What the start has made stays for ever and is never walked.  Of what packets make nearly all is in
no circle and goes by itself, or stays as boots and answers do: only the newest objects are looked
at as they come.  Python does so by itself when there are a thousand more than before, which never
comes to pass where bounded stores drop an old one for each new one: 80,000 had gathered, and took
70 ms.  So it is also done every 50 ms while packets come (``glance``).

Those that stayed are walked in a quiet moment, since thousands of boots take a tenth of a second;
and where none comes, after ``_PATIENCE_S`` all the same.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall

# New objects before the newest are looked at: ten thousand took 3 to 11 ms, in which nobody was
# answered.  The older ones, which at the usual 700 and 10 cost an eighth of the time of a busy DHCP
# server, after so many such looks: in no storm.
_COLLECTED = (1_000, 10_000_000, 10_000_000)
_YOUNG_S = 0.05  # at 10,000 packets a second a few thousand new objects
_LOOK_S = 10.0
_WORTH_S = 1.0  # of a processor since the last walk; after less there is little to be found
_QUIET = 0.1  # part of a processor
_PATIENCE_S = 600.0


def begin() -> None:
    """Before anything is made that stays."""
    gc.set_threshold(*_COLLECTED)


class Collector:
    """
    *spent*: seconds of a processor so far; *walk* looks at all but the start's objects, of the
    youngest generation or of every one.
    """

    def __init__(
        self,
        reactor: Any,
        spent: Callable[[], float] = time.process_time,
        walk: Callable[..., object] = gc.collect,
    ) -> None:
        self._reactor = reactor
        self._spent, self._walk = spent, walk
        self._due_since: float | None = None
        self._glanced = 0.0
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def start(self) -> None:
        """
        Collect from now on, but what is there is not walked: looking for the little that does not
        stay took a tenth of a second before we were ready.
        """
        gc.freeze()
        gc.enable()
        self._before = self._walked = self._spent()
        self._looking.start(_LOOK_S, now=False)

    def glance(self) -> None:
        """Look at the newest, unless that was done just now; to be called while packets come."""
        now = self._reactor.seconds()
        if now - self._glanced >= _YOUNG_S:
            self._glanced = now
            self._walk(0)

    def soon(self) -> None:
        """There is something to find: a reload leaves circles, such as templates."""
        if self._due_since is None:
            self._due_since = self._reactor.seconds()

    def _look(self) -> None:
        before, self._before = self._before, self._spent()
        if self._before - self._walked >= _WORTH_S:
            self.soon()
        if self._due_since is None:
            return
        waited = self._reactor.seconds() - self._due_since
        if self._before - before <= _QUIET * _LOOK_S or waited >= _PATIENCE_S:
            self._due_since = None
            self._walk()
            self._before = self._walked = self._spent()
