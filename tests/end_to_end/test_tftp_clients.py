"""
Other people's TFTP clients against the real service: atftp, tftp-hpa, curl, busybox and tftpy.

Two networks of two namespaces each, one clean and one that loses 3 % of what goes between client
and transfer in each direction.  The loss is made where datagrams arrive, and with the segmentation
of UDP switched off on the server's device: a train would be lost or kept whole.  A third network
has a router between the two, and behind it an MTU of 1280.

What takes how long under loss: a client in lock step waits about 30 ms for each datagram lost, so
100 MB are some 25 s with windows of 64, two minutes with curl's 1428 bytes, and seven with the
512 bytes of tftp-hpa.  The last two run only with NETBOOTD_LONG_TESTS=1; otherwise these clients
fetch 2 MB.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.end_to_end.tftp_network import (
    ALIAS,
    MISSING,
    SERVER,
    SIZES,
    Network,
    atftp,
    busybox,
    check,
    check_together,
    curl,
    fill,
    hpa,
    run,
    tftpy,
)

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
LONG = pytest.mark.skipif(
    "NETBOOTD_LONG_TESTS" not in os.environ, reason="minutes; set NETBOOTD_LONG_TESTS"
)

#: Asks from twelve ports, and says no more until its input ends.
SILENT = """
import socket, sys
asking = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(12)]
for one in asking:
    one.sendto(b"\\0\\1loader\\0octet\\0", (sys.argv[1], 69))
sys.stdin.read()
"""

CLIENTS = {
    "atftp, lock step": atftp,
    "atftp, timeout": lambda path, into: atftp(path, into, "timeout 5"),
    "atftp, window 4": lambda path, into: atftp(path, into, "windowsize 4", "tsize 0"),
    "atftp, window 64": lambda path, into: atftp(path, into, "windowsize 64", "blksize 1428"),
    "tftp-hpa": hpa,
    "curl": curl,
    "curl, 512": lambda path, into: curl(path, into, 512),
    "curl, largest": lambda path, into: curl(path, into, 65464),
    "busybox": busybox,
    "tftpy": tftpy,
}


def exact(path, into):
    return atftp(path, into, "windowsize 64", "blksize 1024")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("files"), *SIZES)


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


@pytest.mark.parametrize("client", CLIENTS)
def test_a_loader_is_fetched(clean, client, tmp_path):
    check(clean, CLIENTS[client], "loader", tmp_path / "got")


def test_a_loader_is_fetched_under_loss(lossy, tmp_path):
    fetched = dict.fromkeys(CLIENTS.values(), "loader")
    check_together(lossy, fetched, tmp_path, tries=5)


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
def test_files_are_fetched_past_the_roll_over(clean, tmp_path):
    """All at once; the largest to the empty block at its end.  tftpy cannot count so far."""
    fetched = {
        CLIENTS["atftp, window 64"]: "initrd",
        CLIENTS["curl"]: "initrd",
        CLIENTS["atftp, lock step"]: "thirty-four",
        CLIENTS["tftp-hpa"]: "thirty-four",
        CLIENTS["curl, 512"]: "thirty-four",
        CLIENTS["tftpy"]: "two",
        exact: "large",
    }
    check_together(clean, fetched, tmp_path, 240)


@pytest.mark.slow
def test_files_are_fetched_under_loss(lossy, tmp_path):
    """With windows 100 MB: 70,029 blocks, past the roll-over, of which some two thousand are lost."""
    before = lossy.lost(lossy.client), lossy.lost(lossy.server)
    fetched = {
        CLIENTS["atftp, window 64"]: "initrd",
        CLIENTS["tftp-hpa"]: "two",
        CLIENTS["curl"]: "two",
    }
    check_together(lossy, fetched, tmp_path, 300, tries=5)
    after = lossy.lost(lossy.client), lossy.lost(lossy.server)
    assert after[0] - before[0] > 1000
    assert after[1] - before[1] > 10


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


def test_whoever_never_answered_gives_his_port_to_who_asks_again(files, tmp_path):
    """Where the kernel has few ports to give, and requests with forged addresses have them."""
    with Network.plugged(files, tmp_path / "log") as network:
        few = "echo 40000 40007 > /proc/sys/net/ipv4/ip_local_port_range"
        run("ip", "netns", "exec", network.server, "sh", "-c", few)
        with network.served():
            silent = ["ip", "netns", "exec", network.client, sys.executable, "-c", SILENT]
            with subprocess.Popen([*silent, SERVER], stdin=subprocess.PIPE) as asking:
                until_told(network, "all ports of net.ipv4.ip_local_port_range are in use")
                check(network, hpa, "loader", tmp_path / "got")
                assert "the client never answered, and another one" in network.log.read_text()
                asking.communicate()


def until_told(network, words):
    deadline = time.monotonic() + 20
    while words not in network.log.read_text():
        assert time.monotonic() < deadline, network.log.read_text()[-2000:]
        time.sleep(0.05)


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
