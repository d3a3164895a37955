"""
How many listed machines are in each state.

To tell one machine's state takes 50 µs, so a fleet is counted in a thread, whose result the next
one who asks gets; a rack is counted at once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from netbootd.boots.boot import Boot
from netbootd.mac import MAC
from netbootd.record.standing import FRESH, Standing
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.why.diagnosis import State
from netbootd.why.patience import is_off, state_of

Counts = Mapping[str, int]
_FEW = 50  # machines that are counted at once, in less than 3 ms
_MOST_OF_TIME = 0.05  # of a processor


class Census:
    """
    *in_thread* does its first argument in a thread, and calls the second with the result, None
    where it failed.
    """

    def __init__(
        self, in_thread: Callable[[Callable[[], Counts], Callable[[Counts | None], None]], None]
    ) -> None:
        self._in_thread = in_thread
        self._found: Counts = {}
        self._began: float | None = None  # a count goes on
        self._again = 0.0

    def take(
        self,
        registry: Registry,
        standings: Mapping[str, Standing],
        boots: Mapping[str, Boot],
        now: float,
    ) -> Counts:
        """
        Machines by state, every state among them, as they were at the last count; nothing before
        the first.  *now* in Unix seconds.
        """
        if registry.listed <= _FEW:
            return counted(registry, standings, boots, now)
        at = time.monotonic()
        if self._began is None and at >= self._again:
            self._began = at
            work = partial(counted, registry, dict(standings), dict(boots), now)
            self._in_thread(work, self._counted)
        return self._found

    def _counted(self, found: Counts | None) -> None:
        ended = time.monotonic()
        took = ended - (self._began or ended)
        self._began, self._again = None, ended + took / _MOST_OF_TIME
        self._found = self._found if found is None else found


def counted(
    registry: Registry,
    standings: Mapping[str, Standing],
    boots: Mapping[str, Boot],
    now: float,
) -> Counts:
    """Listed machines by state; only those that were seen are looked at one by one."""
    listed = {machine.key for machine in registry.known}
    off = {machine.key for machine in registry.known if is_off(machine)}
    seen = listed & (standings.keys() | boots.keys())
    counts = Counter(
        state_of(boots.get(key), standings.get(key, FRESH), _machine(registry, key), now)
        for key in seen
    )
    counts[State.DISABLED] += len(off - seen)
    counts[State.UNKNOWN] += len(listed - seen - off)
    return {state.value: counts[state] for state in State}


def _machine(registry: Registry, key: str) -> Machine | None:
    found = registry.named.get(key)
    mac = None if found else MAC.maybe(key)
    return registry.machines.get(mac) if mac else found
