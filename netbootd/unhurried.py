"""
Long work in a thread of the daemon, in small pieces with rests between them.

The reactor lets go of the interpreter's lock at each system call, several times for one packet, and
a thread at work gives it back only after ``sys.getswitchinterval()``: a second of work without a
rest is a second in which each packet takes milliseconds, and a thousand packets a second are late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_WORK_S = 0.0005
_REST_S = 0.002


def unhurried(things: Iterable[T]) -> Iterator[T]:
    """*things*, with rests in between; without, in the main thread, where nobody else waits."""
    if threading.current_thread() is threading.main_thread():
        yield from things
        return
    until = time.perf_counter() + _WORK_S
    for one in things:
        yield one
        if time.perf_counter() > until:
            time.sleep(_REST_S)
            until = time.perf_counter() + _WORK_S
