"""
Other people's TFTP clients against the real service: atftp, tftp-hpa, curl and tftpy.

Two networks of two namespaces each, one clean and one that loses 3 % of what goes between client
and transfer in each direction.  The loss is made where datagrams arrive, and with the segmentation
of UDP switched off on the server's device: a train would be lost or kept whole.  A third network
has a router between the two, and behind it an MTU of 1280.

What takes how long under loss: a client in lock step waits about 30 ms for each datagram lost, so
100 MB are some 25 s with windows of 64, two minutes with curl's 1428 bytes, and seven with the
512 bytes of tftp-hpa.  The last two run only with NETBOOTD_LONG_TESTS=1; otherwise these clients
fetch 2 MB, and the whole file takes about a minute.
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("ip", "nft", "ethtool", "atftp", "tftp", "curl")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
LONG = pytest.mark.skipif(
    "NETBOOTD_LONG_TESTS" not in os.environ, reason="minutes; set NETBOOTD_LONG_TESTS"
)

SERVER, ALIAS, CLIENT = "192.0.2.1", "192.0.2.11", "192.0.2.2"
NEAR, FAR, DISTANT = "192.0.2.254", "198.51.100.254", "198.51.100.2"
SIZES = {"loader": 74_213, "two": 2_000_000, "forty": 40_000_000, "initrd": 100_000_000}
_NUMBERS = itertools.count()

SERVICE = """
import sys
from ipaddress import IPv4Address
from pathlib import Path
from twisted.internet import reactor
from netbootd.content import Library
from netbootd.events.stream import Stream
from netbootd.tftp.files import Located
from netbootd.tftp.port import Listener
from netbootd.tftp.service import TftpService

library = Library(Path(sys.argv[1]))
events = Stream(lambda problem: print(repr(problem), flush=True))
events.subscribe(lambda event: print(event, flush=True))
service = TftpService(reactor, lambda request, *_: Located(library.lookup(request.path)), events)
service.startService()
failed = service.listen_on(Listener(IPv4Address(each), "lan", 1500) for each in sys.argv[2:])
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
    def served(self) -> Iterator[None]:
        """The service on both addresses, in a process of its own."""
        argv = ["ip", "netns", "exec", self.server, sys.executable, "-c", SERVICE]
        with self.log.open("w") as log:
            service = subprocess.Popen(
                [*argv, str(self.files), SERVER, ALIAS], stdout=log, stderr=log, cwd=ROOT
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


def atftp(path, into, *options):
    asked = [part for option in options for part in ("--option", option)]
    return ["atftp", *asked, "-g", "-r", path, "-l", str(into), SERVER]


def curl(path, into, blksize=1428):
    return [
        "curl",
        "-sS",
        "--tftp-blksize",
        str(blksize),
        "-o",
        str(into),
        f"tftp://{SERVER}/{path}",
    ]


def hpa(path, into):
    return ["tftp", "-m", "binary", SERVER, "-c", "get", path, str(into)]


def tftpy(path, into, blksize=1428):
    return [sys.executable, "-c", FETCH_WITH_TFTPY, SERVER, path, str(into), str(blksize)]


CLIENTS = {
    "atftp, lock step": atftp,
    "atftp, timeout": lambda path, into: atftp(path, into, "timeout 5"),
    "atftp, window 4": lambda path, into: atftp(path, into, "windowsize 4", "tsize 0"),
    "atftp, window 64": lambda path, into: atftp(path, into, "windowsize 64", "blksize 1428"),
    "tftp-hpa": hpa,
    "curl": curl,
    "curl, 512": lambda path, into: curl(path, into, 512),
    "curl, largest": lambda path, into: curl(path, into, 65464),
    "tftpy": tftpy,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, size in SIZES.items():
        with (folder / name).open("wb") as file:
            for _ in range(0, size, 1 << 20):
                file.write(os.urandom(min(1 << 20, size - file.tell())))
    (folder / "text").write_bytes(b"one\ntwo\n" * 5000 + b"end")
    return folder


@pytest.fixture(scope="module")
def clean(files, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "clean"
    with Network.plugged(files, log) as network, network.served():
        yield network


@pytest.fixture(scope="module")
def lossy(files, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "lossy"
    with Network.plugged(files, log) as network, network.served():
        network.lose()
        yield network


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(network, client, path, into, timeout_s=80.0, tries=1):
    """
    Fetch, and compare the checksums.

    More than one of *tries* is for atftp under loss: it gives up where a second OACK arrives, as
    it must when its ACK of the first was lost.
    """
    for _ in range(tries):
        done = network.fetch(client(path, into), into, timeout_s)
        if "unexpected OACK" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr[-2000:] + network.log.read_text()[-2000:]
    assert sha256(into) == sha256(network.files / path)
    into.unlink()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_loader_is_fetched(clean, client, tmp_path):
    check(clean, CLIENTS[client], "loader", tmp_path / "got")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_loader_is_fetched_under_loss(lossy, client, tmp_path):
    check(lossy, CLIENTS[client], "loader", tmp_path / "got", tries=5)


def test_a_loader_is_fetched_past_a_smaller_mtu(files, tmp_path):
    """
    Lock step first: the router fragments a train, but answers single blocks with ICMP, from which
    the server learns the path's MTU; UDP_SEGMENT fails from then on.
    """
    with Network.routed(files, tmp_path / "log", 1280) as network, network.served():
        for windowsize in (1, 4, 64):
            argv = atftp("loader", tmp_path / "got", f"windowsize {windowsize}", "blksize 1468")
            check(network, lambda *_, argv=argv: argv, "loader", tmp_path / "got", 20)


@pytest.mark.slow
@pytest.mark.parametrize("client", ["atftp, window 64", "curl", "tftp-hpa"])
def test_100_megabytes_are_fetched_past_the_roll_over(clean, client, tmp_path):
    check(clean, CLIENTS[client], "initrd", tmp_path / "got")


@pytest.mark.slow
@pytest.mark.parametrize("client", ["atftp, lock step", "curl, 512", "tftpy"])
def test_40_megabytes_are_fetched_past_the_roll_over(clean, client, tmp_path):
    """At 512 bytes a block; tftpy takes the larger blocks and does not come to the roll-over."""
    check(clean, CLIENTS[client], "forty", tmp_path / "got")


@pytest.mark.slow
def test_100_megabytes_are_fetched_past_the_roll_over_under_loss(lossy, tmp_path):
    """70,029 blocks, of which some two thousand are lost."""
    before = lossy.lost(lossy.client), lossy.lost(lossy.server)
    check(lossy, CLIENTS["atftp, window 64"], "initrd", tmp_path / "got", 300, tries=5)
    after = lossy.lost(lossy.client), lossy.lost(lossy.server)
    assert after[0] - before[0] > 1000
    assert after[1] - before[1] > 10


@pytest.mark.slow
@pytest.mark.parametrize("client", ["tftp-hpa", "curl"])
def test_lock_step_stands_loss(lossy, client, tmp_path):
    check(lossy, CLIENTS[client], "two", tmp_path / "got")


@LONG
@pytest.mark.slow
@pytest.mark.parametrize("client", ["tftp-hpa", "curl"])
def test_100_megabytes_in_lock_step_under_loss(lossy, client, tmp_path):
    check(lossy, CLIENTS[client], "initrd", tmp_path / "got", timeout_s=1800)


def test_the_text_mode_of_tftp_hpa(clean, tmp_path):
    """Its line ends are made on the wire and undone by the client."""
    got = tmp_path / "got"
    done = clean.fetch(["tftp", "-m", "ascii", SERVER, "-c", "get", "text", str(got)], got, 20)
    assert done.returncode == 0
    assert got.read_bytes() == (clean.files / "text").read_bytes()


def test_another_address_of_the_server_answers_as_itself(clean, tmp_path):
    """curl drops what comes from elsewhere than where it asked."""
    into = tmp_path / "got"
    check(
        clean, lambda path, into: [*curl(path, into)[:-1], f"tftp://{ALIAS}/{path}"], "loader", into
    )


def test_a_missing_file_is_told_at_once(clean, tmp_path):
    into = tmp_path / "got"
    began = time.monotonic()
    done = clean.fetch(curl("nothing", into), into, 20)
    assert done.returncode == 68  # CURLE_TFTP_NOTFOUND
    assert time.monotonic() - began < 2


def test_an_upload_is_refused(clean, tmp_path):
    source = tmp_path / "mine"
    source.write_bytes(b"mine")
    done = clean.fetch(
        ["curl", "-sS", "-T", str(source), f"tftp://{SERVER}/mine"], tmp_path / "x", 20
    )
    assert done.returncode == 71  # CURLE_TFTP_ILLEGAL
    assert not (clean.files / "mine").exists()
