"""What stands behind each fast path serves; and one that was not taken away is noticed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.fallbacks import FALLBACKS, QUICK, SETS
from tests.forcing import NAMES, NOTES, ROOT


def run_pytest(*arguments):
    """``pytest`` of its own."""
    env = {name: value for name, value in os.environ.items() if name not in (NAMES, NOTES)}
    command = [sys.executable, "-m", "pytest", "--quiet", "--tb=short", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


@pytest.mark.parametrize("names", SETS)
def test_netbootd_serves_without_its_fast_paths(names):
    """Each alone, in more tests: ``make fallbacks``."""
    done = run_pytest("--without", names, "-m", "not slow", *QUICK)
    assert done.returncode == pytest.ExitCode.OK, done.stdout


def test_what_nobody_asked_for_proves_nothing():
    done = run_pytest("--without", "sendfile", "tests/test_mac.py")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "without: nothing asked for sendfile" in done.stdout


def test_what_was_there_all_the_same_is_noticed(tmp_path):
    """Whatever becomes of the exception: an edge logs it, and answers."""
    (tmp_path / "test_it.py").write_text(
        "import contextlib\n"
        "from netbootd.tftp import ready\n"
        "from netbootd.tftp.blocks import Mould\n"
        "def test_it():\n"
        "    ready.Streamed(None, 100, 8, 2)\n"
        "    with contextlib.suppress(AssertionError):\n"
        "        Mould(8, 2).fill(None, 1, 2, 16)\n"
    )
    done = run_pytest("-c", "setup.cfg", "--without", "moulds", "tests/test_mac.py", str(tmp_path))
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "without: moulds was there all the same" in done.stdout
    assert "nothing asked" not in done.stdout


def test_only_what_is_known_can_be_taken_away():
    done = run_pytest("--without", "sendfil", "tests/test_mac.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--without sendfil: see --without help" in done.stderr


def test_help_lists_them():
    assert set(FALLBACKS) <= set(run_pytest("--without", "help").stderr.split())
