"""Hooks as operators write them: real processes and real servers, which hang, flood and fail."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.logger import globalLogPublisher

from netbootd import hooks, mac
from netbootd.config import Hooks as Settings
from netbootd.errors import Level
from netbootd.events.lease import Leased, LeaseEnded
from netbootd.hooks import Hooks, LeaseHooks, variables_of
from netbootd.record.record import Record
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.relaxedjson import decode
from netbootd.settings import parse

MAC = "52:54:00:12:34:56"
NODE = {
    "mac": MAC,
    "hostname": "nöde1",
    "target": "nfs/a",
    "ip": None,
    "net": {"vlan": 7},
    "known": True,
}
SOON = 20  # seconds in which everything here has long happened


class Turns:
    """The two things of a reactor that hooks use, its thread being the test's own."""

    def __init__(self):
        self._calls = []
        self._news = threading.Condition()
        self.later = []

    def callFromThread(self, call, *arguments):
        with self._news:
            self._calls.append((call, arguments))
            self._news.notify()

    def callLater(self, seconds, call):
        delayed = Delayed(seconds, call)
        self.later.append(delayed)
        return delayed

    def turn(self):
        """The next call, waited for."""
        with self._news:
            assert self._news.wait_for(lambda: self._calls, SOON), "nothing happened"
            call, arguments = self._calls.pop(0)
        call(*arguments)


class Delayed:
    def __init__(self, seconds, call):
        self.seconds, self.call, self.cancelled = seconds, call, False

    def cancel(self):
        self.cancelled = True


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def lines():
    """What is logged, level and text."""
    seen = []

    def observe(event):
        if event.get("log_namespace") == "netbootd.hooks":
            text = event["log_format"].format(**event)
            seen.append((event["log_level"].name, text))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def run(turns, lines):
    """Run one hook to its end; the line in the log."""

    def run(*what, timeout=SOON, data=NODE, kind="up"):
        told = Hooks(turns, lambda: Settings(**{kind: what}, timeout=timeout))
        told.run(kind, data)
        turns.turn()
        assert told._runs() == []
        return lines[-1]

    return run


@pytest.fixture
def script(tmp_path):
    """A program of these lines of shell."""

    def script(text, interpreter="/bin/sh"):
        path = tmp_path / "hook"
        path.write_text(f"#!{interpreter}\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return script


def alive(pid):
    """Whether a process runs; a zombie of somebody else's does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone(pid):
    deadline = time.monotonic() + SOON
    while alive(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.01)
    return True


def children():
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


# -- a command -------------------------------------------------------------------------------------


def test_a_command_gets_all_that_is_known_and_its_arguments(run, script, tmp_path):
    out = tmp_path / "out"
    level, line = run(script(f'{{ cat; echo; env; echo "$@"; pwd; }} > {out}'), "a b", "$HOME")
    assert level == "info"
    assert line.startswith(f"{MAC} hook up: {tmp_path}/hook in ")
    told, *rest = out.read_text().splitlines()
    assert json.loads(told) == {"event": "up", **NODE}
    assert "NETBOOTD_HOSTNAME=nöde1" in rest
    assert 'NETBOOTD_NET={"vlan": 7}' in rest
    assert "NETBOOTD_KNOWN=true" in rest
    assert "NETBOOTD_IP=" in rest
    assert "NETBOOTD_EVENT=up" in rest
    assert rest[-2:] == ["a b $HOME", "/"]


def test_what_systemd_tells_us_is_not_passed_on(run, script, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    run(script(f"env > {tmp_path}/out"))
    told = (tmp_path / "out").read_text()
    assert "PATH=" in told
    assert "NOTIFY_SOCKET" not in told
    assert "WATCHDOG" not in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exit 3", "exit status 3"),
        ("echo one >&2; echo two >&2; exit 1", "exit status 1: two"),
        ("kill -9 $$", "ended by signal 9"),
        ("echo 'bell \a' >&2; exit 1", "exit status 1: bell \\x07"),
        ("head -c 300000 /dev/zero >&2; echo >&2; echo last >&2; exit 1", "exit status 1: last"),
        ("printf '\\377' >&2; exit 1", "exit status 1: \ufffd"),
    ],
)
def test_one_that_fails_is_a_line_with_its_last_words(run, script, text, says):
    path = script(text)
    assert run(path) == ("warn", f"{MAC} hook up failed: {path}: {says}")


@pytest.mark.parametrize(
    ("what", "says"),
    [("/no/such", "No such file or directory"), ("/etc", "Permission denied"),
     (__file__, "Permission denied"), ("no-such-program-anywhere", "No such file or directory")],
)  # fmt: skip
def test_one_that_cannot_be_run_is_a_line(run, what, says):
    assert run(what) == ("warn", f"{MAC} hook up failed: {what}: {says}")


def test_a_file_that_is_no_program_is_a_line(run, script):
    path = script("", interpreter="/no/such/shell")
    assert run(path) == ("warn", f"{MAC} hook up failed: {path}: No such file or directory")


def test_one_that_hangs_is_ended_with_its_children(run, script, tmp_path):
    pids = tmp_path / "pids"
    path = script(f"sleep 1000 & echo $! >{pids}; trap '' TERM; echo waiting >&2; wait")
    assert run(path, timeout=0.5) == (
        "warn",
        f"{MAC} hook up failed: {path}: ended after 0.5 s: waiting",
    )
    assert gone(int(pids.read_text()))


def test_one_whose_child_keeps_the_pipes_open_is_over_when_it_is(run, script, tmp_path):
    pids = tmp_path / "pids"
    level, _ = run(script(f"sleep 1000 & echo $! >{pids}"))
    assert level == "info"
    assert gone(int(pids.read_text()))


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_one_that_floods_is_ended_in_time_and_costs_no_memory(run, script, stream):
    before = Path("/proc/self/statm").read_text().split()[1]
    level, line = run(script(f"yes flood {stream}"), timeout=1)
    after = Path("/proc/self/statm").read_text().split()[1]
    assert level == "warn"
    assert "ended after 1 s" in line
    assert (int(after) - int(before)) * os.sysconf("SC_PAGESIZE") < 32 << 20


def test_one_that_floods_and_ends_well_is_well(run, script):
    level, _ = run(script("head -c 5000000 /dev/zero; head -c 1000000 /dev/zero >&2"))
    assert level == "info"


def test_one_need_not_read_what_it_is_told(run, script):
    much = {"mac": MAC, "text": "x" * 1_000_000}
    assert run(script("exec <&-; exit 0"), data=much)[0] == "info"
    assert run(script("exit 0"), data=much)[0] == "info"
    level, line = run(script("exec <&-; sleep 1000"), data=much, timeout=0.5)
    assert (level, "ended after" in line) == ("warn", True)


def test_much_data_arrives_whole_and_in_variables_short(run, script, tmp_path):
    much = {"mac": MAC, "text": "x" * 1_000_000, "nul": "a\0b", "bad": "\udcff"}
    level, _ = run(script(f"cat > {tmp_path}/out"), data=much)
    assert level == "info"
    assert json.loads((tmp_path / "out").read_text()) == {"event": "up", **much}
    assert variables_of(much)["NETBOOTD_NUL"] == "ab"


def test_no_zombie_and_no_descriptor_stays(run, script):
    run("/bin/true")
    before, descriptors = children(), len(os.listdir("/proc/self/fd"))
    for what in (script("exit 0"), script("sleep 1000"), "/no/such"):
        run(what, timeout=0.3)
    assert children() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_variables_have_names_that_a_shell_can_say():
    found = variables_of(
        {"rack-1.x": 1, "ssh_keys": ["a", "b"], "on": True, "größe": 1.5}
    )  # ß is SS
    assert found == {
        "NETBOOTD_RACK_1_X": "1",
        "NETBOOTD_SSH_KEYS": '["a", "b"]',
        "NETBOOTD_ON": "true",
        "NETBOOTD_GR_SSE": "1.5",
    }


def test_a_machines_variables_go_by_their_own_names():
    found = variables_of({"mac": MAC, "machine": {"hostname": "node1", "mac": "other", "net": {}}})
    assert found["NETBOOTD_HOSTNAME"] == "node1"
    assert found["NETBOOTD_MAC"] == MAC
    assert json.loads(found["NETBOOTD_MACHINE"])["mac"] == "other"


# -- many ------------------------------------------------------------------------------------------


def test_nothing_happens_where_no_hook_is_set(turns, lines):
    Hooks(turns, Settings).run("up", NODE)
    assert turns._calls == []
    assert lines == []


def test_data_that_is_no_json_harms_nobody(turns, lines):
    class Odd:
        def __str__(self):
            raise ValueError("odd")

    Hooks(turns, lambda: Settings(up=("/bin/true",))).run("up", {"x": Odd()})
    assert [level for level, _ in lines] == ["critical"]


def test_eight_run_at_once_the_rest_in_turn_and_none_beyond_the_queue(
    turns, lines, script, tmp_path, monkeypatch
):
    monkeypatch.setattr(hooks, "MOST_WAITING", 5)
    gate, began = tmp_path / "gate", tmp_path / "began"
    os.mkfifo(gate)
    began.touch()
    path = script(f"echo $NETBOOTD_N >>{began}; read line <{gate}; exit 0")
    told = Hooks(turns, lambda: Settings(up=(path,), timeout=SOON))
    for number in range(15):
        told.run("up", {"mac": f"node{number}", "n": number})
    assert [text for _, text in lines] == [
        f"node{number} hook up dropped: 5 wait already" for number in (13, 14)
    ]
    deadline = time.monotonic() + SOON
    while len(began.read_text().split()) < 8:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(told._runs()) == 8
    opened = os.open(gate, os.O_RDWR)
    try:
        for _ in range(13):
            os.write(opened, b"go\n")
            turns.turn()
    finally:
        os.close(opened)
    assert sorted(map(int, began.read_text().split())) == list(range(13))
    assert told._runs() == []


def test_a_storm_of_leases_runs_a_few_at_a_time_and_holds_up_no_word_of_a_node(
    turns, lines, script, tmp_path, monkeypatch
):
    monkeypatch.setattr(hooks, "MOST_LEASES_WAITING", 50)
    gate, began = tmp_path / "gate", tmp_path / "began"
    os.mkfifo(gate)
    began.touch()
    slow = script(f"echo $NETBOOTD_N >>{began}; read line <{gate}; exit 0")
    told = Hooks(turns, lambda: Settings(up=("/bin/true",), lease=(slow,), timeout=SOON))
    for number in range(2000):
        told.run(
            "lease", {"mac": MAC, "address": f"192.0.{number >> 8}.{number & 255}", "n": number}
        )
    assert len(told._runs()) == hooks.LEASES_AT_ONCE
    assert told.dropped() == 2000 - 50 - hooks.LEASES_AT_ONCE
    assert [text for _, text in lines] == [f"{MAC} hook lease dropped: 50 wait already"] * 2
    told.run("up", NODE)
    turns.turn()
    assert "hook up: /bin/true" in lines[-1][1]
    opened = os.open(gate, os.O_RDWR)
    try:
        for _ in range(50 + hooks.LEASES_AT_ONCE):
            os.write(opened, b"go\n")
            turns.turn()
    finally:
        os.close(opened)
    assert sorted(map(int, began.read_text().split())) == list(range(54))
    assert told._runs() == []


def test_of_one_address_hooks_are_told_in_order(turns, lines, script, tmp_path):
    told_to = tmp_path / "told"
    # What begins a lease takes longer than what ends it.
    slow = script(
        f'[ $NETBOOTD_EVENT = released ] || sleep 0.3; echo "$NETBOOTD_ADDRESS $NETBOOTD_EVENT" >>{told_to}'
    )
    told = Hooks(turns, lambda: Settings(lease=(slow,), timeout=SOON))
    for event in ("leased", "released") * 2:
        for address in ("192.0.2.7", "192.0.2.8"):
            told.run("lease", {"mac": MAC, "address": address, "event": event})
    assert len(told._runs()) == 2
    for _ in range(8):
        turns.turn()
    assert told._runs() == []
    lines_of = [line.split() for line in told_to.read_text().splitlines()]
    for address in ("192.0.2.7", "192.0.2.8"):
        events = [event for of, event in lines_of if of == address]
        assert events == ["leased", "released"] * 2


def test_an_address_whose_hook_hangs_takes_no_room_of_others(turns, lines, script, tmp_path):
    gate, told_to = tmp_path / "gate", tmp_path / "told"
    os.mkfifo(gate)
    hangs = script(
        f"echo $NETBOOTD_ADDRESS >>{told_to}; [ $NETBOOTD_ADDRESS != 192.0.2.7 ] || read line <{gate}"
    )
    told = Hooks(turns, lambda: Settings(lease=(hangs,), timeout=SOON))
    for _ in range(hooks.MOST_LEASES_WAITING + 2):
        told.run("lease", {"mac": MAC, "address": "192.0.2.7"})
    assert len(told._leases.waiting) == hooks.MOST_OF_ONE
    assert lines[0][1] == f"{MAC} hook lease dropped: 100 about 192.0.2.7 wait already"
    told.run("lease", {"mac": MAC, "address": "192.0.2.8"})
    turns.turn()
    assert "192.0.2.8" in told_to.read_text()
    with open(gate, "r+b", buffering=0) as opened:
        for _ in range(1 + hooks.MOST_OF_ONE):
            opened.write(b"go\n")
            turns.turn()
    assert told._runs() == []
    assert not told._leases.of_one


def test_where_no_thread_can_be_had_all_that_wait_fail_one_by_one(turns, lines, monkeypatch):
    told = Hooks(turns, lambda: Settings(lease=("/bin/true",), timeout=SOON))
    for number in range(2000):
        told.run("lease", {"mac": MAC, "address": f"192.0.{number >> 8}.{number & 255}"})

    def no_room(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_room)
    for _ in range(2000):
        turns.turn()
    assert told._runs() == []
    failed = [text for _, text in lines if "can't start new thread" in text]
    assert len(failed) == 2000 - hooks.LEASES_AT_ONCE


def lease_events():
    common = {"mac": mac.MAC.parse(MAC), "address": "192.0.2.9", "key": MAC, "hostname": "n1"}
    for how in ("new", "renewed", "rebound", "init-reboot"):
        yield Leased(seconds=60, how=how, interface="eth1", relay="", reserved=True, **common)
    for how in ("expired", "released"):
        yield LeaseEnded(how=how, **common)


def test_a_lease_is_told_of_when_it_begins_and_ends_and_not_in_between(
    turns, lines, script, tmp_path
):
    config = tmp_path / "netbootd.json"
    said = tmp_path / "said"
    hook = script(f"cat >>{said}; echo >>{said}")
    entry = {"type": "localboot", "name": "disk", "hostname": "n1", "rack": 7}
    config.write_text(
        json.dumps(
            {
                "targets": {"localboot": {"disk": {}}},
                "machines": {MAC: entry},
                "netbootd": {"hooks": {"lease": [hook]}},
            }
        )
    )
    live = LiveRegistry(load(config), Record(lambda: 0.0))
    told = Hooks(turns, lambda: live.snapshot.config.hooks)
    listener = LeaseHooks(told, live)
    for event in lease_events():
        listener(event)
        if told._runs():
            turns.turn()
    found = [json.loads(line) for line in said.read_text().splitlines()]
    assert [one["event"] for one in found] == ["leased", "leased", "expired", "released"]
    assert [one["seconds"] for one in found] == [60, 60, 0, 0]
    first = found[0]
    assert (first["mac"], first["address"], first["hostname"]) == (MAC, "192.0.2.9", "n1")
    assert (first["how"], first["interface"], first["reserved"]) == ("new", "eth1", True)
    assert first["machine"]["rack"] == 7
    assert not [line for line in lines if line[0] != "debug"]


def test_of_leases_nobody_hears_without_a_hook(turns, tmp_path):
    config = tmp_path / "netbootd.json"
    config.write_text("{}")
    live = LiveRegistry(load(config), Record(lambda: 0.0))
    told = Hooks(turns, lambda: live.snapshot.config.hooks)
    for event in lease_events():
        LeaseHooks(told, live)(event)
    assert told._runs() == []


def test_at_the_end_running_ones_get_their_grace_and_are_then_ended(turns, lines, script, tmp_path):
    pid = tmp_path / "pid"
    told = Hooks(
        turns,
        lambda: Settings(
            up=(script(f"echo $$ >{pid}.new; mv {pid}.new {pid}; sleep 1000"),), timeout=1000
        ),
    )
    told.run("up", NODE)
    done = []
    told.close(30.0).addCallback(done.append)
    deadline = time.monotonic() + SOON
    while not pid.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (later,) = turns.later
    assert (later.seconds, done) == (30.0, [])
    later.call()
    assert done == [None]
    turns.turn()
    assert gone(int(pid.read_text()))
    told.run("up", NODE)
    assert told._runs() == []


def test_the_end_waits_for_none_where_none_runs(turns):
    done = []
    Hooks(turns, Settings).close(30.0).addCallback(done.append)
    assert done == [None]


def test_the_end_comes_with_the_last_one(turns, lines):
    told = Hooks(turns, lambda: Settings(up=("/bin/true",)))
    told.run("up", NODE)
    done = []
    told.close(30.0).addCallback(done.append)
    turns.turn()
    assert done == [None]
    assert turns.later[0].cancelled


# -- a URL -----------------------------------------------------------------------------------------


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


# -- the settings ----------------------------------------------------------------------------------


def settings(text):
    findings = []
    section = decode(b'{ "hooks" : %s }' % text.encode(), "c.json").value
    return parse(section, Path("/etc"), findings).hooks, findings


@pytest.mark.parametrize(
    ("text", "up"),
    [
        ('{ "up" : [ "/bin/x", "a b", "" ] }', ("/bin/x", "a b", "")),
        ('{ "up" : [ "x" ] }', ("x",)),
        ('{ "up" : [ ] }', ()),
        ('{ "up" : "https://h.example:8443/x?y" }', ("https://h.example:8443/x?y",)),
        ('{ "up" : [ "http://h" ] }', ("http://h",)),
        ("{ }", ()),
    ],
)
def test_a_hook_is_a_command_as_an_array_or_a_url(text, up):
    assert settings(text) == (Settings(up=up), [])


@pytest.mark.parametrize(
    "text",
    ['{ "up" : "/bin/x" }', '{ "up" : "rm -rf" }', '{ "up" : [ "bin/x" ] }', '{ "up" : [ "" ] }',
     '{ "up" : 7 }', '{ "up" : [ 7 ] }', '{ "up" : true }', '{ "up" : [ "http://h", "x" ] }',
     '{ "up" : "http://" }', '{ "up" : "http://h:port/" }', '{ "up" : "ftp://h/" }', "true", "7",
     '{ "timeout" : 0 }', '{ "timeout" : "30" }', r'{ "up" : [ "/bin/x", "\u0000" ] }']
)  # fmt: skip
def test_anything_else_is_an_error_that_says_what_would_be_right(text):
    _, (finding,) = settings(text)
    assert (finding.level, finding.code) == (Level.ERROR, "setting-invalid")
    assert "must be" in finding.text
