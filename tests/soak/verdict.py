"""
What is good enough: no boot failed that was begun anew, nobody got another's address, memory grew
by less than FLAT_KIB a minute in the second half, and neither objects nor descriptors were left
behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.soak.run import Tally
from tests.soak.sampling import Sample, slope

FLAT_KIB = 20.0
#: Samples from which on growth says something: one of them is a few hundred KiB off.
FEWEST = 90
#: Part of the blocks of memory that objects had at the start, after a rest in which the collector
#: walked all; they have more or less with every boot that is in memory.
SPARE_BLOCKS = 0.02
#: Connections that are kept for a moment, and a reader of the configuration.
SPARE_DESCRIPTORS = 8


def faults(tally: Tally, samples: Sequence[Sample], end: Sample, tracebacks: int) -> list[str]:
    """What is not good, of what was measured and of the sample that was taken after a rest."""
    growth = slope(samples[len(samples) // 2 :], "own")
    first = samples[0]
    more = end.blocks / first.blocks - 1
    left = end.descriptors - first.descriptors
    found = {
        f"{tally.failed} boots failed": tally.failed,
        f"{tally.broken} phases broken": tally.broken,
        f"{tally.twice} addresses given twice": tally.twice,
        f"{tracebacks} tracebacks": tracebacks,
        f"memory grows by {growth:.0f} KiB a minute": growth >= FLAT_KIB and len(samples) >= FEWEST,
        f"{more:.1%} more blocks of objects": more > SPARE_BLOCKS,
        f"{left} descriptors left open": left > SPARE_DESCRIPTORS,
    }
    return [text for text, is_so in found.items() if is_so]
