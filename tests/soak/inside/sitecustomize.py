"""
Within the daemon that is tried: the clock that can be set (CLOCK is its file), and in the file
BLOCKS, every few seconds, how many blocks of memory Python objects have.

Resident memory alone does not tell a leak from a heap with holes, which hide one until they are
full.
"""

import os
import runpy
import sys
import threading
import time

_EVERY_S = 2.0

runpy.run_path(os.environ["CLOCK"])


def _tell(told: int) -> None:
    while True:
        os.pwrite(told, b"%12d" % sys.getallocatedblocks(), 0)
        time.sleep(_EVERY_S)


# Opened at once: later it is another user who may not.
_told = os.open(os.environ["BLOCKS"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
threading.Thread(target=_tell, args=(_told,), name="blocks", daemon=True).start()
