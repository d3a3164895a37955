"""
netbootd under cProfile from the signal SIGRTMIN on, so that its start is left out; see ``profiles``.

    python tests/bench/profiled.py FILE run --config …
"""

from __future__ import annotations

import cProfile
import runpy
import signal
import sys

if __name__ == "__main__":
    file = sys.argv.pop(1)
    profile = cProfile.Profile()
    signal.signal(signal.SIGRTMIN, lambda *_: profile.enable())
    try:
        runpy.run_module("netbootd", run_name="__main__", alter_sys=True)
    finally:
        profile.disable()
        profile.dump_stats(file)
