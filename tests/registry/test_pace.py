"""Whose turn comes first in a storm, and how many may load at once, as the file says it."""

from __future__ import annotations

import json

import pytest

from netbootd.config import Pace
from netbootd.errors import ConfigErrors, Level
from netbootd.mac import MAC
from netbootd.registry.load import load

MAC_1 = "52:54:00:12:34:56"


def loaded(tmp_path, entry=None, groups=None, target=None, pace=None):
    file = tmp_path / "netbootd.json"
    settings = {} if pace is None else {"pace": pace}
    written = {
        "netbootd": {"files": str(tmp_path), "firmware": [], **settings},
        "targets": {"localboot": {"disk": target or {}}},
        "groups": groups or {},
        "machines": {
            "default": {"type": "localboot", "name": "disk"},
            MAC_1: entry or {},
        },
    }
    file.write_text(json.dumps(written))
    return load(file)


def priority(registry):
    return registry.machines[MAC.parse(MAC_1)].priority


@pytest.mark.parametrize(
    ("word", "number"), [("high", 10), ("normal", 0), ("low", -10), (-100, -100), (100, 100)]
)
def test_a_priority_is_a_word_or_a_number(tmp_path, word, number):
    registry = loaded(tmp_path, {"priority": word})
    assert priority(registry) == number
    assert registry.findings == ()
    assert "priority" not in registry.machines[MAC.parse(MAC_1)].variables


def test_the_machine_counts_over_its_group_and_that_over_its_target(tmp_path):
    groups, target = {"rack": {"priority": 5}}, {"priority": 7}
    assert priority(loaded(tmp_path)) == 0
    assert priority(loaded(tmp_path, target=target)) == 7
    assert priority(loaded(tmp_path, {"group": "rack"}, groups, target)) == 5
    own = {"group": "rack", "priority": "normal"}
    assert priority(loaded(tmp_path, own, groups, target)) == 0


@pytest.mark.parametrize("written", ["highest", 101, -101, 1.5, True, None, [1]])
def test_what_is_no_priority_is_left_out_and_said(tmp_path, written):
    registry = loaded(tmp_path, {"priority": written}, target={"priority": written})
    assert priority(registry) == 0
    assert [finding.code for finding in registry.findings] == ["priority-invalid"] * 2
    wanted = '"priority" must be "high", "normal", "low" or a whole number from -100 to 100, not '
    assert all(wanted in finding.text for finding in registry.findings)
    assert all(finding.level is Level.WARNING for finding in registry.findings)


def test_pacing_is_off_where_nobody_says_it(tmp_path):
    assert loaded(tmp_path).config.pace == Pace(enabled=False)


@pytest.mark.parametrize(
    ("written", "pace"),
    [
        (True, Pace(enabled=True)),
        ({"enabled": True, "at_once": "auto"}, Pace(enabled=True)),
        ({}, Pace(enabled=True)),
        ({"at_once": 12}, Pace(enabled=True, at_once=12)),
        ({"enabled": False, "at_once": 12}, Pace(enabled=False, at_once=12)),
        ({"uplink": "10 Gbit/s"}, Pace(enabled=True, uplink=1.25e9)),
        ({"uplink": "500Mbps"}, Pace(enabled=True, uplink=62.5e6)),
        ({"uplink": "2.5 gbit/s"}, Pace(enabled=True, uplink=312.5e6)),
        ({"groups": {"rack": 3}}, Pace(enabled=True, groups={"rack": 3})),
    ],
)
def test_the_settings_are_read(tmp_path, written, pace):
    registry = loaded(tmp_path, groups={"rack": {}}, pace=written)
    assert registry.config.pace == pace
    assert registry.findings == ()


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"at_once": 0}, '"pace.at_once" must be "auto" or a whole number from 1 to 4096, not 0'),
        ({"at_once": "all"}, '"pace.at_once" must be "auto" or a whole number'),
        (
            {"uplink": 10},
            '"pace.uplink" must be a rate in kbit/s, Mbit/s or Gbit/s, such as "10 Gbit/s", not 10',
        ),
        ({"uplink": "10 GB/s"}, '"pace.uplink" must be a rate'),
        ({"uplink": "0 Gbit/s"}, '"pace.uplink" must be a rate'),
        ({"groups": {"rack": 0}}, '"rack" must be a whole number from 1 to 4096, not 0'),
        ({"groups": 3}, '"pace.groups" must be an object'),
        ("on", '"pace" must be true, false or an object'),
    ],
)
def test_a_setting_that_is_wrong_is_an_error(tmp_path, written, told):
    with pytest.raises(ConfigErrors) as caught:
        loaded(tmp_path, groups={"rack": {}}, pace=written)
    assert any(told in finding.text for finding in caught.value.findings)


def test_a_group_that_does_not_exist_is_told(tmp_path):
    registry = loaded(tmp_path, groups={"rack4": {}}, pace={"groups": {"rack5": 3}})
    (finding,) = registry.findings
    assert finding.code == "group-unknown"
    assert 'no group "rack5"' in finding.text
    assert "rack4" in finding.text
    assert finding.place.line
