"""``netbootd watch``: on a pseudo terminal of 80 by 24, through a pipe, and over a restart."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.process import ROOT

from .daemons import HEEDS_INT, NETBOOTD, NODE, Site, http, pretending, until

_PLAIN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\-_=>])")
BACK = "\x1b[?1049l"  # the screen that was there before (xterm, "Alternate Screen Buffer")


class Terminal:
    """A program on a pseudo terminal; ``seen`` is what it has written."""

    def __init__(self, site: Site, *words: str, size: tuple[int, int] = (24, 80), **more: str):
        self._ours, theirs = pty.openpty()
        self.resize(*size)
        environment = {**os.environ, "TERM": "xterm-256color", **more}
        environment["NETBOOTD_CONFIG"] = str(site.file)
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            if name not in more:
                environment.pop(name, None)
        self.modes = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            # Its own terminal, whose doing it is that Ctrl-C ends programs.
            ["setsid", "--ctty", *HEEDS_INT, *NETBOOTD, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env=environment,
        )
        self.seen = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self) -> str:
        while select.select([self._ours], [], [], 0.05)[0]:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:
                break
            if not piece:
                break
            self.seen += piece.decode("utf-8", "replace")
        return self.seen

    def wait_for(self, pattern: str, after: int = 0) -> None:
        until(lambda: re.search(pattern, _PLAIN.sub("", self.read()[after:])), 30)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        deadline = time.monotonic() + 15
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.read()
        self.read()
        return int(self.process.returncode)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal(site: Site) -> Iterator:
    made: list[Terminal] = []

    def terminal(*words: str, **more) -> Terminal:
        made.append(Terminal(site, *words, **more))
        return made[-1]

    yield terminal
    for one in made:
        one.close()


@pytest.mark.parametrize("key", ["q", "Q", "\x03", "\x04"], ids=["q", "Q", "Ctrl-C", "Ctrl-D"])
def test_a_key_ends_it_and_the_terminal_is_as_before(terminal, key):
    shown = terminal("watch")
    shown.wait_for("q quits")
    shown.press(key)
    assert shown.end() == 0
    assert BACK in shown.seen
    assert "Traceback" not in shown.seen
    assert termios.tcgetattr(shown._theirs) == shown.modes


def test_sigterm_gives_the_terminal_back(terminal):
    shown = terminal("watch")
    shown.wait_for("q quits")
    shown.process.send_signal(signal.SIGTERM)
    assert shown.end() == 128 + signal.SIGTERM
    assert BACK in shown.seen


def test_a_boot_and_its_transfer_are_seen_as_they_go(site, terminal):
    shown = terminal("watch")
    shown.wait_for("1 machine: ")
    site.boots(NODE)
    shown.wait_for(r"node7 +booting")
    slow = ["curl", "-sS", "--limit-rate", "400k", "-A", "iPXE/1.21", "-o", os.devnull]
    (site.folder / "srv" / "big").write_bytes(bytes(40_000_000))
    url = f"http://127.0.0.1:{site.http}/{NODE.replace(':', '-')}/big"
    with subprocess.Popen([*slow, url]) as fetching:
        try:
            shown.wait_for("on their way: 1")
            shown.wait_for(r"HTTP big +[━╸╺ ]+ +\d+ %")
        finally:
            fetching.kill()
    shown.press("q")
    assert shown.end() == 0


def test_nothing_is_written_beyond_a_terminal_of_80_by_24(terminal):
    shown = terminal("watch")
    shown.wait_for("q quits")
    position = len(shown.seen)
    shown.resize(8, 40)
    shown.process.send_signal(signal.SIGWINCH)
    shown.wait_for("q quits", position)
    shown.press("q")
    assert shown.end() == 0
    before, _, _after = shown.seen.partition(BACK)
    screens = [_PLAIN.sub("", one) for one in re.split(r"\x1b\[H", before)]
    lines = [line for screen in screens for line in screen.splitlines()]
    assert max(map(len, lines)) <= 80
    assert max(map(len, screens[-1].splitlines())) <= 40
    assert all(screen.count("\n") < 24 for screen in screens)


def test_colours_are_for_terminals_that_want_them(terminal):
    shown = terminal("machines")
    shown.end()
    assert re.search(r"\x1b\[[0-9;]*m(unknown|booting|stuck)", shown.seen)
    for unwanted in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = terminal("machines", **unwanted)
        shown.end()
        assert "\x1b" not in shown.seen
        assert "node7" in shown.seen


def test_through_a_pipe_each_change_is_a_line(site):
    watching = site.spawn("watch")
    try:
        watching.wait_for(r"netbootd: watching \d+ machines", 20)
        site.run("machines", "add", "00:25:90:27:db:c9", "--group", "rack1", "hostname=piped")
        site.run("next", "piped", "localboot/disk")
        watching.wait_for(r"\d\d:\d\d:\d\d  piped  unknown  next: localboot/disk", 20)
        assert "\x1b" not in watching.text
        watching.send(signal.SIGINT)
        assert watching.wait(10) == 0
    finally:
        watching.close()
        site.run("machines", "remove", "00:25:90:27:db:c9")


def test_as_json_each_event_is_a_line(site):
    watching = site.spawn("watch", "--json")
    try:
        watching.wait_for('"event": "status"', 20)
        site.run("machines", "set", "node7", "vars.a=1")
        site.run("next", "node7", "localboot/disk")
        watching.wait_for('"event": "machine"', 20)
        events = [json.loads(line) for line in watching.text.splitlines()[:-1]]
        assert {"event", "data"} == set(events[0])
    finally:
        watching.close()
        site.run("next", "node7", "--cancel")


@pytest.mark.slow
def test_a_restart_of_the_daemon_is_waited_for(tmp_path: Path):
    site = Site(tmp_path)
    site.start()
    shown = Terminal(site, "watch")
    try:
        shown.wait_for("q quits")
        site.stop()
        shown.wait_for("is netbootd running|netbootd is away")
        site.write({"machines": {}, "targets": {"localboot": {"disk": {}}}})
        site.start()
        shown.wait_for("0 machines")
        shown.press("q")
        assert shown.end() == 0
    finally:
        shown.close()
        site.stop()


@pytest.mark.parametrize(
    ("typed", "status", "added"),
    [("2\n", 0, "52:54:00:00:00:08"), ("\n", 1, ""), ("3\n", 1, ""), ("x\n", 1, "")],
    ids=["second", "nobody", "too-high", "no-number"],
)
def test_of_several_strangers_one_is_chosen_at_the_terminal(tmp_path, typed, status, added):
    stranger = {"first": 1.0, "times": 2, "arch": "UEFI x64", "uuid": "", "interface": "eth0"}
    strangers = [
        {**stranger, "mac": "52:54:00:00:00:08", "last": 5.0, "vendor_class": "PXE\x1b[2JClient"},
        {**stranger, "mac": "52:54:00:00:00:09", "last": 9.0, "vendor_class": ""},
    ]
    said = {
        "now": 96.0,
        "machines": strangers,
        "key": "new",
        "hostname": "",
        "target": "nfs/one",
        "groups": [],
    }
    heard: list[bytes] = []

    class There:
        file = tmp_path / "c.json"

    There.file.write_text(json.dumps({"netbootd": {"api_socket": str(tmp_path / "s")}}))
    with pretending(tmp_path / "s", http(json.dumps(said).encode()), heard):
        shown = Terminal(There, "machines", "add", "--unknown", "--group", "rack1")
        try:
            shown.wait_for("which one, 1 to 2")
            table = _PLAIN.sub("", shown.seen)
            assert table.index("00:09") < table.index("00:08")  # the latest first
            assert "87 s ago" in table  # by the daemon's clock
            assert "\x1b[2JClient" not in shown.seen
            shown.press(typed)
            assert shown.end() == status
        finally:
            shown.close()
    changes = [one for one in heard if one.startswith(b"POST")]
    assert len(changes) == (1 if added else 0)
    assert all(added.encode() in one and b"rack1" in one for one in changes)
