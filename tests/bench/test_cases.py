"""The rounds: who is measured, in which order, and what becomes of a server that fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.cases import Case, Load, Rounds, Wanted, chosen
from tests.bench.figures import rows
from tests.bench.loads import LOADS
from tests.end_to_end.process import LabError

PEERS = ("dnsmasq", "atftpd")


class Started:
    """A server that says its name, and is no process."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> Started:
        return self

    def alive(self) -> None:
        """Always."""

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


def rounds(folder: Path, load: Load, **wanted: Any) -> Rounds:
    ground: Any = SimpleNamespace(load_s=0.0, load_cpu_s=0.0)
    return Rounds(ground, load, folder, Wanted(**wanted))


def load(order: list[str], broken: str = "", **more: Any) -> Load:
    def start(_ground: Any, name: str, _folder: Path) -> Any:
        if name == broken:
            raise LabError("no such program")
        order.append(name)
        return Started(name)

    def measure(running: Any) -> dict[str, float]:
        if running.name == "atftpd":
            raise LabError("it went away")
        return {"MB/s": 1.0}

    cases = [Case("usual", measure), Case("rare", measure, usual=False)]
    return Load("tftp", cases, ["netbootd", *PEERS], start=start, **more)


def test_rounds_are_interleaved_and_each_begins_with_another_server(tmp_path: Path) -> None:
    order: list[str] = []
    measured = rounds(tmp_path, load(order))
    for number in range(3):
        measured.one(number)

    assert order == [
        *("netbootd", "dnsmasq", "atftpd"),
        *("dnsmasq", "atftpd", "netbootd"),
        *("atftpd", "netbootd", "dnsmasq"),
    ]
    (case,) = measured.measured
    assert case.values("netbootd", "MB/s") == [1.0] * 3


def test_servers_that_fail_hold_up_nobody_and_are_told(tmp_path: Path) -> None:
    measured = rounds(tmp_path, load([], broken="dnsmasq"))
    measured.one(0)

    (case,) = measured.measured
    assert case.problems == {"dnsmasq": "no such program", "atftpd": "it went away"}
    assert [(row.peer, row.ours.middle) for row in rows(case)] == [("", 1.0)]


def test_everything_has_more_cases_and_servers(tmp_path: Path) -> None:
    order: list[str] = []
    measured = rounds(tmp_path, load(order, more=["PyPXE"]), everything=True)
    measured.one(0)

    assert order[-1] == "PyPXE"
    assert [case.case for case in measured.measured] == ["usual", "rare"]


def test_what_takes_long_is_left_out_of_each_third_round(tmp_path: Path) -> None:
    order: list[str] = []
    usual = load(order)
    cases = [usual.cases[0], replace(usual.cases[0], name="long", seldom=True)]
    measured = rounds(tmp_path, replace(usual, cases=cases), alone=True)
    for number in range(6):
        measured.one(number)

    assert [len(case.figures["netbootd"]) for case in measured.measured] == [6, 4]


def test_one_may_want_some_cases_and_netbootd_alone(tmp_path: Path) -> None:
    order: list[str] = []
    measured = rounds(tmp_path, load(order), alone=True, everything=True, text="rar")
    measured.one(0)

    assert order == ["netbootd"]
    assert [case.case for case in measured.measured] == ["rare"]


def test_a_case_may_name_a_server_that_others_leave_out(tmp_path: Path) -> None:
    order: list[str] = []
    usual = load(order, more=["PyPXE"])
    named = replace(usual.cases[0], servers=("netbootd", "PyPXE"))
    rounds(tmp_path, replace(usual, cases=[named, usual.cases[0]])).one(0)

    assert order == ["netbootd", *PEERS, "PyPXE"]


def test_a_load_may_have_a_new_server_for_each_case(tmp_path: Path) -> None:
    order: list[str] = []
    rounds(tmp_path, load(order, fresh=True), everything=True).one(0)

    assert order == ["netbootd", "netbootd", "dnsmasq", "dnsmasq", "atftpd", "atftpd"]


def test_loads_are_chosen_by_name() -> None:
    assert [one.name for one in chosen(LOADS, ["tftp", "dhcp"], Wanted())] == ["tftp", "dhcp"]
    assert [one.name for one in chosen(LOADS, [], Wanted())] == list(LOADS)[:-1]
    with pytest.raises(SystemExit, match="ftp is none of dhcp"):
        chosen(LOADS, ["ftp"], Wanted())
    with pytest.raises(SystemExit, match=r"(?s)no case with 'nosuch'.*storm: 2,000 nodes"):
        chosen(LOADS, ["storm"], Wanted(text="nosuch"))


def test_no_two_cases_of_a_load_are_called_alike_and_goals_are_about_its_servers() -> None:
    for each in LOADS.values():
        names = [case.name for case in each.cases]
        assert len(set(names)) == len(names)
        for case in each.cases:
            for goal in case.goals:
                assert goal.peer in ("", *(case.servers or each.servers))
            assert set(case.servers) <= {*each.servers, *each.more}
