"""
A real HttpService in a process of its own, for tests that need sockets.

Run as a module it serves, says ``port N`` and then each event as a JSON line; ``serving`` is the
other end, for tests.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAC = "52:54:00:12:34:56"
CONFIG = """{
  "targets" : { "nfs" : { "a" : { "kernel" : "/images/vmlinuz" } } },
  "machines" : { "52:54:00:12:34:56" : { "type" : "nfs", "name" : "a" } },
  "netbootd" : { "files" : "files", "firmware" : "firmware", "grace" : %s },
}"""


def allow_many_files():
    """Crowds are descriptors, at both ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Server:
    """A serving process: its *port*, and its events as they come."""

    def __init__(self, folder, process):
        self.files = folder / "files"
        self.process = process
        self.port, self.secure_port = map(int, process.stdout.readline().split()[1:])
        self._events = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._events.put(json.loads(line))

    def event(self, kind, timeout=20):
        """The next event of that kind; others are passed over."""
        while True:
            event = self._events.get(timeout=timeout)
            if event["kind"] == kind:
                return event

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def connect(self, receive_buffer=0, source="127.0.0.1"):
        connection = socket.socket()
        connection.bind((source, 0))
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def memory(self):
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def serving(folder, *options, grace=5.0):
    """A Server over *folder*; its log must hold no failure at the end."""
    allow_many_files()
    (folder / "files").mkdir(exist_ok=True)
    (folder / "c.json").write_text(CONFIG % grace)
    command = [sys.executable, "-m", "tests.http.serving", str(folder / "c.json"), *options]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
        )
        try:
            yield Server(folder, process)
        finally:
            process.terminate()
            process.wait(30)
    assert "Traceback" not in (folder / "log").read_text()


def read_head(connection):
    """The header of an answer, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, "closed before the headers were complete"
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def length_of(head):
    (length,) = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.startswith(b"Content-Length")
    ]
    return length


def fetch(connection, path, headers=""):
    """One GET on *connection*: headers and body."""
    connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    with connection.makefile("rb") as stream:
        return read_answer(stream)


def read_answer(stream):
    """The next answer of several: headers and body."""
    lines = []
    while (line := stream.readline()) != b"\r\n":
        assert line, "closed before the headers were complete"
        lines.append(line)
    head = b"".join(lines)
    body = stream.read(length_of(head))
    assert len(body) == length_of(head), "closed before the body was complete"
    return head, body


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--stall", type=float, default=300.0)
    parser.add_argument("--nowhere", action="store_true", help="serve no address at all")
    parser.add_argument("--turn", type=int, default=0)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--old-clients", action="store_true")
    parser.add_argument("--handshakes", type=int, default=0)
    parser.add_argument("--handshake", type=float, default=0.0)
    parser.add_argument("--of-one", type=int, default=4096)
    parser.add_argument("--connections", type=int, default=16_384)
    options = parser.parse_args()

    from twisted.internet import reactor
    from twisted.logger import globalLogBeginner, textFileLogObserver

    from netbootd.config import Tls
    from netbootd.events.stream import Stream
    from netbootd.http import body, helper, tls
    from netbootd.http.guests import Most
    from netbootd.http.service import HttpService
    from netbootd.registry.live import LiveRegistry
    from netbootd.registry.load import load

    observer = textFileLogObserver(sys.stderr)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    allow_many_files()

    def tell(event):
        print(json.dumps({"kind": event.kind, **asdict(event)}, default=str), flush=True)

    events = Stream(lambda problem: print(f"Traceback: {problem!r}", file=sys.stderr))
    events.subscribe(tell)
    live = LiveRegistry(load(options.config))
    service = HttpService(
        reactor, live, events, lambda: {"version": "test"}, allowed=lambda _: not options.nowhere
    )
    service.limit(Most(options.connections, options.of_one))
    service._bodies._stall_s = options.stall
    helper._SWEEP_S = min(helper._SWEEP_S, options.stall / 4)
    body.PER_TURN = options.turn or body.PER_TURN

    tls.HANDSHAKES = options.handshakes or tls.HANDSHAKES
    tls.HANDSHAKE_S = options.handshake or tls.HANDSHAKE_S

    def take():
        settings = Tls(certificate=options.certificate, old_clients=options.old_clients)
        service.secure.take(tls.prepared(settings))
        return json.dumps({"kind": "tls", "trouble": service.secure.trouble})

    def begin():
        service.startService()
        assert service.listen([0]) == []
        told = take()
        assert service.listen_securely([0], by_ipv6=False) == []
        print("port", service.ports[0], *(service.secure_ports or (0,)), flush=True)
        print(told, flush=True)

    reactor.callWhenRunning(begin)
    signal.signal(
        signal.SIGHUP, lambda *_: reactor.callFromThread(lambda: print(take(), flush=True))
    )
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()


if __name__ == "__main__":
    main()
