"""
Starts a service as systemd does that has a socket unit: ``activate.py PATH UID MODE PROGRAM …``.

The program has the listening socket as descriptor 3, and is started again whenever it has ended
(systemd.socket(5), sd_listen_fds(3)); told to end, this ends it with all its processes.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys

FIRST_PASSED = 3


def main() -> None:
    path, uid, mode, *command = sys.argv[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(path)
        os.chown(path, int(uid), int(uid))
        os.chmod(path, int(mode, 8))
        listening.listen(128)
        listening.setblocking(False)  # as systemd has it
        os.dup2(listening.fileno(), FIRST_PASSED)
        while True:
            serve(command)


def serve(command: list[str]) -> None:
    with subprocess.Popen(command, pass_fds=[FIRST_PASSED], start_new_session=True) as started:
        try:
            print("started", flush=True)
            started.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main()
