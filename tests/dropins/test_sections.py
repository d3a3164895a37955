"""Sections: what is said of those that are none, and of names that look like one."""

from __future__ import annotations

import pytest

from netbootd.dropins.reading import read
from netbootd.dropins.sections import NAMED
from netbootd.errors import Level

from .conftest import codes, errors, write


@pytest.mark.parametrize("section", NAMED)
@pytest.mark.parametrize(("value", "word"), [("[]", "an array"), ("1", "a number")])
def test_a_section_that_is_no_object_is_an_error(folder, section, value, word):
    (finding,) = errors(write(folder, {"netbootd.json": f'{{ "{section}" : {value} }}'}))
    assert finding.code == "section-type"
    assert finding.text == f"must be an object, not {word}"
    assert (finding.place.column, finding.path) == (len(section) + 8, section)


@pytest.mark.parametrize(
    ("includes", "path"),
    [('"x"', "includes"), ("{}", "includes"), ('["i.json", 1]', "includes[1]")],
)
def test_includes_has_to_be_an_array_of_strings(folder, includes, path):
    files = {"netbootd.json": f'{{"includes":{includes}}}', "i.json": {}}
    (finding,) = errors(write(folder, files))
    assert (finding.code, finding.path) == ("section-type", path)


def test_a_type_that_is_no_object_costs_its_targets_only(folder):
    layers = read(write(folder, {"netbootd.json": {"targets": {"nfs": 1, "own": {"a": {}}}}}))
    (finding,) = layers.findings
    assert (finding.code, finding.level) == ("section-type", Level.TARGET)
    assert finding.path == "targets.nfs"
    assert [entry.kind for entry in layers.target_entries()] == ["own"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("machine", "machines"),
        ("target", "targets"),
        ("boot_server", "boot_servers"),
        ("Machines", "machines"),
        ("include", "includes"),
        ("netboot", "netbootd"),
        ("vm", "vms"),
    ],
)
def test_a_misspelt_section_keeps_a_reload_from_being_taken(folder, written, meant):
    layers = read(write(folder, {"netbootd.json": f'{{\n "{written}" : 1}}'}))
    (finding,) = layers.findings
    assert (finding.code, finding.level) == ("unknown-section", Level.RELOAD)
    assert f'no section "{written}" is known; did you mean "{meant}"?' in finding.text
    assert (finding.place.line, finding.place.column) == (2, 2)


@pytest.mark.parametrize("name", ["subnet", "Subnets", "subnest", "sub_nets"])
def test_misspelt_subnets_refuse_the_file(folder, name):
    (finding,) = errors(write(folder, {"netbootd.json": {name: {}}}))
    assert finding.code == "unknown-section"
    assert finding.text.endswith('did you mean "subnets"?')


@pytest.mark.parametrize("name", ["subnetsx", "machinesx"])
def test_a_section_that_is_switched_off_is_none(folder, name):
    (finding,) = read(write(folder, {"netbootd.json": {name: {}}})).findings
    assert finding.level is Level.WARNING


@pytest.mark.parametrize(
    ("name", "level"),
    [("http_port", Level.WARNING), ("tftp", Level.WARNING), ("known_only", Level.RELOAD)],
)
def test_a_setting_at_the_top_is_sent_to_its_section(folder, name, level):
    (finding,) = read(write(folder, {"netbootd.json": {name: 1}})).findings
    assert finding.level is level
    assert finding.text.endswith('this is a setting: put it into section "netbootd"')


@pytest.mark.parametrize("name", ["site", "dns", "server_name", "x", ""])
def test_a_name_more_than_two_edits_away_is_not_suggested(folder, name):
    (finding,) = read(write(folder, {"netbootd.json": {name: 1}})).findings
    assert finding.code == "unknown-section"
    assert "did you mean" not in finding.text


def test_an_unknown_section_is_told_once(folder):
    layers = read(
        write(folder, {"netbootd.json": {"machine": 1}, "machines.d/x.json": {"machine": 1}})
    )
    assert codes(layers) == ["unknown-section"]
