"""Profiles of netbootd while it is measured: they begin when they are told to, and hold its calls."""

from __future__ import annotations

import pstats
import subprocess
from pathlib import Path

import pytest

from tests.bench.profiles import Profiles
from tests.end_to_end.process import ROOT, LabError

#: A program of this name that is told to begin, does what it does, and ends.
NETBOOTD = """
import signal, sys

begin, begun = signal.getsignal(signal.SIGRTMIN), []

def told(*_):
    begin()
    begun.append(True)

def before(): pass
def measured(): pass

signal.signal(signal.SIGRTMIN, told)
before()
print("ready", flush=True)
while not begun:
    signal.sigtimedwait([], 0.01)
measured()
"""


def test_functions_that_ran_since_then_are_in_the_profile(tmp_path: Path) -> None:
    (tmp_path / "netbootd").mkdir()
    (tmp_path / "netbootd" / "__main__.py").write_text(NETBOOTD)
    profiles = Profiles(tmp_path / "profiles", tmp_path)
    argv = profiles.under(["netbootd"])
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout
        assert daemon.stdout.readline() == "ready\n"
        profiles.begin(daemon.pid)
        assert daemon.wait(20) == 0

    (file,) = profiles.files
    called = {name for _file, _line, name in pstats.Stats(str(file)).stats}  # type: ignore[attr-defined]
    assert "measured" in called
    assert "before" not in called


def test_without_strace_it_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    profiles = Profiles(tmp_path, tmp_path, calls=True)

    assert profiles.under(["netbootd"]) == ["netbootd"]
    with pytest.raises(LabError, match="strace is not there"):
        profiles.begin(1)
