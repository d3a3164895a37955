from __future__ import annotations

import socket

import pytest
from twisted.internet.protocol import DatagramProtocol

from netbootd.syslog import datagrams
from tests.syslog.test_connections import HurryingClock

ADDRESS = "127.0.0.1"


class Collector(DatagramProtocol):
    def __init__(self):
        self.taken = []

    def datagramReceived(self, datagram, _source):
        self.taken.append(datagram)
        if datagram == b"trouble":
            raise ValueError("a fault of ours")


class Reactor(HurryingClock):
    """Nothing is read but by hand."""

    def addReader(self, _port): ...

    def removeReader(self, _port): ...

    def removeWriter(self, _port): ...


@pytest.fixture
def collector():
    return Collector()


@pytest.fixture
def port(collector):
    opened = datagrams.listen(Reactor(), 0, collector, ADDRESS)
    yield opened
    opened.connectionLost()


@pytest.fixture
def send(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((ADDRESS, port.getHost().port))
        yield sender.send


@pytest.mark.parametrize("datagram", [b"", b"<13>a: b"], ids=["empty", "short"])
def test_others_are_let_in_between_however_little_a_datagram_holds(port, send, collector, datagram):
    for _ in range(50):
        send(datagram)
    port.doRead()
    assert 0 < len(collector.taken) < 50
    for _ in range(50):
        port.doRead()
    assert len(collector.taken) == 50


def test_the_rest_is_taken_at_once_until_a_time(port, send, collector):
    for _ in range(50):
        send(b"<13>a: b")
    port.take_until(port.reactor.seconds() + 0.02)
    assert 0 < len(collector.taken) < 50
    port.take_until(port.reactor.seconds() + 10)
    assert len(collector.taken) == 50


def test_a_fault_of_ours_costs_one_datagram(port, send, collector):
    send(b"trouble")
    send(b"next")
    port.doRead()
    assert collector.taken == [b"trouble", b"next"]
