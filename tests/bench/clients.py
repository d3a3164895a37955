"""
The load generators in ``clients/``: many boot clients in one program of C, and what they counted.

They are compiled when first used, into ``.cache/bench/``, and again when a source has changed.
Their arguments and what they print stand at the top of ``clients/<subcommand>.c``; all latencies
are in milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

from tests.end_to_end.cache import CACHE
from tests.end_to_end.lab import Lab
from tests.end_to_end.process import LabError

SOURCES = Path(__file__).with_name("clients")
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Werror")
#: What ``pattern`` repeats: a prime, so that no usual size of block, page or buffer is a multiple
#: of it, and bytes from a wrong place are never the right ones.
PERIOD = 65_521


def build(*more: str) -> Path:
    """The program ``load``, compiled with *more* flags beside the usual ones; LabError if not."""
    files = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(repr((FLAGS, more)).encode())
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    program = CACHE / "bench" / f"load-{digest.hexdigest()[:16]}"
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    new = program.with_suffix(f".{os.getpid()}")
    sources = [str(file) for file in files if file.suffix == ".c"]
    argv = ["cc", *FLAGS, *more, "-o", str(new), *sources, "-lm"]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}:\n{done.stderr}")
    new.rename(program)
    return program


def command(load: str, *, core: int | None = None, **settings: Any) -> list[str]:
    """The command line of ``load`` *load* with *settings*, on one processor *core* or on any."""
    held = ["taskset", "-c", str(core)] if core is not None else []
    return [*held, str(build()), load, *(f"{key}={value}" for key, value in settings.items())]


def run(
    lab: Lab, load: str, *, place: str = "lan", core: int | None = None, at_most_s: float = 300,
    **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """What *load* counted, run in *place* of *lab*; LabError if its arguments make no sense."""
    text = lab.run(place, *command(load, core=core, **settings), timeout=at_most_s)
    counted: dict[str, Any] = json.loads(text)
    return counted


def pattern(file: Path, size: int) -> Path:
    """*file* with *size* bytes in which no part is like another part near it."""
    block = random.Random(PERIOD).randbytes(PERIOD)
    with file.open("wb") as opened:
        for at in range(0, size, PERIOD):
            opened.write(block[: size - at])
    return file


if __name__ == "__main__":
    print(build())
