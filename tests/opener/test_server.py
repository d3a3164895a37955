"""The opener as it runs, asked by the daemon's user and by those who mean it harm."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from netbootd.opener import client
from netbootd.opener.client import LowSocket, NotOpened, packet_socket, raw_socket
from netbootd.opener.wire import NOT_LISTED, Ask, Request, encode
from tests.end_to_end.lab import NETBOOTD

from .rig import OWNER, STRANGER, as_user, connected, opener, told

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(os.geteuid() != 0, reason="other users need root"),
]

V4, V6 = socket.AF_INET, socket.AF_INET6
UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM
MPTCP, UDP_LITE = 262, 136
AT_67 = encode(Request(Ask.BIND, V4, "0.0.0.0", 67))


@pytest.fixture(scope="module")
def running():
    with opener() as made:
        yield made


def bound(family, kind, *address):
    with LowSocket(family, kind) as made:
        made.bind(address)
        return made.getsockname()


def serves(running):
    """It does what it is for, and has nothing open that it had not before anybody came."""
    assert running.asks(bound, V4, UDP, "", 67) == ("0.0.0.0", 67)
    end = time.monotonic() + 20
    while running.descriptors() > 4:  # 0, 1, 2 and the socket; a moment ago one more
        assert time.monotonic() < end, os.listdir(f"/proc/{running.pid}/fd")
        time.sleep(0.02)


# --- what it is for -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "kind", "address", "got"),
    [
        (V4, UDP, ("", 67), ("0.0.0.0", 67)),
        (V4, TCP, ("0.0.0.0", 80), ("0.0.0.0", 80)),
        (V6, UDP, ("::", 547), ("::", 547, 0, 0)),
        (V6, TCP, ("", 80, 0, 0), ("::", 80, 0, 0)),
    ],
)
def test_a_socket_gets_its_port(running, family, kind, address, got):
    assert running.asks(bound, family, kind, *address) == got


def test_without_it_there_is_none():
    """The rig has no right that would explain the above."""
    with pytest.raises(PermissionError):
        as_user(OWNER, lambda: bound(V4, UDP, "", 67))


def test_a_socket_stays_the_one_it_was(running):
    def options():
        with LowSocket(V4, UDP) as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
            made.setblocking(False)
            made.bind(("", 67))
            device = made.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
            return device, made.getblocking(), os.fstat(made.fileno()).st_uid

    assert running.asks(options) == (b"lo\0", False, OWNER)


def test_a_port_that_is_taken_is_taken(running):
    def twice():
        with LowSocket(V4, UDP) as first, LowSocket(V4, UDP) as second:
            first.bind(("", 67))
            second.bind(("", 67))

    with pytest.raises(OSError, match="in use") as raised:
        running.asks(twice)
    assert raised.value.errno == errno.EADDRINUSE


def test_an_address_of_others_is_not_had(running):
    with pytest.raises(OSError, match="assign") as raised:
        running.asks(bound, V4, UDP, "192.0.2.1", 67)
    assert raised.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize(("kind", "port", "name"), [(TCP, 67, "tcp:67"), (UDP, 22, "udp:22")])
def test_a_port_that_it_was_not_given_is_refused_with_the_way_to_have_it(running, kind, port, name):
    with pytest.raises(NotOpened) as raised:
        running.asks(bound, V4, kind, "", port)
    assert f"does not open {name}: 'systemctl edit netbootd-opener'" in str(raised.value)
    assert f"Environment=PORTS={name}" in str(raised.value)


def test_packet_sockets_and_raw_ones_are_passed(running):
    def kinds():
        with packet_socket() as heard, raw_socket() as sent:
            heard.bind(("lo", 0x0800))
            return (
                (heard.family, heard.type, heard.getblocking()),
                (sent.family, sent.type, sent.proto, sent.getblocking()),
            )

    heard, sent = running.asks(kinds)
    assert heard == (socket.AF_PACKET, socket.SOCK_DGRAM, False)
    assert sent == (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW, False)


def test_it_tells_who_is_at_the_other_end(running):
    def asked():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            return client._ask(Request(Ask.PEER), ours)[0]

    assert running.asks(asked) == (0, OWNER)


# --- whom it does not serve -----------------------------------------------------------------------


def answered(path):
    """What comes of asking for port 67 there; empty where he is sent away."""
    try:
        with connected(path) as line:
            socket.send_fds(line, [AT_67], [socket.socket(V4, UDP).detach()])
            return line.recv(99)
    except ConnectionError:
        return b""


def test_another_user_gets_no_answer(running):
    with pytest.raises(PermissionError):
        running.asks(answered, running.path, user=STRANGER)
    assert running.asks(answered, running.path) == bytes(8)
    running.path.chmod(0o666)
    try:
        for user in (STRANGER, 0):
            assert running.asks(answered, running.path, user=user) == b""
    finally:
        running.path.chmod(0o600)
    serves(running)


def test_by_hand_it_says_whose_it_is():
    done = subprocess.run([NETBOOTD, "opener", "udp:67"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "netbootd-opener.socket" in done.stderr
    done = subprocess.run([NETBOOTD, "opener", "sctp:67"], capture_output=True, text=True)
    assert "'sctp:67' is no port" in done.stderr


# --- who means it harm ----------------------------------------------------------------------------


def of_kind(*kind):
    return lambda: [socket.socket(*kind).detach()]


def at_path(path, flags):
    return lambda: [os.open(path, flags)]


REFUSED = {
    "nothing": (b"", list),
    "half of it": (AT_67[:12], of_kind(V4, UDP)),
    "one byte more": (AT_67 + b"\0", of_kind(V4, UDP)),
    "a huge message": (AT_67 + bytes(150_000), of_kind(V4, UDP)),
    "no such request": (b"\xff" * 24, of_kind(V4, UDP)),
    "no socket": (AT_67, list),
    "a socket where there is to be none": (encode(Request(Ask.PACKET)), of_kind(V4, UDP)),
    "two sockets": (AT_67, lambda: [socket.socket(V4, UDP).detach() for _ in range(2)]),
    "as many as there can be": (AT_67, lambda: [socket.socket(V4, UDP).detach()] * 253),
    "a pipe": (AT_67, lambda: [os.pipe()[0]]),
    "a file": (AT_67, at_path("/etc/passwd", os.O_RDONLY)),
    "a path": (AT_67, at_path("/", os.O_PATH)),
    "a device": (AT_67, at_path("/dev/full", os.O_RDWR)),
    "another family": (AT_67, of_kind(V6, UDP)),
    "a Unix socket": (AT_67, of_kind(socket.AF_UNIX, UDP)),
    "a netlink socket": (AT_67, of_kind(socket.AF_NETLINK, socket.SOCK_RAW, 0)),
    "UDP-Lite": (AT_67, of_kind(V4, UDP, UDP_LITE)),
    "MPTCP": (encode(Request(Ask.BIND, V4, "0.0.0.0", 80)), of_kind(V4, TCP, MPTCP)),
    "port 0": (encode(Request(Ask.BIND, V4, "0.0.0.0", 0)), of_kind(V4, UDP)),
    "the peer of a UDP socket": (encode(Request(Ask.PEER)), of_kind(V4, UDP)),
    "the peer of nobody": (encode(Request(Ask.PEER)), of_kind(socket.AF_UNIX, TCP)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_may_not_be_asked_is_refused(running, name):
    data, passed = REFUSED[name]

    def asked():
        return told(data, passed())

    status, made = running.asks(asked)
    assert (status == NOT_LISTED or status > 0, made) == (True, 0), os.strerror(max(status, 0))
    serves(running)


def test_one_who_goes_early_is_no_harm(running):
    def go():
        for way in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            with connected(running.path) as line:
                line.shutdown(way)
        with connected(running.path) as line:
            socket.send_fds(line, [AT_67], [socket.socket(V4, UDP).detach()])
        connected(running.path).close()

    running.asks(go)
    serves(running)


def test_one_who_says_nothing_is_sent_away(running):
    def wait():
        with connected(running.path) as line:
            return line.recv(9)

    assert running.asks(wait) == b""
    serves(running)


def test_hundreds_who_never_read_are_no_harm(running):
    """They have what they were sent in their own queues, until the kernel gives them no more."""

    def hold():
        lines = []
        for _ in range(300):
            line = connected(running.path)
            socket.send_fds(line, [encode(Request(Ask.PACKET))], [])
            lines.append(line)
        return len(lines)

    assert running.asks(hold) == 300
    serves(running)


def test_thousands_of_connections_are_answered_one_by_one(running):
    def come():
        return {told(AT_67[: n % 24], []) for n in range(2000)}

    assert running.asks(come) == {(errno.EBADMSG, 0)}
    serves(running)


def test_a_socket_that_lingers_ends_it_at_worst(running):
    """
    Closing one with unsent data waits for as long as the socket says; the last of those who have it
    waits, and that may be the opener.  It is there again for the next one.
    """

    def leave():
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # and no more later
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            sending = socket.create_connection(listening.getsockname())
            accepted, _ = listening.accept()
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
            sending.settimeout(0.5)
            with contextlib.suppress(TimeoutError):  # the other end's buffer is full as well
                while True:
                    sending.send(bytes(65536))
            with connected(running.path), connected(running.path) as line:
                # The opener waits for the first one's words, while we close ours.
                socket.send_fds(line, [AT_67], [sending.fileno()])
                os.close(sending.detach())
                line.recv(99)
            with accepted:  # which never reads
                return bound(V4, UDP, "", 67)

    serves(running)
    before = running.pid
    assert running.asks(leave) == ("0.0.0.0", 67)
    assert running.pid != before
    serves(running)


def test_killed_it_is_back_for_the_next(running):
    serves(running)
    before = running.pid
    os.kill(before, signal.SIGKILL)
    serves(running)
    assert running.pid != before


def test_it_keeps_no_file_and_hears_no_network(running):
    serves(running)
    links = {os.readlink(one) for one in Path(f"/proc/{running.pid}/fd").iterdir()}
    assert sum(link.startswith("socket:") for link in links) == 1
