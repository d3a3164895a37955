"""What a decoder is to the fuzzers, and what one input may cost."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

UDP = 65_507  # bytes of the longest datagram
CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True, eq=False)
class Decoder:
    """
    *feed* takes any bytes, and raises nothing: what the decoder may raise it catches, and what must
    hold of the result it asserts.  *modules* are the ones whose branches lead the fuzzer.

    The fuzzer makes inputs of up to *longest* bytes, and some of these into ones of up to *largest*,
    which is what can reach the decoder.  One of n bytes may cost ``base + each * n``: *lines* are lines of
    Python that are executed, *memory* bytes held at once, *cpu_us* microseconds of CPU.
    """

    name: str
    feed: Callable[[bytes], object]
    modules: tuple[str, ...]
    seeds: Callable[[], Iterable[bytes]]
    longest: int
    largest: int = UDP
    lines: tuple[float, float] = (2_000, 50)
    memory: tuple[float, float] = (200_000, 100)
    cpu_us: tuple[float, float] = (5_000, 2)

    def kept(self) -> list[Path]:
        """The files of the corpus."""
        return sorted((CORPUS / self.name).glob("*"))


def pumped(data: bytes, largest: int, chance: Random) -> bytes:
    """
    *data* with one of its parts repeated until it has some thousand bytes, at most *largest*: what
    costs more than in proportion to its size shows only in what is long.
    """
    ends = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    # The parts of a format are short, and most of them stand behind a header.
    start, end = (
        (ends[0], ends[1]) if chance.random() < 0.3 else (ends[0], ends[0] + 1 + ends[1] % 8)
    )
    part = data[start:end] or b"\0"
    size = int(1024 * (largest / 1024) ** chance.random())
    whole = data[:start] + part * (max(0, size - len(data)) // len(part)) + data[start:]
    return whole[:largest]


def mutated(data: bytes, other: bytes, longest: int, chance: Random) -> bytes:
    """*data* with a few changes, some of them pieces of *other*: what a fuzzer does without a lead."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        start, size = chance.randrange(len(changed) + 1), chance.choice((1, 1, 2, 4, 30))
        match chance.randrange(4):
            case 0:
                changed[start : start + 1] = chance.choice((b"\0", b"\xff", chance.randbytes(1)))
            case 1:
                del changed[start : start + size]
            case 2:
                changed[start:start] = changed[start : start + size]
            case 3:
                at = chance.randrange(len(other) + 1)
                changed[start : start + size] = other[at : at + size]
    return bytes(changed[:longest])


def within(bound: tuple[float, float], data: bytes) -> float:
    """How much *data* may cost."""
    base, each = bound
    return base + each * len(data)


def lines_of(feed: Callable[[bytes], object], data: bytes) -> int:
    """How many lines of Python *data* makes run: the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        feed(data)
    finally:
        sys.settrace(before)
    return count


def memory_of(feed: Callable[[bytes], object], data: bytes) -> int:
    """How many bytes more there were in use at one time."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        feed(data)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
