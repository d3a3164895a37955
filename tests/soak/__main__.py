"""
``make soak ARGS='--minutes 60'``: hours of mixed load and faults, and whether anything grows.

First all tables that have a bound are filled, then it is measured for so long, and at the end the
daemon is killed a few times.  Told are: what it took, sample by sample; what became of the boots,
with a reason for each that did not come up at once; and a verdict (``verdict.py``), which is the
exit status.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.end_to_end.lab import Lab
from tests.soak.run import Soak, Tally
from tests.soak.sampling import Sample, slope, table
from tests.soak.verdict import faults

KILLS = 4


def arguments_of() -> argparse.ArgumentParser:
    """What may be said."""
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__)
    measured = "how long is measured (60); all tables are filled before, each fault comes once "
    measured += f"before that, and rests and {KILLS} kills follow: about ten minutes more"
    parser.add_argument("--minutes", type=float, default=60, help=measured)
    parser.add_argument("--seed", type=int, default=1, help="of faults and their order (1)")
    parser.add_argument("--nodes", type=int, default=12, help="in each storm (12)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = arguments_of()
    given = parser.parse_args(arguments)
    with Lab() as lab:
        soak = Soak(lab, seed=given.seed, nodes=given.nodes, say=_say)
        try:
            soak.fill()
            samples = soak.go(given.minutes * 60)
            if soak.place.daemon.returncode is not None:
                print(soak.place.daemon.text[-4000:])
                print("verdict: NOT GOOD: netbootd ended,", soak.place.daemon.returncode)
                return 1
            soak.rest()
            end = soak.sampler().take()
            for _ in range(KILLS):
                soak.phase("killed")
            text = soak.ended + soak.place.daemon.text
        finally:
            soak.close()
    return _report(soak.tally, samples, end, text.count("Traceback"))


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def _report(tally: Tally, samples: list[Sample], end: Sample, tracebacks: int) -> int:
    first, late = samples[0], samples[len(samples) // 2 :]
    print(table([*samples, end]))
    print()
    for reason, times in Counter(tally.reasons).most_common():
        print(f"{times:4d} x {reason}")
    print(
        f"\nphases: {dict(tally.phases)}\n"
        f"boots: {tally.tried} tried, {tally.first} up at the first try, {tally.later} after they "
        f"were begun anew ({tally.begun_anew} times), {tally.failed} failed; "
        f"{tally.broken} phases broken by something else\n"
        f"leases: {tally.leases} given, {tally.twice} to two\n"
        f"memory: {first.own} KiB at the start, {end.own} at the end, "
        f"{slope(late, 'own'):+.1f} KiB a minute in the second half\n"
        f"blocks of objects: {first.blocks} at the start, {end.blocks} at the end\n"
        f"descriptors: {first.descriptors} at the start, {end.descriptors} at the end; "
        f"threads {first.threads}, {end.threads}; children {end.children}\n"
        f"tracebacks in the log: {tracebacks}"
    )
    found = faults(tally, samples, end, tracebacks)
    print("verdict:", f"NOT GOOD: {'; '.join(found)}" if found else "good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
