"""
A wall clock that can be set, for one process: the real one, and as many seconds more as the file
says that CLOCK_OFFSET names.
"""

import os
import time

_FILE = os.environ["CLOCK_OFFSET"]
_real = time.time


def _time() -> float:
    with open(_FILE) as opened:
        return _real() + float(opened.read())


time.time = _time
time.time_ns = lambda: int(_time() * 1e9)
