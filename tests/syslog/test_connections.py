from __future__ import annotations

from collections import Counter

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from netbootd.syslog import connections
from netbootd.syslog.connections import Connections
from netbootd.syslog.senders import Senders

NODE, OTHER = "192.0.2.7", "192.0.2.8"


class HurryingClock(Clock):
    """A millisecond is over whenever somebody looks."""

    def seconds(self) -> float:
        self.rightNow += 0.001
        return self.rightNow


class Collector:
    """In the inbox's place: keeps what it takes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.is_high = False
        self.taken: list[tuple[str, bytes]] = []

    def take(self, message: bytes, peer: str, _port: int, _received: float) -> None:
        self.taken.append((peer, message))


class Line:
    """A transport that only notes what is asked of it."""

    socket = property(lambda self: self)

    def __init__(self, host: str) -> None:
        self.host = host
        self.paused = self.aborted = False

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", self.host, 1025)

    def setTcpKeepAlive(self, _on: int) -> None: ...

    def setsockopt(self, *_option: int) -> None: ...

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def holds(self, connection, pieces: list[bytes]) -> None:
        """What the kernel has, as it would be read."""
        self.doRead = lambda: connection.dataReceived(pieces.pop()) if pieces else None

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None:
        self.aborted = True


@pytest.fixture
def clock():
    return HurryingClock()


@pytest.fixture
def inbox():
    return Collector()


@pytest.fixture
def room(clock, inbox):
    return Connections(clock, inbox, Senders(rate=1_000_000), clock.seconds)


def connected(room, host=NODE):
    connection = room.buildProtocol(None)
    connection.makeConnection(Line(host))
    return connection


def until_quiet(clock, room_is_quiet):
    for _ in range(10_000):
        if room_is_quiet():
            return
        clock.advance(0.001)
    raise AssertionError("it goes on and on")


def test_many_messages_in_few_bytes_let_others_in_between(clock, room, inbox):
    connection = connected(room)
    connection.dataReceived(b"x\n" * 4000)
    assert connection.transport.paused
    meanwhile = []
    clock.callLater(0, lambda: meanwhile.append(len(inbox.taken)))
    until_quiet(clock, lambda: not connection.transport.paused)
    assert len(inbox.taken) == 4000
    assert 0 < meanwhile[0] < 4000


def test_connections_take_turns(clock, room, inbox):
    one, other = connected(room), connected(room, OTHER)
    one.dataReceived(b"one\n" * 2000)
    other.dataReceived(b"other\n")
    until_quiet(clock, lambda: not one.transport.paused)
    assert inbox.taken.index((OTHER, b"other")) < 1000


def test_they_wait_while_the_log_is_behind(clock, room, inbox):
    inbox.is_high = True
    connection = connected(room)
    connection.dataReceived(b"<13>a: waits\n")
    clock.advance(60)
    assert inbox.taken == []
    assert connection.transport.paused
    inbox.is_high = False
    until_quiet(clock, lambda: not connection.transport.paused)
    assert inbox.taken == [(NODE, b"<13>a: waits")]


def test_what_is_unread_at_the_end_is_kept(clock, room, inbox):
    connection = connected(room)
    connection.dataReceived(b"x\n" * 1000 + b"no end")
    connection.connectionLost()
    assert len(inbox.taken) == 1001
    assert inbox.taken[-1] == (NODE, b"no end")
    assert len(room) == 0
    clock.advance(1)
    assert len(inbox.taken) == 1001


def test_at_the_end_what_the_kernel_has_is_read_until_a_time(clock, room, inbox):
    connection = connected(room)
    connection.transport.holds(connection, [b"x\n" * 100] * 3)
    connection.dataReceived(b"first\n")
    room.close(clock.seconds() + 60)
    assert [text for _, text in inbox.taken] == [b"first", *[b"x"] * 300]
    endless = connected(room)
    endless.transport.holds(endless, [b"y\n"] * 100_000)
    room.close(clock.seconds() + 0.1)
    assert 0 < inbox.taken.count((NODE, b"y")) < 1000


def test_what_cannot_be_read_ends_it_and_nothing_behind_it_counts(clock, room, inbox):
    connection = connected(room)
    connection.dataReceived(b"<13>a: good\n300000 <13>b: never\n<13>c: behind\n" * 100)
    until_quiet(clock, lambda: connection.transport.aborted)
    connection.connectionLost()
    assert [text for _, text in inbox.taken] == [
        b"<13>a: good",
        b"<43>netbootd: connection closed: "
        b"a message of 300000 bytes is announced, the limit is 262144",
    ]


def test_messages_that_lack_their_rest_take_so_much_memory_together(
    clock, room, inbox, monkeypatch
):
    monkeypatch.setattr(connections, "MOST_HELD", 100_000)
    modest = connected(room)
    modest.dataReceived(b"<13>a: and")
    many = [connected(room, f"192.0.2.{number}") for number in range(20, 40)]
    for _ in range(3):
        for one in many:
            if not one.transport.aborted:
                one.dataReceived(b"262000 <13>" + b"x" * 8000)
        until_quiet(clock, lambda: not room._waiting)
        assert sum(one.held for one in (modest, *many)) <= 100_000
    assert any(one.transport.aborted for one in many)
    assert not modest.transport.aborted
    for one in many:
        one.connectionLost()
    modest.dataReceived(b" goes on\n")
    until_quiet(clock, lambda: not modest.transport.paused)
    assert (NODE, b"<13>a: and goes on") in inbox.taken
    assert room._held == 0
