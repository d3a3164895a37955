"""
``make soak ARGS='--minutes 60'``: hours of mixed load and faults, and whether anything grows.

At the end: what the daemon took, sample by sample; what became of the boots, with a reason for each
that did not come up at once; and a verdict, which is the exit status: 0 where no boot failed that
was begun anew, memory grew by less than FLAT_KIB a minute in the second half, and no descriptor was
left open.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.end_to_end.lab import Lab
from tests.soak.run import Soak, Tally
from tests.soak.sampling import Sample, Sampler, slope, table

FLAT_KIB = 20.0
#: Samples from which on growth says something: before, a daemon has not met everything once.
FEWEST = 90
#: Connections that are kept for a moment, and a reader of the configuration.
SPARE_DESCRIPTORS = 8
REST_S = 75.0  # until what was left open by others is closed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=12, help="in each storm")
    given = parser.parse_args(arguments)
    with Lab() as lab:
        soak = Soak(lab, seed=given.seed, nodes=given.nodes, say=_say)
        try:
            samples = soak.go(given.minutes * 60)
            if soak.place.daemon.returncode is not None:
                print(soak.place.daemon.text[-4000:])
                print("verdict: NOT GOOD: netbootd ended,", soak.place.daemon.returncode)
                return 1
            _say(f"resting for {REST_S:.0f} s")
            time.sleep(REST_S)
            end = _last(soak, samples)
            text = soak.place.daemon.text
        finally:
            soak.close()
    return _report(soak.tally, samples, end, text.count("Traceback"))


def _last(soak: Soak, samples: list[Sample]) -> Sample:
    return Sampler(soak.place.daemon.pid, soak.place.state).take()


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def _report(tally: Tally, samples: list[Sample], end: Sample, tracebacks: int) -> int:
    late = samples[len(samples) // 2 :]
    growth = slope(late, "pss")
    first = samples[0]
    left = end.descriptors - first.descriptors
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
        f"memory: {first.pss} KiB (PSS) at the start, {end.pss} at the end, "
        f"{growth:+.1f} KiB a minute in the second half\n"
        f"descriptors: {first.descriptors} at the start, {end.descriptors} at the end; "
        f"threads {first.threads}, {end.threads}; children {end.children}\n"
        f"tracebacks in the log: {tracebacks}"
    )
    good = (
        not tally.failed
        and not tally.broken
        and not tally.twice
        and not tracebacks
        and (growth < FLAT_KIB or len(samples) < FEWEST)
        and left <= SPARE_DESCRIPTORS
    )
    print("verdict:", "good" if good else "NOT GOOD")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
