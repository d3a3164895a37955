"""
The states of a body, one step at a time: the helper thread is real, the reactor is played by hand.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import random
import socket
import time

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from netbootd.content import Library
from netbootd.events.stream import Stream
from netbootd.http.bodies import STALL_S, Bodies
from netbootd.http.body import Body
from netbootd.http.helper import Helper
from netbootd.http.resource import Part
from netbootd.http.service import HttpService

from .inmemory import HERE, MAC, PEER

MIB = 1 << 20
BODY = random.Random(7).randbytes(8 * MIB)


class PlayedReactor(Clock):
    """What the helper hands over waits until ``deliver``."""

    def __init__(self):
        super().__init__()
        self._handed = queue.Queue()

    def callFromThread(self, function, *arguments):
        self._handed.put((function, arguments))

    def deliver(self):
        function, arguments = self._handed.get(timeout=10)
        function(*arguments)

    @property
    def nothing_handed(self):
        return self._handed.empty()


class SocketTransport(StringTransport):
    """Keeps what is written; ``drain`` is the moment when Twisted has sent it all."""

    def __init__(self):
        super().__init__(hostAddress=HERE, peerAddress=PEER)
        self.ours, self.client = socket.socketpair()
        self.ours.setblocking(False)
        self.client.settimeout(10)

    def fileno(self):
        return self.ours.fileno()

    def registerProducer(self, producer, streaming):
        super().registerProducer(producer, streaming)
        if not streaming:
            producer.resumeProducing()  # as Twisted does, at once

    def unregisterProducer(self):
        self.producer = None

    def startWriting(self):
        pass

    def drain(self):
        self.producer.resumeProducing()

    def lose(self):
        """The connection is lost, however it came to that."""
        self.ours.shutdown(socket.SHUT_RDWR)
        self.ours.close()
        producer, self.producer = self.producer, None
        producer.stopProducing()
        self.protocol.connectionLost(Failure(ConnectionLost()))


@pytest.fixture
def reactor():
    return PlayedReactor()


@pytest.fixture
def bodies(reactor):
    bodies = Bodies(reactor)
    bodies.start()
    yield bodies
    stopped = bodies.stop(0)
    while not stopped.called:
        reactor.deliver()


def connect(rig):
    transport = SocketTransport()
    channel = rig.site.buildProtocol(PEER)
    transport.protocol = channel
    channel.makeConnection(transport)
    return channel, transport


@pytest.fixture
def asked(rig, bodies):
    """A big file is asked for: its channel and transport, with the headers not yet sent."""
    (rig.root / "big").write_bytes(BODY)
    rig.site.bodies = bodies
    channel, transport = connect(rig)
    before = len(os.listdir("/proc/self/fd"))
    channel.dataReceived(b"GET /big HTTP/1.1\r\n\r\n")
    yield channel, transport
    transport.ours.close()
    transport.client.close()
    assert len(os.listdir("/proc/self/fd")) <= before  # file and duplicate were closed


def receive_all(transport, count=8 * MIB):
    while count:
        piece = transport.client.recv(min(count, MIB))
        assert piece
        count -= len(piece)


def test_the_headers_go_first(asked, bodies):
    _, transport = asked
    assert b"Content-Length: 8388608\r\n" in transport.value()
    transport.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        transport.client.recv(1)
    assert len(bodies) == 1
    transport.lose()
    assert len(bodies) == 0


def test_all_is_sent_and_the_channel_goes_on(asked, bodies, rig, reactor):
    channel, transport = asked
    transport.drain()
    receive_all(transport)
    reactor.deliver()
    assert rig.events[-1].sent == 8 * MIB
    assert transport.producer is channel
    assert len(bodies) == 0
    transport.clear()
    channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    assert transport.value().startswith(b"HTTP/1.1 200")


def test_what_goes_on_is_listed_with_how_far_it_is(asked, bodies, rig, reactor):
    _, transport = asked
    service = HttpService(reactor, rig.live, Stream(pytest.fail), dict)
    service._bodies = bodies
    reactor.advance(3)
    [waiting] = service.transfers()
    assert (waiting.protocol, waiting.path, waiting.peer) == ("HTTP", "/big", "192.0.2.77")
    assert (str(waiting.mac), waiting.size, waiting.sent) == (MAC, 8 * MIB, 0)
    assert waiting.began == pytest.approx(time.time(), abs=5), "its clock is another"
    transport.drain()
    receive_all(transport, MIB)
    deadline = time.monotonic() + 20
    while service.transfers()[0].sent < MIB and time.monotonic() < deadline:
        time.sleep(0.001)  # the kernel gives on what the helper has not counted yet
    [going] = service.transfers()
    assert MIB <= going.sent < 8 * MIB
    assert [begun.size for begun in rig.begun] == [8 * MIB]
    transport.lose()
    reactor.deliver()
    assert service.transfers() == []


def test_a_channel_that_was_paused_goes_on_as_well(asked, reactor):
    """The headers may be what fills Twisted's buffer."""
    channel, transport = asked
    channel.pauseProducing()
    transport.drain()
    receive_all(transport)
    reactor.deliver()
    transport.clear()
    channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    assert transport.value().startswith(b"HTTP/1.1 200")
    assert transport.producerState == "producing"


@pytest.mark.parametrize("error", [errno.EINVAL, errno.ENOSYS])
def test_a_file_system_without_sendfile_is_copied_from(asked, rig, reactor, monkeypatch, error):
    _, transport = asked

    def refuses(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "sendfile", refuses)
    transport.drain()
    received = bytearray()
    while len(received) < len(BODY):
        received += transport.client.recv(len(BODY) - len(received))
    reactor.deliver()
    assert received == BODY
    assert rig.events[-1].sent == 8 * MIB


def test_lost_before_the_headers_left(asked, rig, reactor):
    _, transport = asked
    transport.lose()
    assert rig.events[-1].sent == 0
    assert reactor.nothing_handed
    assert reactor.getDelayedCalls() == []


def test_headers_that_do_not_leave_are_given_up_in_time(asked, rig, reactor):
    _, transport = asked
    reactor.advance(STALL_S - 1)
    assert not transport.disconnecting
    reactor.advance(1)
    assert transport.disconnected
    transport.lose()
    assert rig.events[-1].problem == "the client has long taken nothing"


def test_lost_while_the_helper_sends(asked, rig, bodies, reactor):
    _, transport = asked
    transport.drain()
    transport.client.recv(1000)
    transport.lose()
    reactor.deliver()
    assert 0 < rig.events[-1].sent < 8 * MIB
    assert "of 8388608 bytes, the client went away" in str(rig.events[-1])
    assert len(bodies) == 0


def test_lost_when_all_is_sent_but_not_yet_known(asked, rig, bodies, reactor):
    """Both the helper and the transport say their last word; only one counts."""
    _, transport = asked
    transport.drain()
    receive_all(transport)
    while reactor.nothing_handed:
        pass
    transport.lose()
    reactor.deliver()
    assert rig.events[-1].sent == 8 * MIB
    assert len(bodies) == 0


def test_a_client_gone_before_the_reactor_knows_is_dropped(asked, rig, reactor):
    channel, transport = asked
    transport.drain()
    transport.client.recv(1000)
    transport.client.close()
    reactor.deliver()
    assert transport.disconnected
    assert 0 < rig.events[-1].sent < 8 * MIB
    assert transport.producer is channel


def test_a_file_that_cannot_be_read_ends_the_connection_in_good_order(asked, rig, reactor):
    _, transport = asked
    os.truncate(rig.root / "big", 0)
    transport.drain()
    reactor.deliver()
    assert transport.disconnecting
    assert not transport.disconnected
    (event,) = rig.events
    assert (event.sent, event.problem) == (0, "the file has become shorter")


def test_the_reactor_goes_first_before_each_turn(asked, reactor, bodies, monkeypatch):
    _, transport = asked
    steps, step = [], Body.step

    def counted(body):
        steps.append("turn")
        step(body)

    monkeypatch.setattr(Body, "step", counted)
    monkeypatch.setattr(bodies._helper, "_give_way", lambda: steps.append("way"))
    transport.drain()
    receive_all(transport)
    reactor.deliver()
    assert steps == ["way", "turn"] * (len(steps) // 2)
    assert len(steps) > 2


@pytest.fixture
def helper_fails(monkeypatch):
    """Call it, and the helper fails in its next turn."""

    def fail():
        def broken(*_):
            monkeypatch.undo()
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(Helper, "_sweep", broken)

    return fail


def test_a_helper_that_fails_ends_its_bodies_and_the_next_has_a_new_one(
    asked, rig, bodies, reactor, helper_fails, caught_faults
):
    _, transport = asked
    helper_fails()
    transport.drain()
    reactor.deliver()
    assert transport.disconnected
    assert len(bodies) == 0
    (event,) = rig.events
    assert (event.level, event.sent) == ("warn", 0)
    assert len(caught_faults(RuntimeError)) == 1

    channel, other = connect(rig)
    channel.dataReceived(b"GET /big HTTP/1.1\r\n\r\n")
    other.drain()
    receive_all(other)
    reactor.deliver()
    assert rig.events[-1].sent == 8 * MIB
    other.ours.close()
    other.client.close()


def test_a_helper_that_fails_takes_along_the_bodies_that_have_not_begun(
    asked, rig, bodies, reactor, helper_fails, caught_faults
):
    _, waiting = asked
    channel, sending = connect(rig)
    channel.dataReceived(b"GET /big HTTP/1.1\r\n\r\n")
    helper_fails()
    sending.drain()
    reactor.deliver()
    assert waiting.disconnected
    waiting.lose()
    assert len(bodies) == 0
    assert len(rig.events) == 2
    caught_faults(RuntimeError)
    sending.ours.close()
    sending.client.close()


def test_stopping_waits_and_then_aborts(asked, bodies, reactor):
    _, transport = asked
    transport.drain()
    stopped = bodies.stop(10)
    reactor.advance(9)
    assert not transport.disconnected
    reactor.advance(1)
    assert transport.disconnected
    assert not stopped.called
    transport.lose()
    reactor.deliver()
    assert stopped.called


@pytest.mark.fast_path("lending")
def test_who_lent_a_connection_has_it_back_before_the_stop_is_told(bodies, reactor, tmp_path):
    """Else a visitor would wait at a door that is closed."""
    (tmp_path / "big").write_bytes(bytes(MIB))
    ours, client = socket.socketpair()
    ours.setblocking(False)
    told = []
    content = Library(tmp_path).lookup("big")
    with ours, client:
        lent = bodies.lend(None, ours, Part(content, 0, MIB))
        lent.addCallback(lambda sent: told.append(sent.count))
        bodies.stop(10).addCallback(lambda _: told.append("stopped"))
        count = MIB
        while count:
            count -= len(client.recv(count))
        reactor.deliver()
    content.close()
    assert told == [MIB, "stopped"]


@pytest.mark.fast_path("lending")
def test_what_is_left_of_a_head_goes_before_the_body(bodies, reactor, tmp_path):
    """A connection that has nearly no room takes the first bytes of it, and then no more."""
    body = random.Random(3).randbytes(MIB)
    (tmp_path / "big").write_bytes(body)
    ours, client = socket.socketpair()
    ours.setblocking(False)
    told, found = [], b""
    content = Library(tmp_path).lookup("big")
    with ours, client:
        with contextlib.suppress(BlockingIOError):
            while sent := ours.send(bytes(1 << 20)):
                found += bytes(sent)
        before = len(found)
        lent = bodies.lend(None, ours, Part(content, 0, MIB), b"the rest of it\r\n\r\n")
        lent.addCallback(lambda sent: told.append(sent.count))
        found = b""
        while len(found) < before + 18 + MIB:
            found += client.recv(1 << 20)
        reactor.deliver()
    content.close()
    assert found[before:] == b"the rest of it\r\n\r\n" + body
    assert told == [MIB]
