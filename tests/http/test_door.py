"""What is answered at the door reads as what the ordinary channel says, byte for byte."""

from __future__ import annotations

import errno
import os
import random
import re
import socket
import struct
from http import HTTPStatus

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.web import http

from netbootd.http import bodies, simple, visitor
from netbootd.http.bodies import SMALL
from netbootd.http.body import Sent
from netbootd.http.door import Door
from netbootd.http.resource import asked_of, asked_simply, text
from netbootd.record.record import Record
from netbootd.registry.live import LiveRegistry
from netbootd.registry.sightings import Sightings

from .inmemory import MAC, Rig

IPXE = b"User-Agent: iPXE/1.21.1+ (g182ee)\r\n"
HOST = b"Host: 127.0.0.1:3000\r\n"
CLOSE = b"Connection: close\r\n"


def request(target, *headers, method=b"GET", version=b"HTTP/1.1"):
    return b"%s %s %s\r\n%s\r\n" % (method, target.encode(), version, b"".join((HOST, *headers)))


SCRIPT = f"/boot/{MAC}?uuid=4c4c4544-0042-3510-8052-b3c04f4e3132&serial=A%20B&asset=&memsize=512"
#: What is sent, segment by segment, on one connection.
SIMPLE = {
    "script": [request(SCRIPT, IPXE)],
    "script and end": [request(SCRIPT, IPXE, CLOSE)],
    "script by a browser": [request(f"/{MAC}")],
    "first": [request("/boot", IPXE)],
    "unknown": [request("/boot/02-00-00-00-00-01", IPXE)],
    "unknown, browser": [request("/boot/02-00-00-00-00-01")],
    "broken": [request("/52-54-00-12-34-57", IPXE)],
    "head": [request(SCRIPT, IPXE, method=b"HEAD")],
    "kept": [request(SCRIPT, IPXE), request("/images/vmlinuz"), request(f"/{MAC}", CLOSE)],
    "file": [request("/images/vmlinuz")],
    "file, head": [request("/images/vmlinuz", method=b"HEAD")],
    "file, range": [request("/images/vmlinuz", b"Range: bytes=5-9\r\n")],
    "file, beyond": [request("/images/vmlinuz", b"Range: bytes=99999-\r\n")],
    "loader": [request(f"/{MAC}/ipxe.efi")],
    "nothing": [request("/none")],
    "outside": [request("/../c.json")],
    "query": [request(f"/{MAC}?a&b=&=c&&d=1=2&a=3")],
    "percent": [request("/images%2Fvmlinuz%00")],
    "script of a node": [request(f"/scripts/{MAC}")],
    "done": [request(f"/done/{MAC}")],
    "status": [request("/status")],
    "healthz": [request("/healthz")],
    "page": [request("/ui/")],
    "no host": [b"GET /boot HTTP/1.1\r\n\r\n"],
    "odd case": [request("/boot", b"CONNECTION: Close\r\n")],
}
HANDED_OVER = {
    "in pieces": [b"GET /boo", b"t HTTP/1.1\r\nHo", b"st: x\r\n", b"\r\n"],
    "byte by byte": [bytes([byte]) for byte in request("/boot", IPXE)],
    "two at once": [request(SCRIPT, IPXE) + request("/boot", IPXE)],
    "one and a half": [request("/boot") + b"GET /im", b"ages/vmlinuz HTTP/1.1\r\n\r\n"],
    "kept, then in pieces": [request("/boot"), b"GET /boot HT", b"TP/1.1\r\n\r\n"],
    "1.0": [request("/boot", version=b"HTTP/1.0")],
    "0.9": [b"GET /boot\r\n\r\n"],
    "2.0": [request("/boot", version=b"HTTP/2.0")],
    "whole url": [request(f"http://127.0.0.1:3000/{MAC}", IPXE)],
    "star": [request("*", method=b"OPTIONS")],
    "put": [request("/boot", b"Content-Length: 3\r\n", method=b"PUT") + b"abc"],
    "post": [request(f"/done/{MAC}", b"Content-Length: 0\r\n", method=b"POST")],
    "delete": [request("/boot", method=b"DELETE")],
    "get with a body": [request("/boot", b"Content-Length: 3\r\n") + b"abc"],
    "chunked": [request("/boot", b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n"],
    "expect": [request("/boot", b"Expect: 100-continue\r\n", b"Content-Length: 0\r\n")],
    "twice": [request("/boot", b"X-A: 1\r\n", b"X-A: 2\r\n")],
    "two hosts": [request("/boot", HOST)],
    "folded": [request("/boot", b"X-A: 1\r\n  2\r\n")],
    "no blank": [request("/boot", b"X-A:1\r\n")],
    "blanks": [request("/boot", b"X-A:   1  \r\n")],
    "blank before the colon": [request("/boot", b"X-A : 1\r\n")],
    "empty value": [request("/boot", b"X-A: \r\n")],
    "no colon": [request("/boot", b"X-A\r\n")],
    "no name": [request("/boot", b": 1\r\n")],
    "bare newlines": [b"GET /boot HTTP/1.1\nHost: x\n\n"],
    "empty line first": [b"\r\n" + request("/boot")],
    "control character": [request("/boot", b"X-A: \x01\r\n")],
    "latin": [request("/boot", b"X-A: \xe4\r\n")],
    "high path": [b"GET /\xff HTTP/1.1\r\n\r\n"],
    "blank in the path": [b"GET /a b HTTP/1.1\r\n\r\n"],
    "connection list": [request("/boot", b"Connection: close, te\r\n")],
    "connection words": [request("/boot", b"Connection: te close\r\n")],
    "upgrade": [request("/boot", b"Connection: Upgrade\r\n", b"Upgrade: h2c\r\n")],
    "http 2": [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    "long line": [request("/" + "a" * 20000)],
    "many headers": [request("/boot", *(b"X-%d: 1\r\n" % number for number in range(600)))],
    "large headers": [request("/boot", *(b"X-%d: %s\r\n" % (n, b"a" * 900) for n in range(20)))],
    "not modified": [request("/images/vmlinuz", b"If-None-Match: *\r\n")],
    "nonsense": [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
    "method": [b"get /boot HTTP/1.1\r\n\r\n"],
    "long method": [b"GETTER /boot HTTP/1.1\r\n\r\n"],
    "api": [request("/api/v1/machines", b"Authorization: Bearer x\r\n")],
}
ALL = {**SIMPLE, **HANDED_OVER}


class House:
    """A site with a Door on a real socket, and a loop that turns as often as it is told to."""

    def __init__(self, folder, **options):
        folder.mkdir()
        self.rig = Rig(folder, **options)
        record = Record(lambda: 0.0, secret=bytes(32))
        self.rig.site.live = self.rig.live = LiveRegistry(self.rig.live.snapshot, record)
        self.reactor = MemoryReactorClock()
        self.rig.site.clock = self.reactor
        self.door = Door(self.reactor, self.rig.site)
        self.port = self.door.open(0)

    def turn(self):
        for reader in list(self.reactor.getReaders()):
            self._lost(reader, reader.doRead())
        for writer in list(self.reactor.getWriters()):
            self._lost(writer, writer.doWrite())
        self.reactor.advance(0)

    def _lost(self, end, why):
        if why is not None:
            self.reactor.removeReader(end)
            self.reactor.removeWriter(end)
            end.connectionLost(Failure(why))

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port.getHost().port))
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the second piece as well
        return client

    def talk(self, segments):
        """What comes back for *segments*, and whether the connection was closed then."""
        client = self.connect()
        found, closed = b"", False
        for segment in segments:
            if not closed:
                client.send(segment)
            found, closed = self._read(client, found, closed)
        client.close()
        self.turn()
        return found, closed

    def _read(self, client, found, closed):
        for _ in range(6):
            self.turn()
            try:
                while not closed:
                    more = client.recv(1 << 20)
                    found, closed = found + more, not more
            except BlockingIOError:
                pass
            except ConnectionResetError:
                closed = True
        return found, closed

    def close(self):
        self.port.stopListening()
        self.door.close()


class Ordinary(House):
    """The same, with the channel alone; *reached* is the port of which it is asked."""

    reached = 0

    def talk(self, segments):
        transport = StringTransport(
            hostAddress=IPv4Address("TCP", "127.0.0.1", self.reached),
            peerAddress=IPv4Address("TCP", "127.0.0.1", 40000),
        )
        made = self.rig.site.buildProtocol(None)
        made.makeConnection(transport)
        for segment in segments:
            if not transport.disconnecting:
                made.dataReceived(segment)
                self.reactor.advance(0)
        closed = transport.disconnecting or transport.disconnected
        return transport.value(), closed


@pytest.fixture
def houses(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "datetimeToString", lambda *_: b"a date")
    simple._date.cache_clear()
    made = [House(tmp_path / "door"), Ordinary(tmp_path / "ordinary")]
    for one in made:
        for file in one.rig.root.rglob("*"):
            os.utime(file, (0, 1_600_000_000))
    made[1].reached = made[0].port.getHost().port
    yield made
    for one in made:
        one.close()
    simple._date.cache_clear()


def stripped(data):
    """Without what names the file's inode."""
    return re.sub(rb'ETag: "[^"]*"', b"ETag", data)


def told(rig):
    return rig.events, rig.begun


@pytest.mark.parametrize("name", ALL)
def test_both_ways_say_the_same(houses, name):
    quick, ordinary = houses
    said, closed = quick.talk(ALL[name])
    other, other_closed = ordinary.talk(ALL[name])
    assert stripped(said) == stripped(other)
    assert closed == other_closed
    assert told(quick.rig) == told(ordinary.rig)
    standings = [dict(house.rig.live.record.items()) for house in houses]
    assert standings[0] == standings[1]


@pytest.mark.fast_path("visits")
@pytest.mark.parametrize("name", SIMPLE)
def test_what_is_simple_needs_no_channel(houses, name, monkeypatch):
    quick, _ = houses
    monkeypatch.setattr(quick.rig.site, "buildProtocol", None)
    assert quick.talk(SIMPLE[name])[0].startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("seed", range(12))
def test_slips_of_a_request_meet_the_same_fate(houses, seed):
    quick, ordinary = houses
    chance = random.Random(seed)
    for _ in range(25):
        data = bytearray(chance.choice(list(SIMPLE.values()))[0])
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[place] = chance.choice(b"\r\n \t:%/?&=+\0\xff1Aa")
                case 1:
                    del data[place]
                case 2:
                    data.insert(place, chance.choice(b"\r\n \t:%/?&=+\0\xff1Aa"))
        assert stripped(quick.talk([bytes(data)])[0]) == stripped(
            ordinary.talk([bytes(data)])[0]
        ), data


@pytest.mark.parametrize("target", ["/a?b=c", "/a%20b?c=%64&e=f+g", "/?&&a&=b", "/a?b?c=d=e", "//"])
def test_a_simple_request_is_read_as_any_other(target):
    here, peer = ("192.0.2.1", 80), "192.0.2.9"
    headers = [(b"Host", [b"h:1"]), (b"User-Agent", [b"iPXE/1"])]
    told = {"host": "h:1", "user-agent": "iPXE/1"}
    simply = asked_simply(b"GET", target.encode(), told, here, peer, Sightings())
    usual = asked_of(b"GET", target.encode(), headers, here, peer)
    assert (simply.path, simply.query, simply.headers, simply.host) == (
        usual.path,
        usual.query,
        usual.headers,
        usual.host,
    )
    assert (simply.here, simply.peer, simply.method) == (usual.here, usual.peer, usual.method)


def test_nobody_is_read_who_is_not_served(tmp_path):
    house = House(tmp_path / "a")
    house.rig.site.allowed = lambda address: address != "127.0.0.1"
    assert house.talk([request("/boot")]) == (b"", True)
    assert house.rig.events == []
    house.close()


def test_a_long_answer_arrives_whole_though_the_socket_takes_a_part(tmp_path, monkeypatch):
    house = House(tmp_path / "a")
    for module in (visitor, bodies):  # what the channel sends as well
        monkeypatch.setattr(module, "SMALL", 64 << 20)
    body = random.Random(1).randbytes(32 << 20)
    (house.rig.root / "large").write_bytes(body)
    client = house.connect()
    client.send(request("/large", CLOSE))
    found = b""
    for _ in range(20000):
        house.turn()
        try:
            more = client.recv(1 << 20)
        except BlockingIOError:
            continue
        if not more:
            break
        found += more
    assert found.partition(b"\r\n\r\n")[2] == body
    client.close()
    house.close()


def read_on(client):
    while client.recv(1 << 20):
        pass


def at_once(connection):
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class Lender:
    """Keeps what it is lent."""

    def __init__(self):
        self.lent = []

    def lend(self, visitor, connection, part, head):
        self.head = head
        body = part.content.read(part.offset, part.count)
        self.lent.append((visitor, connection, body, Deferred()))
        return self.lent[-1][3]


@pytest.mark.fast_path("visits", "lending")
def test_a_head_that_the_socket_takes_a_part_of_is_not_begun_anew(tmp_path, monkeypatch):
    house = House(tmp_path / "a")
    house.rig.site.bodies = lender = Lender()
    (house.rig.root / "large").write_bytes(bytes(SMALL + 9))
    client = house.connect()
    client.send(request("/large"))
    send = socket.socket.send
    with monkeypatch.context() as patched:
        patched.setattr(
            socket.socket, "send", lambda one, data, *flags: send(one, data[:9], *flags)
        )
        house.turn()
        house.turn()
    ((_, connection, _, _),) = lender.lent
    connection.sendall(lender.head)
    head = client.recv(1 << 16)
    assert head.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert head.endswith(b"\r\nContent-Length: %d\r\n\r\n" % (SMALL + 9))
    client.close()
    connection.close()
    house.close()


@pytest.mark.fast_path("visits", "lending", "whole-sends")
@pytest.mark.parametrize(
    ("sent", "end"),
    [(SMALL + 9, "kept"), (5, "reset"), (5, "closed")],
)
def test_a_file_that_is_not_small_is_sent_by_the_thread_for_bodies(tmp_path, sent, end):
    house = House(tmp_path / "a")
    house.rig.site.bodies = lender = Lender()
    (house.rig.root / "large").write_bytes(bytes(SMALL + 9))
    client = house.connect()
    client.send(request("/large"))
    house.turn()
    house.turn()
    ((visitor, connection, body, done),) = lender.lent
    assert body == bytes(SMALL + 9)
    assert not connection.getblocking()
    assert not at_once(connection)
    assert visitor.progress(7).sent == 7
    connection.sendall(lender.head + body[:sent])
    done.callback(Sent(sent, "" if end == "kept" else "a reason", of_file=end == "closed"))
    client.setblocking(True)
    if end == "reset":
        with pytest.raises(ConnectionResetError):
            read_on(client)
    else:
        found = b""
        while len(found.partition(b"\r\n\r\n")[2]) < sent:
            found += client.recv(1 << 20)
        assert b"Content-Length: %d\r\n" % (SMALL + 9) in found
    if end == "closed":
        assert client.recv(1) == b""
    if end == "kept":
        client.send(request("/boot"))
        house.turn()
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert at_once(connection)
        client.send(request("/large"))
        house.turn()
        assert not at_once(connection)
    assert house.rig.begun[0].size == SMALL + 9
    assert (house.rig.events[0].sent, house.rig.events[0].count) == (sent, SMALL + 9)
    client.close()
    house.close()


def greet(house, client):
    """It asks for something, has it, and may stay."""
    client.send(request("/boot"))
    house.turn()
    house.turn()
    assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_who_says_nothing_for_long_is_sent_away(tmp_path):
    house = House(tmp_path / "a")
    client = house.connect()
    greet(house, client)
    for _ in range(30):
        house.reactor.advance(5)
        house.turn()
    assert client.recv(1) == b""
    assert house.reactor.getDelayedCalls() == []
    client.close()
    house.close()


def test_who_asks_now_and_then_may_stay(tmp_path):
    house = House(tmp_path / "a")
    client = house.connect()
    for _ in range(4):
        greet(house, client)
        for _ in range(20):
            house.reactor.advance(5)
    client.close()
    house.turn()
    assert not house.door._waiting
    house.close()


def test_a_client_that_is_gone_is_forgotten(tmp_path):
    house = House(tmp_path / "a")
    client = house.connect()
    client.send(request(SCRIPT, IPXE))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    for _ in range(3):
        house.turn()
    assert not house.door._waiting
    house.close()


def test_a_crowd_is_let_in_though_descriptors_run_out(tmp_path, monkeypatch):
    house = House(tmp_path / "a")

    def none_left(_):
        raise OSError(errno.EMFILE, "too many open files")

    client = house.connect()
    client.send(request("/boot", CLOSE))
    with monkeypatch.context() as patched, capturedLogs() as told:
        patched.setattr(socket.socket, "accept", none_left)
        for _ in range(20):
            house.turn()
            house.reactor.advance(1)
    assert len(told) == 1
    house.reactor.advance(1)
    house.turn()
    assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
    client.close()
    house.close()


@pytest.mark.fast_path("visits", "whole-sends")
def test_who_cannot_be_waited_for_is_sent_away(tmp_path, monkeypatch):
    house = House(tmp_path / "a")
    register = Door.register

    def no_watch_left(door, connection, wake):
        if wake != house.port.accept:  # epoll_ctl(2): /proc/sys/fs/epoll/max_user_watches
            raise OSError(errno.ENOSPC, "no space left on device")
        register(door, connection, wake)

    with monkeypatch.context() as patched:
        patched.setattr(Door, "register", no_watch_left)
        assert house.talk([request("/boot")])[1]
    assert not house.door._waiting
    assert house.talk([request("/boot", CLOSE)])[0].startswith(b"HTTP/1.1 200")
    house.close()


def test_a_status_that_twisted_has_no_words_for_reads_the_same_both_ways(houses, monkeypatch):
    answer = text(HTTPStatus.UNPROCESSABLE_ENTITY, "no")
    for house in houses:
        monkeypatch.setattr(house.rig.site, "answer", lambda _: answer)
    said, other = [house.talk([request("/boot")])[0] for house in houses]
    assert said == other


def test_a_fault_ends_one_connection_and_no_more(tmp_path, monkeypatch, caught_faults):
    house = House(tmp_path / "a")
    with monkeypatch.context() as patched:
        patched.setattr(house.rig.site, "answer", lambda _: 1 / 0)
        assert house.talk([request("/boot")]) == (b"", True)
    assert caught_faults(ZeroDivisionError)
    assert house.talk([request("/boot")])[0].startswith(b"HTTP/1.1 200")
    house.close()
