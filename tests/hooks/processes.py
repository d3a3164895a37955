"""Whether a process still runs."""

from __future__ import annotations

import time
from pathlib import Path

from .conftest import SOON


def alive(pid):
    """Whether a process runs; a zombie of somebody else's does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone(pid):
    deadline = time.monotonic() + SOON
    while alive(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.01)
    return True
