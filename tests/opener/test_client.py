"""The daemon's side: by itself where it may, and in words that help where nobody opens."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading

import pytest

from netbootd import listening
from netbootd.errors import PortError
from netbootd.opener import client
from netbootd.opener.client import VARIABLE, LowSocket, NotOpened, packet_socket, user_beyond

from .rig import OWNER, as_user, opener

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="other users need root")


@pytest.fixture
def silent(tmp_path):
    """A socket where nobody answers, and how many have come to it."""
    came = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listened:
        listened.bind(str(tmp_path / "sock"))
        listened.listen(8)

        def accept():
            while True:
                try:
                    came.append(listened.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield tmp_path / "sock", came
        listened.shutdown(socket.SHUT_RDWR)
        thread.join(20)
    for one in came:
        one.close()


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(client, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(client, "_rests_until", 0.0)


def test_who_may_bind_asks_nobody(monkeypatch):
    monkeypatch.setenv(VARIABLE, "/nowhere")
    with LowSocket(socket.AF_INET, socket.SOCK_DGRAM) as made, packet_socket() as heard:
        made.bind(("127.0.0.1", 0))
        assert made.getsockname()[1]
        assert heard.family == socket.AF_PACKET


def test_where_no_opener_is_named_the_error_is_the_kernel_s(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(PermissionError) as raised:
        as_user(OWNER, lambda: LowSocket(socket.AF_INET, socket.SOCK_DGRAM).bind(("", 67)))
    assert not isinstance(raised.value, NotOpened)
    told = listening._trouble("TFTP", raised.value, "udp", 69, "tftp")
    assert told == "TFTP: not allowed; it needs root, or CAP_NET_BIND_SERVICE and CAP_NET_RAW"


def test_where_it_is_not_there_the_message_says_what_to_look_at(monkeypatch):
    monkeypatch.setenv(VARIABLE, "/nowhere/sock")
    with pytest.raises(NotOpened) as raised:
        as_user(OWNER, packet_socket)
    assert "netbootd-opener does not answer at /nowhere/sock" in str(raised.value)
    assert "systemctl status netbootd-opener.socket netbootd-opener" in str(raised.value)
    for problem in (raised.value, _wrapped(raised.value)):
        told = listening._trouble("ProxyDHCP on eth0", problem, "udp", 67, "proxydhcp")
        assert told.startswith("ProxyDHCP on eth0: netbootd-opener does not answer")


def _wrapped(problem):
    """As DHCP's services raise it."""
    made = PortError(67, "eth0", problem)
    made.__cause__ = problem
    return made


def test_one_that_does_not_answer_is_not_waited_for_again_at_once(silent, hasty, monkeypatch):
    path, came = silent
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(NotOpened, match=r"within 0\.05 s") as first:
        client._made(client.Ask.PACKET)
    for _ in range(5):
        with pytest.raises(NotOpened) as again:
            client._made(client.Ask.PACKET)
        assert str(again.value) == str(first.value)  # one line of the log
    assert len(came) == 1
    monkeypatch.setattr(client, "_REST_S", 0.0)
    monkeypatch.setattr(client, "_rests_until", 0.0)
    with pytest.raises(NotOpened, match="within"):
        client._made(client.Ask.PACKET)
    assert len(came) == 2


def test_who_has_looked_waits_for_none_that_is_silent(silent, hasty, monkeypatch):
    path, came = silent
    monkeypatch.setenv(VARIABLE, str(path))
    client.look()
    with pytest.raises(NotOpened, match=r"within 0\.05 s"):
        client._made(client.Ask.PACKET)
    assert len(came) == 1


def test_nobody_waits_for_one_whose_queue_is_full(tmp_path, hasty, monkeypatch):
    """As of one that was asked for hours."""
    path = str(tmp_path / "sock")
    monkeypatch.setenv(VARIABLE, path)
    with contextlib.ExitStack() as opened:
        listened = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listened.bind(path)
        listened.listen(0)
        waiting = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        waiting.connect(path)
        client.look()
        with pytest.raises(NotOpened, match=r"within 0\.05 s"):
            client._made(client.Ask.PACKET)


def test_one_that_answers_again_is_asked_by_who_has_looked(hasty, monkeypatch):
    client._rest_for(3600)
    with opener() as running:
        assert running.asks(_looked_and_got_packet_socket)
    client._rest_for(3600)
    monkeypatch.setenv(VARIABLE, "/nowhere/sock")
    client.look()
    with pytest.raises(NotOpened, match="No such file"):
        client._made(client.Ask.PACKET)


def _looked_and_got_packet_socket():
    with pytest.raises(NotOpened):
        packet_socket()
    client.look()
    return _got_packet_socket()


def test_one_that_has_gone_can_be_back_at_once(monkeypatch):
    monkeypatch.setenv(VARIABLE, "/nowhere/sock")
    with pytest.raises(NotOpened):
        client._made(client.Ask.PACKET)
    with opener() as running:
        assert running.asks(_got_packet_socket)


def _got_packet_socket():
    with packet_socket() as made:
        return made.family == socket.AF_PACKET


def test_who_is_not_known_here_is_asked_of_it(monkeypatch):
    """In a user namespace everybody but a few is user 65534."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert user_beyond(ours) == os.getuid()
        monkeypatch.setattr(client, "user_of", lambda _: 65534)
        monkeypatch.delenv(VARIABLE, raising=False)
        assert user_beyond(ours) == 65534
        monkeypatch.setenv(VARIABLE, "/nowhere/sock")
        assert user_beyond(ours) == 65534


def test_errors_of_the_opener_are_raised_as_they_are():
    with pytest.raises(OSError, match="in use") as raised:
        client._must_be_done(errno.EADDRINUSE)
    assert raised.value.errno == errno.EADDRINUSE
