"""The notify protocol against a socket that stands in for systemd's, and journal detection."""

from __future__ import annotations

import io
import os
import socket

import pytest

from netbootd.systemd import Notifier, journal_prefix, under_journal


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A bound datagram socket, and the environment that names it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@netbootd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(name.replace("@", "\0"))
        bound.settimeout(5)
        yield bound, {"NOTIFY_SOCKET": name}


@pytest.mark.parametrize(
    ("say", "message"),
    [
        (lambda n: n.ready(), "READY=1"),
        (lambda n: n.ready("4 machines"), "READY=1\nSTATUS=4 machines"),
        (lambda n: n.reloading(123456789), "RELOADING=1\nMONOTONIC_USEC=123456789"),
        (lambda n: n.stopping(), "STOPPING=1"),
        (lambda n: n.status("serving on eth1"), "STATUS=serving on eth1"),
        (lambda n: n.status("Käse\nREADY=1"), "STATUS=Käse READY=1"),
    ],
)
def test_each_word_is_one_datagram(manager, say, message):
    bound, environ = manager
    assert say(Notifier(environ))
    assert bound.recv(4096).decode() == message


def test_the_watchdog_is_pinged_when_it_waits_for_us(manager):
    bound, environ = manager
    ours = {**environ, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    assert Notifier(ours).watchdog()
    assert bound.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "2500000"}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": str(os.getpid())}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval_is_in_seconds(environ, seconds):
    assert Notifier(environ).watchdog_interval == seconds


@pytest.mark.parametrize(
    "address",
    [None, "", "relative", "vsock:2:1234", "/no/such/socket", "/with\0nul", "/" + "long" * 50, "@"],
)
def test_without_a_usable_socket_nothing_happens(address):
    environ = {"WATCHDOG_USEC": "1"} | ({"NOTIFY_SOCKET": address} if address is not None else {})
    notifier = Notifier(environ)
    assert not notifier.ready()
    assert not notifier.reloading(1)
    assert not notifier.stopping()
    assert not notifier.status("well")
    assert not notifier.watchdog()


def test_a_full_queue_is_no_reason_to_wait(manager):
    _, environ = manager
    notifier = Notifier(environ)
    assert any(not notifier.status("x" * 1000) for _ in range(10_000))


def test_systemd_coming_back_is_found_again(tmp_path):
    name = str(tmp_path / "notify")
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert not notifier.ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(name)
        assert notifier.ready()
        notifier.close()
        assert notifier.ready()
    notifier.close()


@pytest.mark.parametrize(
    ("level", "prefix"),
    [
        ("debug", "<7>"),
        ("info", "<6>"),
        ("warn", "<4>"),
        ("warning", "<4>"),
        ("error", "<3>"),
        ("critical", "<2>"),
        ("other", "<6>"),
    ],
)
def test_levels_become_syslog_priorities(level, prefix):
    assert journal_prefix(level) == prefix


def test_the_journal_is_recognised_by_device_and_inode(tmp_path):
    with open(tmp_path / "stream", "w") as stream, open(tmp_path / "other", "w") as other:
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert under_journal(environ, stream)
        assert not under_journal(environ, other)
        assert not under_journal({}, stream)
        assert not under_journal({"JOURNAL_STREAM": "nonsense"}, stream)
    assert not under_journal(environ, stream)
    assert not under_journal(environ, io.StringIO())
