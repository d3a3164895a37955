"""
What a daemon that root has started keeps of root's environment: what it needs itself, and what the
operator names (``hooks.environment``).  All else may be a secret, and programs that it starts would
have it.

Source: environ(7), proc_pid_stat(5).
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Collection
from pathlib import Path

_KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR"
    r"|SSL_CERT_(?:FILE|DIR)|PYTHON\w+|NETBOOTD_\w+"
    r"|LD_LIBRARY_PATH"  # a Python of its own folder is not started again without
    # What a service manager tells (sd_notify(3), sd_listen_fds(3), systemd.exec(5)).
    r"|NOTIFY_SOCKET|WATCHDOG_\w+|LISTEN_\w+|INVOCATION_ID|JOURNAL_STREAM|CREDENTIALS_DIRECTORY"
)
_ENV_START = 50  # of the fields of proc_pid_stat(5), counted from 1; its end is the next
_AFTER_NAME = 3  # the first field behind the program's name, which may hold anything


def reduce(named: Collection[str]) -> list[str]:
    """Keep what is needed and what is *named*; returns the names of what is gone, in order."""
    kept = {k: v for k, v in os.environ.items() if _KEPT.fullmatch(k) or k in named}
    gone = sorted(os.environ.keys() - kept.keys())
    os.environ.clear()
    os.environ.update(kept)  # setenv(3) copies: nothing points to the kernel's text from here on
    _blank()
    return gone


def _blank() -> None:
    """Overwrite what the kernel has put at the end of our stack: /proc/PID/environ shows that."""
    fields = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    start, end = (int(fields[at - _AFTER_NAME]) for at in (_ENV_START, _ENV_START + 1))
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
