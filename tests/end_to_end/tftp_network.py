"""
Two namespaces with a cable or a router between them, the real service in one, other people's
TFTP clients in the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("ip", "nft", "ethtool", "atftp", "tftp", "curl", "busybox")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]

SERVER, ALIAS, CLIENT = "192.0.2.1", "192.0.2.11", "192.0.2.2"
NEAR, FAR, DISTANT = "192.0.2.254", "198.51.100.254", "198.51.100.2"
SIZES = {
    "loader": 74_213,
    "two": 2_000_000,
    # 65,536 blocks of 512 bytes and some more.
    "thirty-four": 34_000_000,
    "initrd": 100_000_000,
    # 200 MiB: three times round with 1024 bytes, and an empty block at the end.
    "large": 209_715_200,
}
_NUMBERS = itertools.count()

SERVICE = """
import sys
from ipaddress import IPv4Address
from pathlib import Path
from twisted.internet import reactor
from netbootd.content import Library
from netbootd.events.stream import Stream
from netbootd.tftp.files import Located
from netbootd.tftp.limits import Limits
from netbootd.tftp.port import Listener
from netbootd.tftp.service import TftpService

library = Library(Path(sys.argv[1]))
events = Stream(lambda problem: print(repr(problem), flush=True))
events.subscribe(lambda event: print(event, flush=True))
limits = Limits(single_port=sys.argv[2] == "single")
locate = lambda request, *_: Located(library.lookup(request.path))
service = TftpService(reactor, locate, events, limits)
service.startService()
failed = service.listen_on(Listener(IPv4Address(each), "lan", 1500) for each in sys.argv[3:])
print(failed or "ready", flush=True)
reactor.run()
"""

FETCH_WITH_TFTPY = """
import sys, tftpy
server, path, into, blksize = sys.argv[1:]
tftpy.TftpClient(server, 69, {"blksize": int(blksize), "tsize": 0}).download(path, into)
"""

LOSS = """
table ip loss {
  counter lost { }
  chain arriving {
    type filter hook input priority 0; policy accept;
    udp sport > 1023 udp dport > 1023 numgen random mod 100 < 3 counter name lost drop
  }
}
"""


def run(*argv: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, check=True, capture_output=True, text=True, **more)


@dataclass
class Network:
    """A server's and a client's namespace, joined by a cable; *files* holds what is served."""

    server: str
    client: str
    files: Path
    log: Path

    @classmethod
    @contextlib.contextmanager
    def plugged(cls, files: Path, log: Path) -> Iterator[Network]:
        name = f"tftp{os.getpid()}-{next(_NUMBERS)}"
        made = cls(f"{name}s", f"{name}c", files, log)
        try:
            made._plug()
            yield made
        finally:
            for namespace in (made.server, made.client):
                subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)

    def _plug(self) -> None:
        for namespace in (self.server, self.client):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        run(
            *("ip", "-n", self.server, "link", "add", "lan", "type", "veth"),
            *("peer", "name", "lan", "netns", self.client),
        )
        for namespace, address in (
            (self.server, SERVER),
            (self.server, ALIAS),
            (self.client, CLIENT),
        ):
            run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "lan")
            run("ip", "-n", namespace, "link", "set", "lan", "up")

    @classmethod
    @contextlib.contextmanager
    def routed(cls, files: Path, log: Path, mtu: int) -> Iterator[Network]:
        """The client moves behind a router, to a cable whose frames hold *mtu* bytes."""
        with cls.plugged(files, log) as network:
            router = f"{network.server}r"
            run("ip", "netns", "add", router)
            try:
                network._route(router, mtu)
                yield network
            finally:
                subprocess.run(["ip", "netns", "del", router], check=False, capture_output=True)

    def _route(self, router: str, mtu: int) -> None:
        server, client, between = (
            ("ip", "-n", each) for each in (self.server, self.client, router)
        )
        run(*client, "link", "set", "lan", "netns", router, "name", "near")
        far = ("link", "add", "name", "far", "mtu", str(mtu), "type", "veth")
        run(*between, *far, "peer", "name", "lan", "mtu", str(mtu), "netns", self.client)
        for there, address, device in (
            (between, NEAR, "near"),
            (between, FAR, "far"),
            (client, DISTANT, "lan"),
        ):
            run(*there, "address", "add", f"{address}/24", "dev", device)
            run(*there, "link", "set", "dev", device, "up")
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        run("ip", "netns", "exec", router, "sh", "-c", forward)
        run(*server, "route", "add", "default", "via", NEAR)
        run(*client, "route", "add", "default", "via", FAR)

    def lose(self) -> None:
        """From now on 3 % of the datagrams of transfers, each way."""
        for namespace in (self.server, self.client):
            switched_off = ("tx-udp-segmentation", "off", "tx", "off")
            run("ip", "netns", "exec", namespace, "ethtool", "-K", "lan", *switched_off)
            run("ip", "netns", "exec", namespace, "nft", "-f", "-", input=LOSS)

    def lost(self, namespace: str) -> int:
        """How many datagrams were lost on arrival there."""
        told = run("ip", "netns", "exec", namespace, "nft", "-j", "list", "counters").stdout
        [counter] = [each["counter"] for each in json.loads(told)["nftables"] if "counter" in each]
        return counter["packets"]

    @contextlib.contextmanager
    def served(self, *, single_port: bool = False) -> Iterator[None]:
        """The service on both addresses, in a process of its own."""
        argv = ["ip", "netns", "exec", self.server, sys.executable, "-c", SERVICE]
        with self.log.open("w") as log:
            service = subprocess.Popen(
                [*argv, str(self.files), "single" if single_port else "own", SERVER, ALIAS],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        try:
            deadline = time.monotonic() + 20
            while "ready" not in self.log.read_text():
                assert service.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, "the service did not come up"
                time.sleep(0.05)
            yield
        finally:
            service.terminate()
            service.wait(20)

    def fetch(self, argv: list[str], into: Path, timeout_s: float) -> subprocess.CompletedProcess:
        into.unlink(missing_ok=True)
        within = ["ip", "netns", "exec", self.client]
        return subprocess.run(
            [*within, *argv], capture_output=True, text=True, timeout=timeout_s, check=False
        )


def atftp(path, into, *options, server=SERVER):
    asked = [part for option in options for part in ("--option", option)]
    return ["atftp", *asked, "-g", "-r", path, "-l", str(into), server]


def curl(path, into, blksize=1428, server=SERVER):
    return [
        "curl",
        "-sS",
        "--tftp-blksize",
        str(blksize),
        "-o",
        str(into),
        f"tftp://{server}/{path}",
    ]


def hpa(path, into, server=SERVER):
    return ["tftp", "-m", "binary", server, "-c", "get", path, str(into)]


def busybox(path, into, server=SERVER):
    return ["busybox", "tftp", "-g", "-b", "1428", "-r", path, "-l", str(into), server]


def tftpy(path, into, blksize=1428):
    return [sys.executable, "-c", FETCH_WITH_TFTPY, SERVER, path, str(into), str(blksize)]


def fill(folder: Path, *names: str) -> Path:
    """Files to fetch, those of SIZES with these *names*, and a text."""
    for name in names:
        size = SIZES[name]
        with (folder / name).open("wb") as file:
            for _ in range(0, size, 1 << 20):
                file.write(os.urandom(min(1 << 20, size - file.tell())))
    (folder / "text").write_bytes(b"one\ntwo\n" * 5000 + b"end")
    return folder


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(network, client, path, into, timeout_s=80.0, tries=1):
    """
    Fetch, and compare the checksums.

    More than one of *tries* is for atftp and tftpy under loss: they give up where a second OACK
    arrives, as it must when their ACK of the first was lost.
    """
    for _ in range(tries):
        done = network.fetch(client(path, into), into, timeout_s)
        if "OACK" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr[-2000:] + network.log.read_text()[-2000:]
    assert sha256(into) == sha256(network.files / path)
    into.unlink()


def check_together(network, fetched: Mapping, folder: Path, timeout_s=80.0, tries=1):
    """*fetched*, the path for each client, all at once: what waits for a timer costs nothing."""
    with ThreadPoolExecutor(len(fetched)) as pool:
        begun = [
            pool.submit(check, network, client, path, folder / str(number), timeout_s, tries)
            for number, (client, path) in enumerate(fetched.items())
        ]
    for each in begun:
        each.result()
