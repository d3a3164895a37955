"""
The helper thread with real sockets: what it may never do is mix bodies up, hang, or forget one.

The server runs in a process of its own with the real reactor; the clients are plain sockets.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time

import pytest

from netbootd.http.bodies import SMALL

from .serving import fetch, length_of, read_answer, read_head, serving

MIB = 1 << 20
PATTERN = random.Random(1).randbytes(MIB)
BIG = 24 * MIB


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bodies")
    (folder / "files").mkdir()
    (folder / "firmware").mkdir()
    (folder / "files" / "big").write_bytes(PATTERN * (BIG // MIB))
    (folder / "files" / "medium").write_bytes(PATTERN)
    (folder / "files" / "small").write_bytes(PATTERN[:1000])
    (folder / "files" / "empty").write_bytes(b"")
    for size in (SMALL - 1, SMALL, SMALL + 1):
        (folder / "files" / f"edge{size}").write_bytes(PATTERN[:size])
    (folder / "firmware" / "ipxe.efi").write_bytes(PATTERN)
    with serving(folder) as server:
        yield server


@pytest.fixture
def own_server(tmp_path):
    """A server for one test: ``own_server("--stall", "1", grace=2)``."""
    contexts = []

    def start(*options, **settings):
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / "big").write_bytes(PATTERN * (BIG // MIB))
        contexts.append(serving(tmp_path, *options, **settings))
        return contexts[-1].__enter__()

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


def settled(server, wanted):
    """Wait until the server has no more than *wanted* descriptors."""
    for _ in range(100):
        if server.descriptors() <= wanted:
            return True
        time.sleep(0.05)
    return False


def reset(connection):
    """Close with a RST, as a machine does that is switched off and on again."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def drain(connection):
    """Read on until the end, which a RST never lets come."""
    while connection.recv(MIB):
        pass


@pytest.mark.parametrize("path", ["big", "medium", "small", "empty", "ipxe.efi"])
def test_bodies_arrive_whole(server, path):
    with server.connect() as connection:
        _, body = fetch(connection, path)
    expected = {"big": BIG, "medium": MIB, "small": 1000, "empty": 0, "ipxe.efi": MIB}[path]
    assert len(body) == expected
    assert body == (PATTERN * (BIG // MIB))[:expected]


@pytest.mark.parametrize("size", [SMALL - 1, SMALL, SMALL + 1])
def test_both_ways_meet_at_the_edge(server, size):
    with server.connect() as connection:
        assert fetch(connection, f"edge{size}")[1] == PATTERN[:size]


def test_a_part_is_sent_from_its_offset(server):
    first, last = 3 * MIB + 17, 9 * MIB + 5
    with server.connect() as connection:
        head, body = fetch(connection, "big", f"Range: bytes={first}-{last}\r\n")
        assert b" 206 " in head
        assert body == (PATTERN * 24)[first : last + 1]
        _, body = fetch(connection, "ipxe.efi", "Range: bytes=-70000\r\n")
        assert body == PATTERN[-70000:]


def test_a_connection_serves_on_after_a_body(server):
    with server.connect() as connection:
        for path in ("big", "small", "medium", "boot", "ipxe.efi", "big"):
            head, _ = fetch(connection, path)
            assert b" 200 " in head


def test_requests_sent_ahead_are_answered_in_order(server):
    paths = ["medium", "small", "big", "none", "ipxe.efi", "empty", "medium"]
    with server.connect() as connection:
        for path in paths:
            connection.sendall(f"GET /{path} HTTP/1.1\r\n\r\n".encode())
        stream = connection.makefile("rb")
        sizes = [len(read_answer(stream)[1]) for _ in paths]
    assert sizes[:3] == [MIB, 1000, BIG]
    assert sizes[4:] == [MIB, 0, MIB]


@pytest.mark.parametrize("paths", [["big"], ["small"], ["big", "small", "medium"]])
def test_a_client_that_closes_its_half_gets_all_it_asked(server, paths):
    """As netcat does at the end of its input."""
    with server.connect() as connection:
        for path in paths:
            connection.sendall(f"GET /{path} HTTP/1.1\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        stream = connection.makefile("rb")
        sizes = [len(read_answer(stream)[1]) for _ in paths]
        assert sizes == [{"big": BIG, "medium": MIB, "small": 1000}[path] for path in paths]
        assert stream.read() == b""


def test_a_client_that_closes_its_half_and_then_goes_leaves_nothing(own_server):
    server = own_server()
    before = server.descriptors()
    connection = server.connect(receive_buffer=4096)
    connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
    read_head(connection)
    connection.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    reset(connection)
    assert settled(server, before)
    event = server.event("served")
    assert (event["sent"] < event["size"], event["problem"]) == (True, "")


def test_more_sent_ahead_than_twisted_keeps_is_not_lost(server):
    """Past 16 KiB Twisted stops reading; it must go on reading afterwards."""
    with server.connect() as connection:
        padding = "X: " + "y" * 4000
        for _ in range(60):
            connection.sendall(f"GET /medium HTTP/1.1\r\n{padding}\r\n\r\n".encode())
        stream = connection.makefile("rb")
        for _ in range(60):
            assert len(read_answer(stream)[1]) == MIB


def test_answers_that_fill_the_buffer_before_a_body_do_not_stop_the_connection(server):
    """Twisted pauses its channel then; it must be told to go on when the body has gone."""
    with server.connect(receive_buffer=4096) as connection:
        small = b"GET /edge65535 HTTP/1.1\r\n\r\n"
        connection.sendall(small * 40 + b"GET /medium HTTP/1.1\r\n\r\n" + small * 3)
        stream = connection.makefile("rb")
        for size in [65535] * 40 + [MIB] + [65535] * 3:
            assert len(read_answer(stream)[1]) == size
        assert fetch(connection, "small")[1] == PATTERN[:1000]


def test_http_1_0_ends_with_the_body(server):
    with server.connect() as connection:
        connection.sendall(b"GET /medium HTTP/1.0\r\n\r\n")
        _, body = read_answer(connection.makefile("rb"))
        assert body == PATTERN
        assert connection.recv(1) == b""


def test_a_client_that_leaves_costs_nothing(server):
    with server.connect() as connection:
        fetch(connection, "small")
    assert settled(server, before := server.descriptors())
    for leave in (socket.socket.close, reset):
        for pause in (0, 0.001, 0.05):
            connections = [server.connect() for _ in range(20)]
            for connection in connections:
                connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
            time.sleep(pause)
            for connection in connections:
                leave(connection)
    assert settled(server, before)
    event = server.event("served")
    while event["sent"] in (event["size"], 0):
        event = server.event("served")
    assert 0 < event["sent"] < event["size"]


def test_dead_and_slow_clients_hold_up_nobody(server):
    dead = [server.connect(receive_buffer=4096) for _ in range(50)]
    for connection in dead:
        connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
    slow = server.connect(receive_buffer=4096)
    slow.sendall(b"GET /big HTTP/1.1\r\n\r\n")
    assert slow.recv(100)
    begun = time.monotonic()
    with server.connect() as connection:
        for path in ("big", "small", "boot"):
            assert b" 200 " in fetch(connection, path)[0]
    assert time.monotonic() - begun < 5
    for connection in (*dead, slow):
        connection.close()


def test_thousands_of_bodies_at_once_cost_no_threads(server):
    threads = server.threads()
    connections = []
    for _ in range(1500):
        connection = server.connect(receive_buffer=4096)
        connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        connections.append(connection)
    heads = [read_head(connection) for connection in connections]
    assert all(length_of(head) == BIG for head, _ in heads)
    assert server.threads() == threads
    with server.connect() as connection:
        assert fetch(connection, "medium")[1] == PATTERN
    for connection in connections:
        connection.close()


def test_bodies_never_get_mixed_up_however_clients_come_and_go(server):
    """Descriptor numbers are used again within microseconds here."""
    stop = threading.Event()
    faults = []

    def come_and_go(seed):
        dice = random.Random(seed)
        while not stop.is_set():
            connection = server.connect(receive_buffer=dice.choice((0, 4096)))
            connection.sendall(
                b"GET /%s HTTP/1.1\r\n\r\n" % dice.choice((b"big", b"medium", b"small"))
            )
            time.sleep(dice.choice((0, 0, 0.0005, 0.003)))
            if dice.random() < 0.5:
                connection.recv(dice.choice((1, 4096, 65536)))
            dice.choice((reset, socket.socket.close))(connection)

    def verify():
        try:
            while not stop.is_set():
                with server.connect() as connection:
                    for path, expected in (("medium", PATTERN), ("small", PATTERN[:1000])):
                        assert fetch(connection, path)[1] == expected
        except Exception as problem:
            faults.append(problem)

    threads = [threading.Thread(target=come_and_go, args=(seed,)) for seed in range(6)]
    threads += [threading.Thread(target=verify) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []


def test_a_file_that_shrinks_ends_the_connection(own_server):
    server = own_server()
    with server.connect(receive_buffer=4096) as connection:
        connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        head, rest = read_head(connection)
        os.truncate(server.files / "big", 9 * MIB)
        received = len(rest)
        while piece := connection.recv(MIB):
            received += len(piece)
    assert length_of(head) == BIG
    assert received < BIG
    event = server.event("served")
    assert event["sent"] < event["size"]
    assert event["problem"] == "the file has become shorter"
    assert "shorter" not in (server.files.parent / "log").read_text()  # the event is the line


def test_a_file_that_is_replaced_is_sent_as_it_was(own_server):
    server = own_server()
    with server.connect(receive_buffer=4096) as connection:
        connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        head, rest = read_head(connection)
        (server.files / "new").write_bytes(b"new" * MIB)
        os.replace(server.files / "new", server.files / "big")
        with connection.makefile("rb") as stream:
            body = rest + stream.read(length_of(head) - len(rest))
    assert body == PATTERN * 24


def test_a_client_that_takes_nothing_is_given_up(own_server):
    server = own_server("--stall", "1")
    connection = server.connect(receive_buffer=4096)
    connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
    event = server.event("served", timeout=10)
    assert event["sent"] < event["size"]
    with pytest.raises(ConnectionResetError):
        drain(connection)


@pytest.mark.fast_path("confirmed")
def test_a_client_that_stops_is_told_with_what_it_took(own_server):
    """And not with the megabytes that our kernel has taken ahead."""
    server = own_server("--stall", "1")
    with server.connect(receive_buffer=65536) as connection:
        connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        _, rest = read_head(connection)
        took = len(rest)
        while took < MIB:
            took += len(connection.recv(MIB - took))
        event = server.event("served", timeout=10)
    assert event["problem"] == "the client has long taken nothing"
    # What the kernel of the client had, but had not said so yet (RFC 1122, 4.2.3.2), counts as unsent.
    assert MIB - 65536 <= event["sent"] < MIB + 4 * 65536


@pytest.mark.fast_path("confirmed")
def test_a_client_that_is_reset_is_told_with_what_it_took(own_server):
    server = own_server()
    connection = server.connect(receive_buffer=65536)
    connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
    _, rest = read_head(connection)
    took = len(rest)
    while took < MIB:
        took += len(connection.recv(MIB - took))
    # What a client took and has not confirmed yet nobody else can know.  It need not do so at once
    # while there is more to take (not with TCP_QUICKACK either), but after 200 ms (TCP_DELACK_MAX).
    time.sleep(0.5)
    reset(connection)
    event = server.event("served")
    assert event["problem"] == ""
    assert MIB <= event["sent"] < MIB + 4 * 65536


@pytest.mark.parametrize("request_line", [b"GET /big HTTP/1.1", b"GET /big HTTP/1.0"])
def test_clients_that_read_nothing_keep_nobody_else_out(own_server, request_line):
    """Simple requests, and those for Twisted: either way the thread for bodies has all places."""
    server = own_server("--connections", "12", "--of-one", "6")
    before = server.descriptors()
    crowd = [server.connect(4096, f"127.0.0.{number}") for number in (2, 3) for _ in range(6)]
    for one in crowd:
        one.sendall(request_line + b"\r\nHost: x\r\n\r\n")
        read_head(one)
    others = [server.connect(source="127.0.0.4") for _ in range(4)]
    for other in others:
        _, got = fetch(other, "big")
        assert got == PATTERN * (BIG // MIB)
    for one in (*crowd, *others):
        one.close()
    assert settled(server, before)


def test_a_slow_client_is_not_given_up_as_long_as_it_takes_something(own_server):
    server = own_server("--stall", "2", "--turn", "65536")
    with server.connect(receive_buffer=65536) as connection:
        connection.sendall(b"GET /big HTTP/1.1\r\nRange: bytes=0-8388607\r\n\r\n")
        head, rest = read_head(connection)
        left = length_of(head) - len(rest)
        begun = time.monotonic()
        while left:
            piece = connection.recv(min(left, 64 << 10))
            assert piece
            left -= len(piece)
            time.sleep(0.03)
        assert time.monotonic() - begun > 3
    assert server.event("served")["sent"] == 8 * MIB


def test_stopping_lets_bodies_finish(own_server):
    server = own_server(grace=20)
    with server.connect(receive_buffer=4096) as connection, server.connect() as kept:
        connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        head, rest = read_head(connection)
        fetch(kept, "boot")
        server.terminate()
        time.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        assert b" 503 " in fetch(kept, "boot")[0]
        received = len(rest)
        while piece := connection.recv(MIB):
            received += len(piece)
        assert received == length_of(head)
    assert server.process.wait(10) == 0


def test_stopping_has_an_end(own_server):
    server = own_server(grace=1)
    connection = server.connect(receive_buffer=4096)
    connection.sendall(b"GET /big HTTP/1.1\r\n\r\n")
    read_head(connection)
    begun = time.monotonic()
    server.terminate()
    assert server.process.wait(10) == 0
    assert 0.9 < time.monotonic() - begun < 5
    connection.close()


@pytest.mark.parametrize("first", ["small", "medium"])
def test_a_client_that_asks_and_never_reads_cannot_fill_our_memory(server, first):
    """64 KiB of answer for 33 bytes of request, sent ahead without end."""
    with server.connect(receive_buffer=4096) as connection:
        fetch(connection, first)
        before = server.memory()
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.sendall(b"GET /edge65535 HTTP/1.1\r\n\r\n" * 1_000_000)
        assert server.memory() - before < 20 * MIB


def test_a_connection_to_an_address_not_served_ends_at_once(own_server):
    server = own_server("--nowhere")
    before = server.descriptors()
    for _ in range(3):
        with pytest.raises(ConnectionResetError), server.connect() as connection:
            connection.recv(1)
    assert settled(server, before)
