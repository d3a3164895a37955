"""Receipts of a real TCP connection, whose client reads when the test wants it to."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock

from netbootd.http.receipt import Receipt

SIZE = 100_000


@pytest.fixture
def ends():
    """Ours and the client's, which takes little before it reads."""
    with socket.socket() as listening, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client.connect(listening.getsockname())
        client.settimeout(20)
        ours, _ = listening.accept()
        with ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * SIZE)
            yield ours, client


def sent(ours, clock):
    """Of an answer that the kernel took; how it ends."""
    told = []
    receipt = Receipt(told.append)
    receipt.leaves(clock, SimpleNamespace(socket=ours), SIZE)
    ours.sendall(bytes(SIZE))
    receipt.written()
    return told


def read(client, size):
    while size > 0:
        size -= len(client.recv(size))


def pass_by(clock, seconds):
    for _ in range(seconds):
        clock.advance(1)


def test_a_client_that_reads_slowly_has_all_of_it_in_the_end(ends):
    ours, client = ends
    clock = Clock()
    told = sent(ours, clock)
    for _ in range(4):
        pass_by(clock, 50)
        assert told == []
        read(client, SIZE // 5)
    read(client, SIZE - 4 * (SIZE // 5))
    pass_by(clock, 5)
    assert told == [True]


def test_one_that_reads_no_more_has_not(ends):
    ours, client = ends
    clock = Clock()
    told = sent(ours, clock)
    read(client, SIZE // 5)
    pass_by(clock, 50)
    assert told == []
    pass_by(clock, 300)  # what the kernel took from it counts as read, a moment later
    assert told == [False]
