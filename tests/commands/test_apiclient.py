"""The client of the API: nobody there, not for us, older, something else, and events in pieces."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netbootd.apiclient import Api, Refused, connect
from netbootd.apidoors import NoDaemon, NotAllowed, UnixSocket, Web
from tests.end_to_end.process import ROOT

from .daemons import free_port, http, pretending


def api(path: Path) -> Api:
    return Api(UnixSocket(path))


def test_no_socket_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(NoDaemon, match=r"api\.sock is not there: is netbootd running"):
        api(tmp_path / "api.sock").get("status")


def test_a_socket_that_nobody_listens_at_is_a_daemon_that_is_not_running(tmp_path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "api.sock"))
    left.close()
    with pytest.raises(NoDaemon, match="netbootd is not running"):
        api(tmp_path / "api.sock").get("status")


_AS_NOBODY = """
import os, sys
from pathlib import Path
from netbootd.apiclient import Api
from netbootd.apidoors import UnixSocket
os.setgroups([]); os.setgid(65533); os.setuid(65534)
try:
    Api(UnixSocket(Path(sys.argv[1]))).get("status")
except Exception as problem:
    print(type(problem).__name__, problem)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root can become somebody else")
@pytest.mark.parametrize(
    ("mode", "group", "folder", "told"),
    [
        (0o660, 4, 0o755, "it is for the group adm"),
        (0o660, 0, 0o755, "try sudo"),
        (0o600, 4, 0o755, "try sudo"),
        (0o660, 4, 0o700, "state: try sudo"),
        (0o660, 4, 0o750, "state: it is for the group adm"),
        (0o660, 65534, 0o750, "state: try sudo"),
    ],
)
def test_who_may_not_open_the_socket_is_told_who_may(mode, group, folder, told):
    import tempfile

    # Not below tmp_path, into which nobody but its owner may look.
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        inner = Path(made) / "state"
        inner.mkdir()
        with pretending(inner / "api.sock", http(b"{}")) as path:
            os.chown(path, 0, group)
            os.chown(inner, 0, group)
            path.chmod(mode)
            inner.chmod(folder)
            Path(made).chmod(0o755)
            command = [sys.executable, "-c", _AS_NOBODY, str(path)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("NotAllowed"), done
    assert told in done.stdout


ERROR = b'{"error": {"code": "no-such-machine", "message": "there is none", "findings": [{}, 7]}}'


def test_a_no_of_the_daemon_keeps_its_words_and_findings(tmp_path):
    answer, told = http(ERROR, "404 Not Found"), "there is none"
    with pretending(tmp_path / "s", answer) as path, pytest.raises(Refused, match=told) as caught:
        api(path).get("machines", "x")
    assert (caught.value.status, caught.value.code) == (404, "no-such-machine")
    assert caught.value.findings == ({},)


def test_a_wrong_token_leads_to_the_file_with_the_right_one(tmp_path):
    error = ERROR.replace(b"there is none", b"not the API token")
    answer, told = http(error, "401 Unauthorized"), "not the API token; --token-file names"
    with pretending(tmp_path / "s", answer) as path, pytest.raises(NotAllowed, match=told):
        api(path).get("status")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (http(b"<html>", "404 Not Found"), "the daemon is older"),
        (http(b"", "405 Method Not Allowed"), "the daemon is older"),
        (http(b'{"error": 7}', "503 Busy\x1b[2J"), r"says 503 Busy\\x1b"),
        (http(b"not json"), "what runs there"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what runs there"),
        (b"", "no answer from"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "what runs there"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n", "what runs there"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99_999 + b"\r\n\r\n", "what runs there"),
    ],
    ids=["404", "405", "no-error", "no-json", "ssh", "hangup", "cut", "headers", "line"],
)
def test_something_else_is_told_as_such(tmp_path, answer, told):
    with pretending(tmp_path / "s", answer) as path, pytest.raises(NoDaemon, match=told):
        api(path).get("status")


def test_nobody_at_the_url_is_told(tmp_path):
    with pytest.raises(NoDaemon, match="is netbootd running"):
        Api(Web(f"http://127.0.0.1:{free_port()}", "")).get("status")


@pytest.mark.parametrize("url", ["boot.example", "ftp://x", "http://[::1", "http://x:port"])
def test_what_is_no_url_is_told(tmp_path, url):
    (tmp_path / "token").write_text("secret\n")
    with pytest.raises(NoDaemon, match="address"):
        connect(tmp_path / "c.json", url, tmp_path / "token").get("status")


@pytest.mark.parametrize(("content", "told"), [(None, "there is no"), ("two words", "other lines")])
def test_a_missing_or_wrong_token_file_is_told(tmp_path, content, told):
    if content:
        (tmp_path / "token").write_text(content)
    with pytest.raises(NotAllowed, match=told):
        connect(tmp_path / "c.json", "http://127.0.0.1:1", tmp_path / "token")


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "events"),
    [
        (b'event: machine\ndata: {"key": 1}\n\n', [("machine", {"key": 1})]),
        (b": ping\n\n", [("", None)]),
        (b"data: [1,\ndata: 2]\n\n", [("message", [1, 2])]),
        (b'event: log\r\ndata: "a"\r\n\r\n', [("log", "a")]),
        (b"retry: 9\n\nid: 4\ndata:7\n\n", [("message", 7)]),
        (b'event: cut\ndata: "a"\n', []),
        (b"event: cut\ndata: 1", []),
        (b"event: empty\n\n", []),
    ],
)
def test_events_are_read_as_the_standard_has_them(tmp_path, sent, events):
    with pretending(tmp_path / "s", STREAM + sent) as path:
        assert list(api(path).events("machines")) == [("open", None), *events]


def test_an_event_without_end_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr("netbootd.apiclient._MOST_EVENT", 10_000)
    with pretending(tmp_path / "s", STREAM + b"data: " + b"x" * 50_000) as path:
        assert list(api(path).events("machines")) == [("open", None)]
    with pretending(tmp_path / "t", STREAM + b"data: 123456\n" * 5000) as path:
        assert list(api(path).events("machines")) == [("open", None)]


def test_a_stream_that_falls_silent_is_given_up(tmp_path):
    def hang(peer):
        peer.sendall(STREAM)
        peer.recv(1)

    with pretending(tmp_path / "s", hang) as path:
        stream = api(path).events("machines", silence=0.2)
        assert next(stream) == ("open", None)
        with pytest.raises(NoDaemon, match="fallen silent"):
            next(stream)


def test_names_in_an_address_cannot_lead_elsewhere(tmp_path):
    heard = []
    with pretending(tmp_path / "s", http(b"{}"), heard) as path:
        api(path).get("machines", "../../x?y#z\r\nEvil: 1 ü", q="a&b=c")
    line, _, headers = heard[0].partition(b"\r\n")
    assert line == (
        b"GET /api/v1/machines/..%2F..%2Fx%3Fy%23z%0D%0AEvil%3A%201%20%C3%BC?q=a%26b%3Dc HTTP/1.1"
    )
    assert b"Evil" not in headers
