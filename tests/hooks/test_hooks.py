"""Many hooks at a time, the end of them all, and how they are written."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from netbootd.config import Hooks as Settings
from netbootd.errors import Level
from netbootd.hooks import hooks, lane
from netbootd.hooks.hooks import Hooks
from netbootd.relaxedjson import decode
from netbootd.settings import parse

from .conftest import MAC, NODE, SOON
from .processes import gone


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
    assert len(told._running()) == 8
    opened = os.open(gate, os.O_RDWR)
    try:
        for _ in range(13):
            os.write(opened, b"go\n")
            turns.turn()
    finally:
        os.close(opened)
    assert sorted(map(int, began.read_text().split())) == list(range(13))
    assert told._running() == []


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
    assert len(told._running()) == hooks.LEASES_AT_ONCE
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
    assert told._running() == []


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
    assert len(told._running()) == 2
    for _ in range(8):
        turns.turn()
    assert told._running() == []
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
    assert len(told._leases.waiting) == lane.MOST_OF_ONE
    assert lines[0][1] == f"{MAC} hook lease dropped: 100 about 192.0.2.7 wait already"
    told.run("lease", {"mac": MAC, "address": "192.0.2.8"})
    turns.turn()
    assert "192.0.2.8" in told_to.read_text()
    with open(gate, "r+b", buffering=0) as opened:
        for _ in range(1 + lane.MOST_OF_ONE):
            opened.write(b"go\n")
            turns.turn()
    assert told._running() == []
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
    assert told._running() == []
    failed = [text for _, text in lines if "can't start new thread" in text]
    assert len(failed) == 2000 - hooks.LEASES_AT_ONCE


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
    assert told._running() == []


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
