"""URLs as hooks: real servers, which hang, trickle and refuse."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
from contextlib import contextmanager

import pytest

from .conftest import NODE, SOON


@contextmanager
def server(reply):
    """A web server on loopback whose answer to a POST is *reply*(handler); and what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, dict(self.headers), body))
            reply(self)

        def log_message(self, *_):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}", asked
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def replying(status, body=b""):
    def reply(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def test_a_url_is_told_by_post(run):
    with server(replying(204)) as (url, asked):
        level, line = run(f"{url}/up?key=secret")
    assert level == "info"
    assert f"hook up: {url}/up in" in line
    assert "secret" not in line
    ((path, headers, body),) = asked
    assert path == "/up?key=secret"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"event": "up", **NODE}


def test_a_url_may_bring_a_name_and_password_that_the_log_does_not_show(run):
    with server(replying(403)) as (url, asked):
        _, line = run(url.replace("//", "//me:s%40cret@"))
    assert asked[0][1]["Authorization"] == "Basic bWU6c0BjcmV0"
    assert f"{url}: 403 Forbidden" in line
    assert "cret" not in line


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (500, b"no disk\nsorry\n", "500 Internal Server Error: sorry"),
        (404, b"", "404 Not Found"),
        (302, b"", "302 Found"),
        (500, b"x" * 5_000_000, "500 Internal Server Error: x"),
    ],
)
def test_a_server_that_says_no_is_a_line(run, status, body, says):
    with server(replying(status, body)) as (url, _):
        level, line = run(url)
    assert level == "warn"
    assert says in line
    assert len(line) < 1000


def test_a_server_that_hangs_is_given_up(run):
    stop = threading.Event()
    with server(lambda _: stop.wait(SOON)) as (url, _):
        assert run(url, timeout=0.5)[1].endswith("no answer in 0.5 s")
        stop.set()


def test_a_server_that_trickles_is_given_up(run):
    stop = threading.Event()

    def trickle(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not stop.wait(0.05):
            try:
                handler.wfile.write(b"X: y\r\n")
            except OSError:
                return

    with server(trickle) as (url, _):
        assert run(url, timeout=0.6)[1].endswith("no answer in 0.6 s")
        stop.set()


def test_a_server_that_is_not_there_or_speaks_no_http_is_a_line(run):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert "no answer in" in run(f"http://127.0.0.1:{port}/", timeout=0.5)[1]  # nobody accepts

        def babble():
            connection, _ = listening.accept()  # the one that was given up
            connection.close()
            connection, _ = listening.accept()
            connection.sendall(b"220 smtp\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=babble)
        thread.start()
        assert run(f"http://127.0.0.1:{port}/")[0] == "warn"
        thread.join()
    level, line = run(f"http://127.0.0.1:{port}/")
    assert (level, "refused" in line) == ("warn", True)


def test_https_is_spoken_and_a_certificate_that_nobody_vouches_for_refused(run, tmp_path):
    import shutil
    import ssl
    import subprocess

    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
               "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key),
               "-out", str(certificate)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            replying(200)(self)

        def log_message(self, *_):
            pass

    made = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    made.handle_error = lambda *_: None
    made.socket = context.wrap_socket(made.socket, server_side=True)
    threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    try:
        url = f"https://127.0.0.1:{made.server_port}/"
        assert "CERTIFICATE_VERIFY_FAILED" in run(url)[1]
        os.environ["SSL_CERT_FILE"] = str(certificate)
        assert run(url)[0] == "info"
    finally:
        os.environ.pop("SSL_CERT_FILE", None)
        made.shutdown()
        made.server_close()
