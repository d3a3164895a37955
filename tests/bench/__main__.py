"""
netbootd and other boot servers, side by side: the same load on each in turn, in several rounds.

``make bench`` (root) prints a table.  Nothing here is a test: figures are for people to compare,
and only the ratios mean something on another machine.  A ratio is that of the medians of the
rounds; behind it stand the least and the most of any round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench import figures, report
from tests.bench.cases import Rounds, Wanted, chosen
from tests.bench.ground import Ground, everything
from tests.bench.loads import LOADS
from tests.bench.profiles import Profiles
from tests.end_to_end.cache import CACHE
from tests.end_to_end.lab import NETBOOTD, Lab
from tests.end_to_end.process import ROOT, LabError

#: Load averages of one minute from which on the machine is not quiet.
QUIET = 0.5


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        epilog="""for example: make bench ARGS='dhcp tftp --rounds 5 --json run.json'""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "loads", nargs="*", help=f"of {', '.join(LOADS)}; all but the last by default"
    )
    parser.add_argument("--all", action="store_true", help="every case, and every peer: hours")
    parser.add_argument(
        "--rounds", type=_at_least_one, default=3, metavar="N", help="how often each is measured; 3"
    )
    parser.add_argument(
        "--json", type=_writable, metavar="FILE", help="write what was measured there"
    )
    parser.add_argument(
        "--netbootd",
        type=_netbootd,
        default=NETBOOTD,
        metavar="PATH",
        help="another checkout, or its program",
    )
    parser.add_argument("--folder", type=Path, default=CACHE, help="on the disk to measure")
    parser.add_argument("--case", default="", metavar="TEXT", help="cases with that in their names")
    parser.add_argument("--alone", action="store_true", help="netbootd without its peers")
    for name, what in (("profile", "cProfile"), ("calls", "strace -c")):
        text = f"netbootd alone, under {what}; files go there"
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help=text)
    return parser


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _writable(text: str) -> Path:
    """Found out before the hour and not behind it."""
    try:
        Path(text).open("a").close()
    except OSError as problem:
        raise argparse.ArgumentTypeError(f"cannot write {text}: {problem.strerror}") from None
    return Path(text)


def _netbootd(text: str) -> Path:
    path = Path(text)
    is_checkout = (path / "netbootd" / "__main__.py").exists()
    if not is_checkout and (path.is_dir() or not os.access(path, os.X_OK)):
        raise argparse.ArgumentTypeError(f"{text} is neither a checkout of netbootd nor a program")
    return path


def main() -> int:
    given = arguments().parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        given.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=given.folder, prefix="bench-"))
    except OSError as problem:
        print(f"--folder {given.folder}: {problem.strerror}", file=sys.stderr)
        return 2
    try:
        return run(given, folder)
    except LabError as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(given: argparse.Namespace, folder: Path) -> int:
    """All rounds of the loads that were *given*, and their table."""
    wanted = Wanted(given.all, given.alone, given.case)
    loads = chosen(LOADS, given.loads, wanted)
    profiles = None
    if given.profile or given.calls:
        checkout = given.netbootd if given.netbootd.is_dir() else ROOT
        folder_of_profiles = given.profile or given.calls
        profiles = Profiles(folder_of_profiles, checkout.absolute(), calls=not given.profile)
        given.alone, given.rounds = True, 1
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print("making the files to serve …", file=sys.stderr)
    everything()
    doubts = busy()
    with Lab() as lab:
        ground = Ground(lab, given.netbootd.absolute(), profiles)
        if ground.one_core:
            doubts.append("one processor for server and load: the figures say little")
        all_rounds = [Rounds(ground, load, folder, wanted) for load in loads]
        for number in range(given.rounds):
            for load, rounds in zip(loads, all_rounds, strict=True):
                begun = time.monotonic()
                rounds.one(number)
                took = f"{time.monotonic() - begun:.0f} s"
                print(f"round {number + 1}: {load.name}, {took}", file=sys.stderr)
    measured = [case for rounds in all_rounds for case in rounds.measured]
    found = summary(given, measured, doubts)
    print(*report.text(found["rows"]), sep="\n")
    print(*report.doubts(found), sep="\n")
    if profiles:
        profiles.tell()
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    return 0


def busy() -> list[str]:
    """What is to be said of the machine before anything is measured."""
    load, _, _ = os.getloadavg()
    return [f"the machine was at work before: a load of {load:.1f}"] if load > QUIET else []


def summary(
    given: argparse.Namespace, measured: list[figures.Measured], doubts: list[str]
) -> dict[str, Any]:
    """Everything, for a file."""
    return {
        "command": " ".join(["make bench", _arguments()]).strip(),
        "when": time.strftime("%Y-%m-%d"),
        "host": f"{os.cpu_count()} processors, Linux {platform.release()}, {_processor()}",
        "python": platform.python_version(),
        "netbootd": _version(given.netbootd),
        "rounds": given.rounds,
        "warnings": doubts,
        "rows": [figures.as_json(row) for case in measured for row in figures.rows(case)],
        "cases": [
            {
                "load": case.load,
                "case": case.case,
                "rounds": case.figures,
                "problems": case.problems,
                "doubts": [vars(doubt) for doubt in case.doubts],
            }
            for case in measured
        ],
    }


def _arguments() -> str:
    words = [word for word in sys.argv[1:] if not word.endswith(".json") and word != "--json"]
    return f'ARGS="{shlex.join(words)}"' if words else ""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(program: Path) -> str:
    """The commit of the checkout that *program* belongs to."""
    folder = program if program.is_dir() else program.parent
    argv = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
