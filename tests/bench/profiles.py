"""
Where netbootd's time goes while it is measured: under cProfile, or strace, which counts system calls.

Both make it slower, by a third to three times: what is measured then is not for comparison.  cProfile
sees the main thread alone, which is the reactor's.  Bodies by HTTP are sent by another one, which does
little but system calls.
"""

from __future__ import annotations

import os
import pstats
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.process import LabError

PROFILED = Path(__file__).with_name("profiled.py")
#: Functions, or system calls, that are told.
LINES = 40


@dataclass
class Profiles:
    """
    Files in *folder*, numbered, one for each netbootd that was measured; of *calls* or functions.

    *checkout* is that of netbootd.
    """

    folder: Path
    checkout: Path
    calls: bool = False
    files: list[Path] = field(default_factory=list)
    _tracers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def under(self, netbootd: list[str]) -> list[str]:
        """The command line of the next *netbootd*."""
        self.folder.mkdir(parents=True, exist_ok=True)
        kind = "calls" if self.calls else "prof"
        file = (self.folder / f"{len(self.files) + 1}.{kind}").absolute()
        file.unlink(missing_ok=True)
        self.files.append(file)
        if self.calls:
            return netbootd
        path = f"PYTHONPATH={self.checkout}"
        return ["env", path, sys.executable, "-P", str(PROFILED), str(file)]

    def begin(self, pid: int) -> None:
        """From now on the last one counts, which is *pid*; LabError without strace."""
        if not self.calls:
            os.kill(pid, signal.SIGRTMIN)
        elif shutil.which("strace"):
            argv = ("strace", "-f", "-c", "-o", str(self.files[-1]), "-p", str(pid))
            self._tracers.append(subprocess.Popen(argv, stderr=subprocess.DEVNULL))
        else:
            raise LabError("strace is not there: apt-get install strace")

    def tell(self) -> None:
        """Print what took longest first: functions of all files together, calls of each."""
        for tracer in self._tracers:  # they end with what they trace
            try:
                tracer.wait(10)
            except subprocess.TimeoutExpired:
                tracer.kill()
        found = [file for file in self.files if file.exists() and file.stat().st_size]
        print(f"\nProfiles: {', '.join(map(str, found)) or 'none'}\n")
        if self.calls:
            for file in found:
                print(*file.read_text().splitlines()[:LINES], sep="\n")
        elif found:
            stats = pstats.Stats(*map(str, found), stream=sys.stdout)
            stats.strip_dirs().sort_stats("tottime").print_stats(LINES)
