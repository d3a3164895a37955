"""Receipts of a real TCP connection, whose client reads when the test wants it to."""

from __future__ import annotations

import contextlib
import socket
import struct
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


def sent(ours, clock, *, buffered=0):
    """Of an answer that the kernel took, but for what is *buffered* above it; how it ends."""
    told = []
    receipt = Receipt(told.append)
    below = SimpleNamespace(socket=ours, dataBuffer=bytes(buffered), offset=0, _tempDataLen=0)
    receipt.leaves(clock, below, SIZE)
    ours.sendall(bytes(SIZE))
    receipt.written()
    clock.advance(0)
    return told


def read(client, size):
    while size > 0:
        size -= len(client.recv(size))


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


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


def test_one_that_has_all_and_resets_what_follows_has_all(ends):
    ours, client = ends
    clock = Clock()
    told = sent(ours, clock)
    read(client, SIZE)
    client.close()
    with contextlib.suppress(ConnectionError):
        while True:
            ours.sendall(bytes(24))  # such as an alert of TLS
    clock.advance(1)
    assert told == [True]


def test_one_that_resets_it_before_its_end_is_not_waited_for(ends):
    ours, client = ends
    clock = Clock()
    told = sent(ours, clock)
    read(client, SIZE // 5)
    reset(client)
    clock.advance(1)
    assert told == [False]


def test_one_that_has_only_what_the_kernel_took_has_not_all(ends):
    ours, client = ends
    clock = Clock()
    told = sent(ours, clock, buffered=1)
    read(client, SIZE)
    pass_by(clock, 20)
    assert told == []
    ours.sendall(bytes(1))
    read(client, 1)
    clock.advance(1)
    assert told == [True]
