"""A real daemon on this host's loopback and a Unix socket, and servers that only look like one."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.end_to_end.process import ROOT, Daemon, Process

NODE = "00:25:90:27:db:b4"
HANDMADE = {
    "targets": {
        "localboot": {"disk": {}},
        "nfs": {"one": {"kernel": "k", "initrd": "i", "boot_args": "root=/dev/nfs"}},
    },
    "groups": {"rack1": {"type": "localboot", "name": "disk"}},
    "machines": {NODE: {"type": "nfs", "name": "one", "hostname": "node7"}},
}
#: A shell lets its background jobs ignore Ctrl-C, and tests may be one.
HEEDS_INT = ["env", "--default-signal=INT"]
NETBOOTD = [sys.executable, "-m", "netbootd"]


#: The kernel gives these to nobody by itself (ip_local_port_range).
_PORTS = range(20_000, 32_000)
_reserved: list[socket.socket] = []


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """
    A port of the loopback for a program that is started later; no other process of tests gets it
    meanwhile: this one holds a name for it, until it ends.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        name = socket.socket(socket.AF_UNIX)
        with suppress(OSError), socket.socket(socket.AF_INET, kind) as probe:
            name.bind(f"\0netbootd tests, port {port}")
            probe.bind(("127.0.0.1", port))
            _reserved.append(name)
            return port
        name.close()
    raise AssertionError("no port is free")


class Site:
    """A configuration in *folder*, and a daemon of it that can be started and stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "netbootd.json"
        self.http, self.syslog = free_port(), free_port(socket.SOCK_DGRAM)
        self.daemon: Daemon | None = None
        (folder / "srv").mkdir()
        (folder / "srv" / "k").write_bytes(b"kernel" * 1000)
        (folder / "srv" / "i").write_bytes(os.urandom(4_000_000))
        self.write(HANDMADE)

    @property
    def socket(self) -> Path:
        return self.folder / "state" / "api.sock"

    def write(self, config: dict) -> None:
        settings = {
            "interfaces": ["lo"],
            "http_port": self.http,
            "proxydhcp": False,
            "tftp": {"port": free_port(socket.SOCK_DGRAM)},
            "syslog": {"port": self.syslog, "netconsole": free_port(socket.SOCK_DGRAM)},
            "files": str(self.folder / "srv"),
            "firmware": str(self.folder / "srv"),
            "state": str(self.folder / "state"),
        }
        self.file.write_text(json.dumps({**config, "netbootd": settings}))

    def start(self) -> Daemon:
        self.daemon = Daemon([*NETBOOTD, "run", "--config", str(self.file)])
        self.daemon.wait_for(r"\bready\b", 30)
        return self.daemon

    def stop(self) -> None:
        if self.daemon is not None:
            self.daemon.close()

    def run(self, *words: str, text: str = "", **more) -> subprocess.CompletedProcess[str]:
        """``netbootd`` with *words*, asking this daemon."""
        environment = {**os.environ, "NETBOOTD_CONFIG": str(self.file), "COLUMNS": "100"}
        return subprocess.run(
            [*NETBOOTD, *words],
            capture_output=True,
            text=True,
            input=text,
            cwd=ROOT,
            env=environment,
            timeout=60,
            check=False,
            **more,
        )

    def spawn(self, *words: str) -> Process:
        command = [*HEEDS_INT, *NETBOOTD, words[0], "--config", str(self.file), *words[1:]]
        return Process(command)

    def boots(self, mac: str, *files: str) -> None:
        """Fetch what an iPXE on the card *mac* would fetch: its script, then *files*."""
        for path in (f"/boot/{mac}", *files):
            command = ["curl", "-sSf", "-A", "iPXE/1.21", f"http://127.0.0.1:{self.http}{path}"]
            subprocess.run(command, check=True, capture_output=True)

    def logs(self, text: str, severity: int = 6) -> None:
        """A line of syslog from this host, which the entry with this address is."""
        line = f"<{8 + severity}>Nov 21 18:00:00 node demo: {text}".encode()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(line, ("127.0.0.1", self.syslog))


def until(true: Callable[[], object], timeout: float = 20.0) -> object:
    """What *true* gives, once it is something."""
    deadline = time.monotonic() + timeout
    while not (found := true()):
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)
    return found


def _request(peer: socket.socket) -> bytes:
    """One request, with its body, which may come in a packet of its own."""
    head, _, body = peer.recv(65536).partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]) and (more := peer.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


@contextmanager
def pretending(
    path: Path,
    answer: bytes | Callable[[socket.socket], None],
    heard: list[bytes] | None = None,
) -> Iterator[Path]:
    """A server on the Unix socket *path* that gives everybody *answer*; *heard* is what it got."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen()

    def serve() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listening.accept()
                with peer, suppress(OSError):
                    (heard if heard is not None else []).append(_request(peer))
                    if callable(answer):
                        answer(peer)
                    else:
                        peer.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def http(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
