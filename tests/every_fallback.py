"""
``make fallbacks``: the tests of each protocol, once without each fast path, and a table of that.

::

    python -m tests.every_fallback [NAME …]

Each run is ``pytest --without NAME``; what failed there is printed below the table.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from typing import NamedTuple

from tests.fallbacks import FALLBACKS, HTTP_CLIENTS, SETS, TFTP_CLIENTS
from tests.forcing import ROOT

_ALL = "all"
_UEFI = "test_uefi_machine_boots_linux_through_4011_tftp_and_http"
_BIOS = "test_bios_machine_with_a_plain_rom_boots_linux_through_undionly"
#: Without anything: all the wire, and what boots.
_EVERYTHING = (
    *("tests/tftp", "tests/http", "tests/dhcp", "tests/boot", "tests/registry", "tests/leases"),
    *(TFTP_CLIENTS, HTTP_CLIENTS),
    *(f"tests/end_to_end/test_firmware.py::{test}" for test in (_UEFI, _BIOS)),
)


class Run(NamedTuple):
    """What came of the tests *without* something."""

    without: str
    instead: str
    status: int
    passed: int
    skipped: int
    seconds: float
    told: str


def run(name: str) -> Run:
    """The tests without *name*, two at a time; ``slow`` ones and what needs no QEMU as well."""
    command = [
        *(sys.executable, "-m", "pytest", "--quiet", "--tb=short", "--without", name),
        *("--numprocesses", "2", "--dist", "worksteal", "-m", "not e2e or ci"),
        *(FALLBACKS[name].folders if name in FALLBACKS else _EVERYTHING),
    ]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = dict(re.findall(r"(\d+) (passed|skipped)", done.stdout.rstrip().rpartition("\n")[2]))
    count = {word: int(number) for number, word in found.items()}
    instead = (
        FALLBACKS[name].instead if name in FALLBACKS else f"{len(SETS[name])} of these at once"
    )
    return Run(
        *(name, instead, done.returncode, count.get("passed", 0), count.get("skipped", 0)),
        *(time.monotonic() - began, done.stdout + done.stderr),
    )


def line_of(one: Run) -> str:
    """A line of the table."""
    status = "" if one.status == 0 else "  FAILED"
    return (
        f"{one.without:12} {one.instead:58} {one.passed:6} {one.skipped:8} "
        f"{one.seconds:5.0f} s{status}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fallbacks", description="See docs/performance.rst.")
    names = [*FALLBACKS, _ALL]
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names):
        parser.error(f"no such fast path: {', '.join(sorted(unknown))}")
    print(f"{'without':12} {'instead':58} {'passed':>6} {'skipped':>8} {'takes':>7}")
    runs = []
    for name in asked.names or names:
        runs.append(run(name))
        print(line_of(runs[-1]), flush=True)
    failed = [one for one in runs if one.status]
    for one in failed:
        print(f"\n--without {one.without}:\n{one.told}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
