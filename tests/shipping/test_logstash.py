"""To Logstash: a line is a line, and none is missing when a connection breaks."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from netbootd.config import Ship
from netbootd.shipping import logstash

from .elastic import Elastic
from .writing import until


class TcpInput:
    """
    Logstash's tcp input with codec json_lines: every line must be one object, and end with LF.

    *breaks* are bytes after which the next connections are reset, one each; *closes*: it closes a
    connection whose other half was.  ``paused``: it reads nothing.
    """

    def __init__(self, breaks: tuple[int, ...] = (), closes: bool = True) -> None:
        self.lines: list[str] = []
        self.complaints: list[str] = []
        self.breaks = list(breaks)
        self.closes = closes
        self.connections = 0
        self.reads = threading.Event()
        self.reads.set()
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        enough = self.breaks.pop(0) if self.breaks else None
        rest, count = b"", 0
        while True:
            self.reads.wait()
            data = connection.recv(1000)
            count += len(data)
            rest += data
            *lines, rest = rest.split(b"\n")
            for line in lines:
                self._take(line)
            if enough is not None and count >= enough:
                linger = struct.pack("ii", 1, 0)  # a reset, as of a process that was killed
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.close()
                return
            if not data:
                break
        if rest:
            self.complaints.append(f"a line without its end: {rest[:50]!r}")
        if self.closes:
            connection.close()
        else:
            self._kept = connection

    def _take(self, line: bytes) -> None:
        try:
            document = json.loads(line)
            self.lines.append(document["message"])
            if isinstance(document.get("host", {}), str):
                self.complaints.append("host is no object")
        except (ValueError, KeyError, TypeError) as problem:
            self.complaints.append(f"{problem}: {line[:50]!r}")


class HttpInput:
    """Logstash's http input: an array or an object, application/json; *answers* for the next."""

    def __init__(self, answers: tuple[int, ...] = ()) -> None:
        self.lines: list[str] = []
        self.complaints: list[str] = []
        self.authorizations: list[str | None] = []
        self.answers = list(answers)
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outside.answers.pop(0) if outside.answers else 200
                outside.authorizations.append(self.headers["Authorization"])
                if self.headers["Content-Type"] != "application/json":
                    outside.complaints.append(f"Content-Type {self.headers['Content-Type']}")
                if status == 200:
                    outside.lines += [document["message"] for document in json.loads(body)]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def tcp():
    """A function that starts a tcp input; all are closed."""
    with contextlib.ExitStack() as stack:
        yield lambda **how: stack.enter_context(contextlib.closing(TcpInput(**how)))


def test_lines_arrive_in_order_and_once(log, ship, tcp):
    server = tcp()
    texts = log.say(50)
    ship(Ship(logstash=server.where))
    until(lambda: len(server.lines) == 50)
    log.cut()
    texts += log.say(50)
    until(lambda: len(server.lines) == 100)
    assert server.lines == texts
    assert server.complaints == []


def test_a_line_with_newlines_and_rubbish_is_one_line(log, ship, tcp):
    server = tcp()
    text = 'two\nlines\r, a "quote", \x1b[31m red \x00 and \u2028'
    log.say(1, text=text)
    ship(Ship(logstash=server.where))
    until(lambda: server.lines == [text])


@pytest.mark.parametrize("breaks", [(1,), (5000, 20_000), (1, 1, 1)], ids=str)
def test_a_connection_that_breaks_costs_no_line(breaks, log, ship, tcp):
    server = tcp(breaks=breaks)
    texts = log.say(200)
    shipper = ship(Ship(logstash=server.where))
    until(lambda: shipper.counts["logstash"].shipped == 200)
    assert set(server.lines) == set(texts)
    assert server.lines[-200:] == texts  # the last time, all of the block
    assert server.connections == len(breaks) + 1


def test_what_arrived_before_is_not_sent_again_with_a_later_block(log, ship, tcp):
    server = tcp()
    first = log.say(20)
    shipper = ship(Ship(logstash=server.where))
    until(lambda: shipper.counts["logstash"].shipped == 20)
    server.breaks.append(1)
    second = log.say(20)
    until(lambda: shipper.counts["logstash"].shipped == 40)
    assert [line for line in server.lines if line in first] == first
    assert set(server.lines) == {*first, *second}


def test_who_reads_slowly_is_waited_for(log, ship, tcp):
    server = tcp()
    server.reads.clear()
    texts = log.say(300, text="z" * 20_000)  # more than the sockets hold
    shipper = ship(Ship(logstash=server.where))
    until(lambda: server.connections == 1)
    server.reads.set()
    until(lambda: shipper.counts["logstash"].shipped == 300)
    assert server.lines == texts


def test_who_reads_nothing_for_long_is_told_of(log, ship, tcp, monkeypatch):
    monkeypatch.setattr(logstash, "_STALLED_S", 1)
    monkeypatch.setattr(logstash, "_LOOK_S", 0.05)
    server = tcp()
    server.reads.clear()
    texts = log.say(300, text="z" * 20_000)
    shipper = ship(Ship(logstash=server.where))
    until(lambda: "reads nothing" in shipper.trouble)
    server.reads.set()
    until(lambda: shipper.counts["logstash"].shipped == 300)
    assert set(server.lines) == set(texts)


def test_who_never_closes_is_believed_after_a_while(log, ship, tcp, monkeypatch):
    monkeypatch.setattr(logstash, "_BELIEVED_S", 0.2)
    monkeypatch.setattr(logstash, "_LOOK_S", 0.05)
    server = tcp(closes=False)
    texts = log.say(5)
    shipper = ship(Ship(logstash=server.where))
    until(lambda: shipper.counts["logstash"].shipped == 5)
    assert server.lines == texts


def test_stopping_does_not_wait_for_who_reads_nothing(log, ship, tcp):
    server = tcp()
    server.reads.clear()
    log.say(300, text="z" * 20_000)
    shipper = ship(Ship(logstash=server.where))
    until(lambda: server.connections == 1)
    shipper.stop()
    assert not any(one.is_alive() for one in shipper._couriers.values())
    assert shipper.counts["logstash"].shipped == 0


def test_the_http_input_confirms_by_200(log, ship):
    with contextlib.closing(HttpInput((429, 503, 200, 429))) as server:
        texts = log.say(10)
        shipper = ship(Ship(logstash=server.url))
        until(lambda: shipper.counts["logstash"].shipped == 10)
        texts += log.say(10)
        until(lambda: shipper.counts["logstash"].shipped == 20)
        assert server.lines == texts
        assert server.complaints == []


def test_credentials_are_for_one_of_two(log, ship, tmp_path):
    (tmp_path / "key").write_text("ApiKey secret")
    log.say(1)
    with contextlib.closing(HttpInput()) as server, Elastic() as elastic:
        elastic.authorization = "ApiKey secret"
        ship(Ship(elasticsearch=(elastic.url,), logstash=server.url, credentials=tmp_path / "key"))
        until(lambda: elastic.stored and server.lines)
        assert server.authorizations == [None]


def test_credentials_are_logstash_s_where_it_is_alone(log, ship, tmp_path):
    (tmp_path / "key").write_text("user:word")
    log.say(1)
    with contextlib.closing(HttpInput()) as server:
        ship(Ship(logstash=server.url, credentials=tmp_path / "key"))
        until(lambda: server.lines)
        assert server.authorizations == ["Basic dXNlcjp3b3Jk"]
