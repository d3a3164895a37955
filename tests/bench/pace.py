"""
When pacing helps: a boot storm simulated, with and without it; ``python -m tests.bench.pace``.

Bytes flow as a fluid: those that load share the uplink evenly, none faster than its own loader is
and its own line allows, and all of them no faster than the disk, where the image is not in memory.
What decides who goes is the daemon's own queue (``netbootd.boot.pace``); a node that waits asks
again when it is told to.  No socket, no clock: a storm of an hour is over in a second.
"""

from __future__ import annotations

import heapq
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from netbootd.boot.pace import Queue, Rules

GBIT = 125_000_000.0  # bytes a second
MIB = float(1 << 20)
_TICK_S = 1.0
#: From a node's script to its first byte.
_START_S = 0.3


@dataclass(frozen=True)
class Storm:
    """
    *nodes* are switched on within *spread* seconds and load *size* bytes each, one at *node* bytes
    a second at most, over an *uplink*.  *disk* gives what the disk brings for so many different
    readers, None where all is in memory.
    """

    nodes: int = 500
    size: float = 500 * MIB
    uplink: float = 10 * GBIT
    node: float = 60 * MIB
    spread: float = 10.0
    disk: Callable[[int], float] | None = None


@dataclass(frozen=True)
class Finish:
    """Seconds from the first switch to a node's last byte: *median*, *p90* and the *last*."""

    median: float
    p90: float
    last: float
    at_once: int = 0  # what the queue had found in the end


def spinning(readers: int) -> float:
    """A disk that seeks between its readers: 200 MB/s for one, 40 for a crowd of them."""
    return 200e6 / (1 + min(readers - 1, 40) / 10)


class _Bodies:
    """Those that load, sharing evenly: everybody gets the same, so one clock counts for all."""

    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self._ends: list[tuple[float, int]] = []
        self._each = 0.0  # bytes that somebody got who was there all the time
        self._at = 0.0
        self.total = 0.0

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def nodes(self) -> Iterator[str]:
        return (str(node) for _, node in self._ends)

    def _speed(self) -> float:
        storm, count = self._storm, len(self._ends)
        most = min(storm.uplink, storm.disk(count) if storm.disk else storm.uplink)
        return min(storm.node, most / count)

    def run(self, now: float) -> None:
        """Let the bytes flow until *now*, at which none ends earlier."""
        if self._ends:
            got = (now - self._at) * self._speed()
            self._each += got
            self.total += got * len(self._ends)
        self._at = now

    def begin(self, node: int) -> None:
        heapq.heappush(self._ends, (self._each + self._storm.size, node))

    def end(self) -> int:
        return heapq.heappop(self._ends)[1]

    @property
    def next_end(self) -> float:
        if not self._ends:
            return float("inf")
        return self._at + max(0.0, self._ends[0][0] - self._each) / self._speed()


def run(storm: Storm, rules: Rules | None, seed: int = 1) -> Finish:
    """How the nodes of *storm* finish; without *rules* all load as they come."""
    chance = random.Random(seed)
    queue = Queue(rules) if rules else None
    bodies = _Bodies(storm)
    events: list[tuple[float, str, int]] = [
        (chance.uniform(0, storm.spread), "asks", node) for node in range(storm.nodes)
    ]
    heapq.heapify(events)
    heapq.heappush(events, (_TICK_S, "tick", -1))
    ends: list[float] = []
    while len(ends) < storm.nodes:
        now = min(events[0][0], bodies.next_end)
        bodies.run(now)
        if now < events[0][0]:
            node = bodies.end()
            ends.append(now)
            if queue:
                queue.over(str(node), now)
            continue
        _, what, node = heapq.heappop(events)
        if what == "tick":
            if queue:
                queue.tick(int(bodies.total), bodies.nodes, now)
            heapq.heappush(events, (now + _TICK_S, "tick", -1))
        elif what == "begins":
            bodies.begin(node)
        elif queue and (turn := queue.ask(str(node), now)).waits:
            heapq.heappush(events, (now + turn.again, "asks", node))
        else:
            heapq.heappush(events, (now + _START_S, "begins", node))
    ends.sort()
    p90 = ends[int(0.9 * len(ends)) - 1]
    return Finish(statistics.median(ends), p90, ends[-1], queue.limit if queue else 0)


# -- the table -------------------------------------------------------------------------------------

#: What the manual shows: the usual clusters, then where it helps little, and where it harms.
STORMS: Mapping[str, Storm] = {
    "100 × 500 MiB, 1 Gbit/s": Storm(100, 500 * MIB, 1 * GBIT),
    "500 × 500 MiB, 1 Gbit/s": Storm(500, 500 * MIB, 1 * GBIT),
    "2000 × 40 MiB, 1 Gbit/s": Storm(2000, 40 * MIB, 1 * GBIT),
    "100 × 500 MiB, 10 Gbit/s": Storm(100, 500 * MIB, 10 * GBIT),
    "500 × 500 MiB, 10 Gbit/s": Storm(500, 500 * MIB, 10 * GBIT),
    "2000 × 500 MiB, 10 Gbit/s": Storm(2000, 500 * MIB, 10 * GBIT),
    "500 × 500 MiB, 25 Gbit/s": Storm(500, 500 * MIB, 25 * GBIT),
    "500 × 2 GiB, 25 Gbit/s": Storm(500, 2048 * MIB, 25 * GBIT),
    "2000 × 40 MiB, 10 Gbit/s": Storm(2000, 40 * MIB, 10 * GBIT),
    "500 × 500 MiB, 10 Gbit/s, slow loaders": Storm(500, 500 * MIB, 10 * GBIT, node=20 * MIB),
    "100 × 500 MiB, 10 Gbit/s, slow loaders": Storm(100, 500 * MIB, 10 * GBIT, node=10 * MIB),
    "500 × 40 MiB, 25 Gbit/s": Storm(500, 40 * MIB, 25 * GBIT),
    "100 × 500 MiB, from one disk": Storm(100, 500 * MIB, 10 * GBIT, disk=spinning),
}
WAYS: Mapping[str, Rules | None] = {
    "all at once": None,
    "4": Rules(at_once=4),
    "16": Rules(at_once=16),
    "64": Rules(at_once=64),
    "auto": Rules(),
}


def main() -> None:
    """Print the table: of each way the median, the 90th percentile and the last, in seconds."""
    wide = max(map(len, STORMS))
    print(f"{'nodes × image, uplink':{wide}}", *(f"{way:>17}" for way in WAYS))
    for name, storm in STORMS.items():
        done = [run(storm, rules) for rules in WAYS.values()]
        cells = (f"{one.median:5.0f} {one.p90:5.0f} {one.last:5.0f}" for one in done)
        print(f"{name:{wide}}", *cells, flush=True)


if __name__ == "__main__":
    main()
