"""
How many listed machines are in each state, cheap enough to be asked at every scrape.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from netbootd.boots.boot import Boot
from netbootd.mac import MAC
from netbootd.record.standing import FRESH, Standing
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.why.diagnosis import State
from netbootd.why.patience import is_off, state_of

_MOST_OF_TIME = 0.02  # a count that takes longer than this part of the time is not made as often


class Census:
    """Only machines that were seen are looked at one by one; the others change with a reload."""

    def __init__(self) -> None:
        self._generation = 0
        self._listed: frozenset[str] = frozenset()
        self._off: frozenset[str] = frozenset()
        self._found: Mapping[str, int] = {}
        self._again = 0.0

    def take(
        self,
        registry: Registry,
        standings: Mapping[str, Standing],
        boots: Mapping[str, Boot],
        now: float,
    ) -> Mapping[str, int]:
        """Machines by state, every state among them; *now* in Unix seconds."""
        began = time.monotonic()
        if registry.generation != self._generation:
            self._generation = registry.generation
            self._listed = frozenset(machine.key for machine in registry.known)
            self._off = frozenset(machine.key for machine in registry.known if is_off(machine))
        elif began < self._again:
            return self._found
        self._found = self._counted(registry, standings, boots, now)
        ended = time.monotonic()
        self._again = ended + (ended - began) / _MOST_OF_TIME
        return self._found

    def _counted(
        self,
        registry: Registry,
        standings: Mapping[str, Standing],
        boots: Mapping[str, Boot],
        now: float,
    ) -> Mapping[str, int]:
        seen = self._listed & (standings.keys() | boots.keys())
        counts = Counter(
            state_of(boots.get(key), standings.get(key, FRESH), _machine(registry, key), now)
            for key in seen
        )
        counts[State.DISABLED] += len(self._off - seen)
        counts[State.UNKNOWN] += len(self._listed - seen - self._off)
        return {state.value: counts[state] for state in State}


def _machine(registry: Registry, key: str) -> Machine | None:
    found = registry.named.get(key)
    mac = None if found else MAC.maybe(key)
    return registry.machines.get(mac) if mac else found
