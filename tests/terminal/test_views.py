"""Machines, boots and lines as text; and the live view in every size."""

from __future__ import annotations

import io
import random

import pytest
from rich.console import Console

from netbootd.boots.boot import Boot, Code, Note, Outcome, Stage, Step
from netbootd.terminal.boots import diagnosis_of, is_wrong, show_boots, show_timeline, show_why
from netbootd.terminal.fleet import Fleet, line
from netbootd.terminal.logs import identity, pieces
from netbootd.terminal.machines import show_findings, show_machines
from netbootd.terminal.paper import Paper, plain
from netbootd.terminal.screen import view
from netbootd.terminal.words import ago, moment, size, span
from netbootd.why.diagnosis import Cause, Diagnosis, State

NOW = 1_700_000_000.0


def machine(key="00:25:90:27:db:b4", **more):
    return {
        **{"key": key, "macs": [key], "hostname": "", "target": "nfs/one", "groups": []},
        **{"known": True, "enabled": True, "state": "up", "since": NOW - 90, "reached": "done"},
        **{"boot": 1, "began": NOW - 100, "last": NOW - 90, "seconds": 10.0, "bytes_sent": 0},
        **{"bytes_size": 0, "outcome": "", "held": "", "armed": None, "address": ""},
        "trouble": "",
        **more,
    }


def drawn(show, *arguments) -> str:
    out = io.StringIO()
    show(Paper(out), *arguments)
    return out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0.0 s"), (-5, "0.0 s"), (9.96, "10.0 s"), (45, "45 s"), (150, "2 min"), (7300, "2 h"),
     (200_000, "2 d")],
)  # fmt: skip
def test_a_span_has_the_unit_that_people_would_use(seconds, told):
    assert span(seconds) == told


def test_sizes_times_and_what_never_was():
    assert [size(count) for count in (0, 999, 74_213, 12_100_000, 5e12)] == [
        *("0 B", "999 B", "74.2 kB", "12.1 MB", "5.0 TB")
    ]
    assert ago(None, NOW) == ""
    assert moment(NOW, NOW) == moment(NOW - 86400 * 3, NOW)[11:]


def test_a_list_tells_what_is_wrong_what_is_armed_and_how_far_a_boot_is():
    told = drawn(
        show_machines,
        [
            machine(state="stuck", trouble="nothing came after kernel", hostname="node7"),
            machine(armed={"target": "install/x", "times": 2, "until": 0}, trouble="it was held"),
            machine(state="booting", reached="initrd", bytes_sent=50, bytes_size=200),
            machine(known=False, groups=["a", "b"]),
        ],
        NOW,
    ).splitlines()
    assert "nothing came after kernel" in told[1]
    assert "it was held; next: install/x, 2 times" in told[2]
    assert "initrd, 25 % of 200 B" in told[3]
    assert "a b" in told[4]
    assert "not listed" in told[4]
    assert told[-1] == "4 machines: 2 up, 1 stuck, 1 booting"


def a_boot(**more) -> dict:
    steps = (
        Step(stage=Stage.DISCOVER, at=NOW, until=NOW + 4, times=3, interface="eth0"),
        Step(stage=Stage.LOADER, at=NOW + 5, until=NOW + 6, path="snponly.efi", size=9000, sent=9000),
        Step(stage=Stage.KERNEL, at=NOW + 7, until=NOW + 9, path="/k", size=9000, sent=4000,
             trouble="the client closed the connection"),
    )  # fmt: skip
    notes = (Note(code=Code.OVERHEARD, at=NOW + 4.5, until=NOW + 5, text="192.0.2.7 offers x"),)
    settings = {"number": 7, "key": "node7", "began": NOW, "last": NOW + 9, "target": "nfs/one"}
    return Boot(steps=steps, notes=notes, **{**settings, **more}).as_dict()


def test_a_timeline_has_steps_and_what_was_seen_beside_in_the_order_of_time():
    told = drawn(show_timeline, a_boot(outcome=Outcome.FAILED), NOW + 60).splitlines()
    assert "node7  boot 7" in told[0]
    assert "failed after 9.0 s" in told[0]
    body = told[told.index("") + 2 :]
    signs = ["discover x3", "(overheard)", "snponly.efi", "the client closed the connection"]
    assert len(body) == len(signs)
    assert all(sign in line for sign, line in zip(signs, body, strict=True))
    assert "4.0 kB of 9.0 kB" in body[3]


def test_a_boot_that_goes_on_tells_when_it_was_heard_last():
    assert "under way for 60 s, last sign 51 s ago" in drawn(show_timeline, a_boot(), NOW + 60)
    assert "under way" in drawn(show_boots, [a_boot()], NOW)


def test_a_running_system_that_renews_is_no_boot_under_way():
    lease = {
        "code": "leased",
        "at": NOW,
        "until": NOW,
        "text": "has it",
        "data": {"netboot": False},
    }
    boot = {**a_boot(), "steps": [], "notes": [lease]}
    for told in (drawn(show_timeline, boot, NOW + 480), drawn(show_boots, [boot], NOW + 480)):
        assert "never asked" in told
        assert "under way" not in told


def test_a_diagnosis_comes_back_from_json_whatever_a_newer_daemon_adds():
    cause = Cause(code="x", sentence="The cable is out.", confidence=80, because=("a", "b"))
    diagnosis = Diagnosis(machine="node7", state=State.STUCK, reached=Stage.LOADER, causes=(cause,))
    assert diagnosis_of(diagnosis.as_dict()) == diagnosis
    newer = {**diagnosis.as_dict(), "state": "levitating", "reached": "moon", "mood": "good"}
    newer["causes"] = [{**newer["causes"][0], "smell": "burnt"}]
    again = diagnosis_of(newer)
    assert (again.state, again.reached, again.causes) == (State.UNKNOWN, None, (cause,))
    assert "The cable is out." in drawn(show_why, diagnosis)


@pytest.mark.parametrize(
    ("state", "causes", "wrong"),
    [(State.UP, (), False), (State.BOOTING, (), False), (State.STUCK, (), True),
     (State.HELD, (), True),
     (State.UNKNOWN, (Cause(code="x", sentence="y", confidence=1),), True)],
)  # fmt: skip
def test_whether_something_is_wrong(state, causes, wrong):
    assert is_wrong(Diagnosis(machine="a", state=state, causes=causes)) is wrong


def test_findings_are_told_as_check_tells_them():
    finding = {
        "level": "error",
        "code": "group-unknown",
        "text": "no group",
        "file": "a",
        "line": 3,
    }
    assert drawn(show_findings, [finding]) == "a:3: error: no group [group-unknown]\n"


def document(**more) -> dict:
    return {
        "@timestamp": "2026-11-21T18:34:45.227454Z",
        "message": "link is down",
        "log": {"level": "error"},
        "process": {"name": "kernel"},
        "event": {"dataset": "netbootd.syslog", "id": "abc-1"},
        **more,
    }


def test_a_log_line_has_local_time_program_level_and_text(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    import time

    time.tzset()
    try:
        told = "".join(map(plain, pieces(document(), day="2026-11-22")))
        assert told == "00:04:45.227 kernel error: link is down"
        told = "".join(map(plain, pieces(document())))
        assert told.startswith("2026-11-22 00:04:45.227 ")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "odd",
    [{}, {"@timestamp": 7}, {"log": 3, "process": "x", "event": []}, {"message": None},
     {"message": "\x1b[2J", "process": {"name": "\x1b[2J"}}],
)  # fmt: skip
def test_a_document_of_any_shape_is_a_line(odd):
    told = "".join(map(plain, pieces(odd)))
    assert told.isprintable()
    identity(odd)


# -- the fleet -------------------------------------------------------------------------------------


def test_only_news_are_lines():
    fleet = Fleet()
    assert fleet.hear("list", [machine(), machine(key="b", state="unknown")]) == [machine()]
    assert fleet.hear("machine", machine(bytes_sent=7)) == []
    [news] = fleet.hear("machine", machine(state="stuck", trouble="silent"))
    assert "stuck at done  silent" in "".join(map(plain, line(news, NOW)))
    assert fleet.hear("machine", machine(key="new", state="booting"))
    assert fleet.hear("list", [machine()]) == [machine()]
    armed = machine(key="newer", state="unknown", armed={"target": "localboot/disk"})
    assert fleet.hear("machine", armed) == [armed]  # listed and armed before we asked
    assert list(fleet.machines) == ["00:25:90:27:db:b4", "newer"]
    fleet.hear("away", "gone")
    assert fleet.away == "gone"
    fleet.hear("list", [])
    assert fleet.away == ""


def test_what_is_wrong_stands_first():
    fleet = Fleet()
    states = ["up", "booting", "held", "unknown", "stuck", "failed", "disabled", "overdue"]
    fleet.hear("list", [machine(key=state, state=state) for state in states])
    order = [one["state"] for one in fleet.by_interest()]
    assert order == ["failed", "stuck", "overdue", "held", "booting", "up"]
    assert list(fleet.counts())[:2] == ["failed", "stuck"]


def a_fleet(machines: int, transfers: int) -> Fleet:
    chance = random.Random(machines * 100 + transfers)
    fleet = Fleet()
    fleet.hear(
        "list",
        [
            machine(
                key=f"{number:012x}",
                hostname="名前" * 8 if number % 3 else f"node{number}",
                state=chance.choice(list(State)).value,
                trouble="x" * chance.randint(0, 300),
            )
            for number in range(machines)
        ],
    )
    fleet.hear(
        "transfers",
        {"total": transfers, "transfers": [
            {"protocol": "HTTP", "path": "/images/" + "y" * number * 9, "mac": None, "peer": "::1",
             "key": f"{number:012x}", "size": number % 3 * 100, "sent": number, "rate": 1e6}
            for number in range(transfers)
        ]},
    )  # fmt: skip
    fleet.hear("status", {"version": "9", "troubles": ["z" * 300]})
    return fleet


@pytest.mark.parametrize("machines", [0, 1, 5, 500])
@pytest.mark.parametrize("transfers", [0, 1, 40])
@pytest.mark.parametrize(
    ("width", "height"), [(80, 24), (40, 10), (200, 60), (20, 5), (10, 3), (1, 1), (80, 4)]
)
def test_the_live_view_fits_the_terminal(machines, transfers, width, height):
    fleet = a_fleet(machines, transfers)
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True)
    shown = console.render_lines(view(fleet, NOW, width, height), pad=False)
    assert len(shown) <= height
    assert all(sum(part.cell_length for part in line) <= width for line in shown)


def test_the_live_view_tells_of_all_that_it_has_no_room_for():
    console = Console(width=80, height=24, file=io.StringIO())
    fleet = a_fleet(500, 40)
    console.print(view(fleet, NOW, 80, 24))
    told = console.file.getvalue()
    assert "on their way: 40, " in told
    assert "more than shown" in told
    assert "and " in told
    assert "q quits" in told
    assert "500 machines: " in told
