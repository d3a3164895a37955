"""
One process of libFuzzer: ``python -m tests.fuzz.feeding NAME MODULES RUNS [libFuzzer's arguments]``.

*MODULES*, with commas between, have to be known before they are imported: that is when atheris
lays its counters into them.
"""

from __future__ import annotations

import gc
import logging
import sys
from random import Random
from time import thread_time

import atheris

from tests.fuzz.totals import Totals

_NOTED = 10_000  # inputs between two writings of the totals
_WEIGHED = 251  # every so many inputs the memory is looked at, which takes its time
_PUMPED = 1_009  # every so many a part of one is repeated until it is as long as may be


class TooSlow(Exception):
    """An input took longer than it may."""


class TooLarge(Exception):
    """An input took more memory than it may."""


def main() -> None:
    name, modules, runs, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=modules.split(",")):
        from tests.fuzz.decoder import memory_of, pumped, within
        from tests.fuzz.decoders import DECODERS
    logging.disable()
    decoder = DECODERS[name]
    feed = decoder.feed
    totals = Totals.of(name)
    last, chance = totals.inputs + int(runs), Random(totals.inputs)
    feed(b"")  # imports what is imported late, and fills what is made once
    gc.freeze()

    def cost(data: bytes) -> float:
        start = thread_time()
        feed(data)
        return thread_time() - start

    def feed_one(data: bytes, *, weigh: bool) -> None:
        seconds = cost(data)
        totals.inputs += 1
        totals.cpu_s += seconds
        if seconds * 1e6 > totals.slowest_us:
            seconds = min(seconds, cost(data), cost(data))  # what else was done in between
            if seconds * 1e6 > totals.slowest_us:
                totals.slowest_us, totals.slowest = seconds * 1e6, data.hex()
            if seconds * 1e6 > within(decoder.cpu_us, data):
                (totals.folder / "findings" / f"slow-{len(data)}").write_bytes(data)
                raise TooSlow(f"{len(data)} bytes take {seconds * 1e6:,.0f} us: {data[:200]!r}")
        if weigh:
            memory = memory_of(feed, data)
            totals.memory = max(totals.memory, memory)
            if memory > within(decoder.memory, data):
                (totals.folder / "findings" / f"large-{len(data)}").write_bytes(data)
                raise TooLarge(f"{len(data)} bytes take {memory:,} of memory: {data[:200]!r}")

    def test_one_input(data: bytes) -> None:
        number = totals.inputs
        feed_one(data, weigh=number % _WEIGHED == 0)
        if number % _PUMPED == 0:
            feed_one(pumped(data, decoder.largest, chance), weigh=True)
        if number // _NOTED < totals.inputs // _NOTED or totals.inputs >= last:
            totals.keep()

    atheris.Setup([sys.argv[0], f"-runs={runs}", *arguments], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
