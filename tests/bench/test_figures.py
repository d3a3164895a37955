"""What is made of measurements: medians, ratios, spreads, goals, and the tables of them."""

from __future__ import annotations

import json
import sys
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from docutils.core import publish_doctree

from tests.bench import busy, report
from tests.bench.__main__ import arguments
from tests.bench.busy import Doubt, Process
from tests.bench.cases import Wanted
from tests.bench.figures import Goal, Measured, Spread, as_json, ratios, rows
from tests.bench.loads import LOADS

SPEED = Goal("MB/s", 2.0, "dnsmasq", least=True)
LOST = Goal("lost", 0)


def measured(*goals: Goal, **figures: list[dict[str, float]]) -> Measured:
    return Measured("tftp", "74 KB", goals, dict(figures))


def test_a_spread_is_the_median_and_its_ends_without_what_was_not_measured() -> None:
    assert Spread.of([3.0, nan, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert isnan(Spread.of([nan]).middle)


def test_a_ratio_is_that_of_the_medians_and_its_ends_are_those_of_the_rounds() -> None:
    assert ratios([2, 6, 30], [1, 2, 5]) == Spread(6 / 2, 2 / 1, 30 / 5)


def test_a_ratio_to_nothing_says_nothing() -> None:
    assert isnan(ratios([3], [0]).middle)
    assert isnan(ratios([3], []).middle)


@pytest.mark.parametrize(
    ("ours", "met"), [([200, 190, 180], False), ([200, 201, 190], True), ([200, 200, 1], True)]
)
def test_a_goal_beside_a_peer_is_met_by_the_ratio_of_the_medians(
    ours: list[int], met: bool
) -> None:
    found = measured(
        SPEED, netbootd=[{"MB/s": value} for value in ours], dnsmasq=[{"MB/s": 100}] * 3
    )

    (row,) = rows(found)

    assert (row.peer, row.met) == ("dnsmasq", met)


@pytest.mark.parametrize(("lost", "met"), [(0, True), (1, False)])
def test_a_goal_without_a_peer_is_met_by_the_figure_itself(lost: int, met: bool) -> None:
    found = list(rows(measured(LOST, netbootd=[{"lost": lost}], dnsmasq=[{"lost": 700}])))

    assert [(row.peer, row.met) for row in found] == [("", met), ("dnsmasq", None)]


def test_a_peer_that_failed_is_a_row_with_the_reason() -> None:
    found = measured(SPEED, netbootd=[{"MB/s": 100}])
    found.problems["dnsmasq"] = "did not start"

    (row,) = rows(found)

    assert (row.met, row.problem) == (None, "did not start")


def table() -> list[dict[str, Any]]:
    found = measured(
        *(SPEED, LOST),
        netbootd=[{"MB/s": 1234.0, "lost": 0}, {"MB/s": 1300.0, "lost": 0}],
        dnsmasq=[{"MB/s": 500.0}, {"MB/s": 520.0}],
        atftpd=[{"MB/s": 0.0}],
    )
    text = json.dumps([as_json(row) for row in rows(found)])
    again: list[dict[str, Any]] = json.loads(text)
    return again


def test_the_table_has_a_line_for_each_peer_and_says_what_is_met() -> None:
    text = "\n".join(report.text(table()))

    assert "tftp: 74 KB" in text
    assert [line.split()[:2] for line in text.splitlines() if "dnsmasq" in line] == [
        ["MB/s", "1,267"]
    ]
    assert "2.47 – 2.5  ≥ 2 ×  met" in text
    assert "none  met" in text


def test_the_table_of_the_manual_is_sound() -> None:
    source = "\n".join(report.rst(table()))

    tree = publish_doctree(source, settings_overrides={"halt_level": 2})

    assert "tftp: 74 KB" in tree.astext()


def test_the_main_figures_are_those_of_loads_that_there_are() -> None:
    known = {
        (load.name, case.name, peer)
        for load in LOADS.values()
        for case in Wanted().cases(load)
        for peer in case.servers or load.servers
    }

    assert {(load, case, peer) for load, case, _, peer in report.IN_SHORT} <= known


def test_figures_are_put_between_the_marks_of_a_page_and_replaced_there() -> None:
    page = f"Before\n\n{report.BEGIN}\n\nold\n\n{report.END}\n\nAfter\n"

    once = report.written(page, ["new"])

    assert once == page.replace("old", "new")
    assert report.written(once, ["new"]) == once
    with pytest.raises(ValueError, match="no place"):
        report.written("Nothing here\n", ["new"])


def test_the_pages_have_a_place_for_figures() -> None:
    for page in (report.MANUAL, report.README):
        assert report.written(page.read_text(), ["new"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.01234, "0.0123"),
        (9.876, "9.88"),
        (99.94, "99.9"),
        (12345.6, "12,346"),
    ],
)
def test_a_number_has_the_digits_that_count(value: float | None, text: str) -> None:
    assert report.number(value) == text


def test_doubts_are_told_once_a_load_with_the_largest_share() -> None:
    run = {
        "warnings": ["the machine was at work before"],
        "cases": [
            {"load": "tftp", "doubts": [vars(Doubt(0.5, "used by the load"))]},
            {"load": "tftp", "doubts": [vars(Doubt(0.95, "used by the load"))]},
        ],
        "rows": table(),
    }

    text = "\n".join(report.doubts(run))

    assert "the machine was at work before" in text
    assert "tftp: up to 95% of a processor was used by the load (2 times)" in text
    assert "2 goals met, 0 missed, 0 not measured" in text


def test_what_a_server_starts_belongs_to_it() -> None:
    everybody = {
        number: Process(parent, 1, 1) for number, parent in ((1, 0), (5, 1), (6, 5), (7, 6))
    }

    assert busy.family(5, everybody) == {5, 6, 7}


def test_a_run_that_lacks_what_the_readme_has_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {"rows": table(), "cases": [], "warnings": []}
    file = tmp_path / "run.json"
    file.write_text(json.dumps(run))
    before = report.README.read_text()
    monkeypatch.setattr(sys, "argv", ["report", str(file), "--write"])

    assert report.main() == 1
    assert "storm: 500 nodes" in capsys.readouterr().err
    assert report.README.read_text() == before


@pytest.mark.parametrize("text", ["", "[]", "{}", "no json"])
def test_what_is_no_run_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
) -> None:
    file = tmp_path / "run.json"
    file.write_text(text)
    monkeypatch.setattr(sys, "argv", ["report", str(file)])

    with pytest.raises(SystemExit):
        report.main()
    assert "is not what make bench" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rounds", "0"), "not a number from 1 on"),
        (("--json", "/nowhere/run.json"), "cannot write"),
        (("--netbootd", "/nowhere"), "neither a checkout"),
        (("--netbootd", "/"), "neither a checkout"),
    ],
)
def test_what_cannot_be_measured_is_said_before(
    words: tuple[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        arguments().parse_args(words)
    assert told in capsys.readouterr().err
