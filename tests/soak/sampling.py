"""
What a process and its files take, again and again, and whether that grows.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """
    At *second* of the run: resident memory, and the *own* of it (KiB), *blocks* of memory that
    Python objects have, open descriptors, threads, children, and the KiB that databases, their
    write-ahead logs and the logs have on disk.

    Own is what is no page of a file.  The proportional part of those (PSS) is no measure: it falls
    and rises by megabytes when another Python on the same host begins and ends.
    """

    second: float
    rss: int
    own: int
    blocks: int
    descriptors: int
    threads: int
    children: int
    databases: int
    wal: int
    logs: int


class Sampler(threading.Thread):
    """
    Takes a Sample of the process *pid*, whose state is in *state* and whose blocks *blocks* tells,
    every *pause* seconds.
    """

    def __init__(self, pid: int, state: Path, blocks: Path, pause: float = 10.0) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._process = Path(f"/proc/{pid}")
        self._state = state
        self._blocks = blocks
        self._pause = pause
        self._began = time.monotonic()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._pause):
            try:
                self.samples.append(self.take())
            except OSError:  # it has ended
                return

    def stop(self) -> list[Sample]:
        """All that were taken."""
        self._over.set()
        self.join()
        return self.samples

    def take(self) -> Sample:
        """How it is at this moment; OSError where the process has ended."""
        status = (self._process / "status").read_text()
        rollup = (self._process / "smaps_rollup").read_text()
        children = (self._process / "task" / self._process.name / "children").read_text()
        return Sample(
            second=time.monotonic() - self._began,
            rss=_number(status, "VmRSS:"),
            own=_number(rollup, "Anonymous:"),
            blocks=int(self._blocks.read_text()),
            descriptors=len(os.listdir(self._process / "fd")),
            threads=_number(status, "Threads:"),
            children=len(children.split()),
            databases=_size(self._state.glob("*.sqlite")),
            wal=_size(self._state.glob("*.sqlite-wal")),
            logs=_size((self._state / "logs").glob("*")),
        )


def _number(text: str, word: str) -> int:
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(word))


def _size(paths: object) -> int:
    total = 0
    for path in paths:  # type: ignore[attr-defined]
        try:
            total += path.stat().st_size
        except OSError:  # it was compressed or removed meanwhile
            continue
    return total // 1024


def slope(samples: Sequence[Sample], what: str) -> float:
    """How much *what* grows in a minute, by least squares; 0 of fewer than two samples."""
    if len(samples) < 2:
        return 0.0
    times = [one.second / 60 for one in samples]
    values = [float(getattr(one, what)) for one in samples]
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    over = sum((time - middle) ** 2 for time in times)
    both = zip(times, values, strict=True)
    return sum((time - middle) * (value - mean) for time, value in both) / over if over else 0.0


def table(samples: Sequence[Sample], rows: int = 30) -> str:
    """Samples as lines, no more than *rows* of them, with the last."""
    names = [field.name for field in fields(Sample)]
    step = max(1, len(samples) // rows)
    chosen = [*samples[::step], *samples[-1:]]
    lines = [" ".join(f"{name:>11}" for name in names)]
    lines += [" ".join(f"{getattr(one, name):>11.0f}" for name in names) for one in chosen]
    return "\n".join(lines)
