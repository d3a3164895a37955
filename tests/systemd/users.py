"""
Runs a program in the user namespace that ``PrivateUsers=yes`` makes: ``users.py UID PROGRAM ARGUMENT…``.

Of users and groups there are root and *UID*, and whoever is root there has no right outside
(user_namespaces(7); setup_private_users() in src/core/execute.c of systemd).  For root.
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000


def lay(process: int, number: int) -> None:
    """From outside: only there may anybody be mapped but oneself."""
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{process}/{name}").write_text(f"0 0 1\n{number} {number} 1\n")


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    ours, (reading, writing) = os.getpid(), os.pipe()
    if (child := os.fork()) == 0:
        os.close(writing)
        os.read(reading, 1)  # until it is there
        lay(ours, int(sys.argv[1]))
        os._exit(0)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    os.close(writing)
    assert os.waitpid(child, 0)[1] == 0
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
