"""A real opener behind a real socket, and what a user without any right asks of it."""

from __future__ import annotations

import ctypes
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from netbootd.opener import client
from netbootd.opener.client import VARIABLE
from tests.end_to_end.lab import NETBOOTD
from tests.end_to_end.process import ROOT, Process

#: The daemon's user, and another.
OWNER, STRANGER = 61_001, 61_002
PORTS = ("udp:67", "udp:547", "tcp:80")
_ACTIVATE = ROOT / "tests" / "systemd" / "activate.py"
_CLONE_NEWNET = 0x40000000


class Opener:
    """One that has ``PORTS``; *path* is its socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        started = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        self.process = Process(
            [
                *("setpriv", "--pdeathsig", "TERM", sys.executable, str(_ACTIVATE)),
                *(str(path), str(OWNER), "0600"),
                *("/bin/sh", "-c", started, "sh", str(NETBOOTD), "opener", *PORTS),
            ]
        )
        self.process.wait_for("started", 60)

    @property
    def pid(self) -> int:
        """Of the opener itself."""
        us = self.process.pid
        children = Path(f"/proc/{us}/task/{us}/children")
        end = time.monotonic() + 60
        while not (found := children.read_text().split()):
            assert time.monotonic() < end, "it is not there"
            time.sleep(0.02)
        return int(found[0])

    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def asks(self, function: Callable[..., Any], *arguments: Any, user: int = OWNER) -> Any:
        """What *function* returns or raises, called by *user* with no right in an empty network."""

        def called() -> Any:
            os.environ[VARIABLE] = str(self.path)
            client._PATIENCE_S = 60  # this machine may be at work
            return function(*arguments)

        return as_user(user, called)


@contextmanager
def opener() -> Iterator[Opener]:
    """Where others than root may get to its socket."""
    folder = Path(tempfile.mkdtemp(prefix="netbootd-opener-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        made = Opener(folder / "sock")
        try:
            yield made
        finally:
            made.process.close()
    finally:
        shutil.rmtree(folder)


def as_user(user: int, function: Callable[[], Any]) -> Any:
    """In a process of its own."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        _become(user, function, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    returned, raised = pickle.loads(said)
    if raised is not None:
        raise raised
    return returned


def _become(user: int, function: Callable[[], Any], writing: int) -> None:
    """Never returns."""
    said: tuple[Any, Any] = (None, RuntimeError("nothing came of it"))
    try:
        assert ctypes.CDLL(None).unshare(_CLONE_NEWNET) == 0
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        said = (function(), None)
    except BaseException as problem:
        traceback.print_exc()
        said = (None, problem)
    finally:
        with suppress(BaseException):
            os.write(writing, pickle.dumps(said))
        os._exit(0)


def connected(path: Path | str) -> socket.socket:
    """A connection to the opener, once there is room in its queue; nobody waits for ever."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.settimeout(60)
    for _ in range(2000):
        try:
            line.connect(str(path))
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return line
    raise TimeoutError("no room in the queue")


def told(data: bytes, passed: list[int]) -> tuple[int, int]:
    """The status that *data* is answered with, and how many descriptors come along."""
    with connected(os.environ[VARIABLE]) as line:
        socket.send_fds(line, [data], passed)
        answer, made, _, _ = socket.recv_fds(line, 99, 9)
        for one in made:
            os.close(one)
        return struct.unpack("!iI", answer)[0], len(made)
