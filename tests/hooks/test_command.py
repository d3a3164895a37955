"""Commands as hooks: real processes, which hang, flood and fail."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from netbootd.hooks.command import variables_of

from .conftest import MAC, NODE
from .processes import gone


def children():
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


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
