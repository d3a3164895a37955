"""
``make fuzz``: millions of inputs for each decoder, or for those that are named.

Whatever is interrupted goes on where it was: the inputs that found something new, and how many
there were, are in ``.cache/fuzz``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.decoder import CORPUS, Decoder
from tests.fuzz.decoders import DECODERS
from tests.fuzz.totals import Totals

_AT_ONCE = 1_000_000  # inputs of one process: what it leaks does not add up
_ROOT = Path(__file__).parents[2]
_SEEN = re.compile(r"cov: (\d+) .*?corp: (\d+)")
_SHOWN = 30  # lines of a finding


def main() -> int:
    """1 where something was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DECODERS))
    told = "until there were so many inputs in all, of earlier runs too (1,000,000)"
    parser.add_argument("--runs", type=int, default=1_000_000, metavar="N", help=told)
    parser.add_argument(
        "--report", action="store_true", help="say what there was, and feed nothing"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - DECODERS.keys():
        parser.error(f"no decoder {', '.join(sorted(unknown))}: there are {', '.join(DECODERS)}")
    if not options.report and find_spec("atheris") is None:
        parser.error("there is no atheris: it is built for x86_64 and Python 3.11 to 3.13")
    found = False
    for name in options.names or DECODERS:
        if options.report:
            print(Totals.of(name))
        else:
            found |= not fuzz(DECODERS[name], options.runs)
    return int(found)


def fuzz(decoder: Decoder, runs: int, at_once: int = _AT_ONCE) -> bool:
    """Feed *decoder* until it has had *runs* inputs in all; whether all went well."""
    totals = Totals.of(decoder.name)
    for folder in ("inputs", "findings"):
        (totals.folder / folder).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(decoder.seeds()):
        (totals.folder / "inputs" / f"seed-{number}").write_bytes(seed)
    if totals.inputs >= runs:
        print(f"{decoder.name}: {totals.inputs:,} inputs already done, {runs:,} wanted in all")
    while totals.inputs < runs:
        before = totals.inputs
        good, told = _feed(decoder, totals, min(at_once, runs - before))
        totals = Totals.of(decoder.name)
        if seen := _SEEN.findall(told):
            totals.branches, totals.kept = map(int, seen[-1])
            totals.keep()
        print(totals, flush=True)
        if not good or totals.inputs == before:
            print("\n".join(_found(told)[-_SHOWN:]), flush=True)
            return False
    return True


def _feed(decoder: Decoder, totals: Totals, runs: int) -> tuple[bool, str]:
    """Whether one process went well, and what it said."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.feeding"),
            *(decoder.name, ",".join(decoder.modules), str(runs)),
            *(f"-seed={totals.inputs + 1}", f"-max_len={decoder.longest}", "-rss_limit_mb=1024"),
            f"-artifact_prefix={totals.folder}/findings/",
            *map(
                str,
                [totals.folder / "inputs", *([CORPUS / decoder.name] if decoder.kept() else [])],
            ),
        ],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        errors="replace",
    )
    return done.returncode == 0, done.stdout + done.stderr


def _found(told: str) -> list[str]:
    """What a process said, without how it went on before."""
    return [line for line in told.splitlines() if not re.match(r"#\d+|INFO:|NEW_FUNC", line)]


if __name__ == "__main__":
    sys.exit(main())
