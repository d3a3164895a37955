"""Layers: what of each section counts, and what is said of the rest."""

from __future__ import annotations

from netbootd.dropins.reading import read, survey
from netbootd.errors import Level
from netbootd.relaxedjson import Object

from .conftest import vms, write


def test_a_section_in_one_file_is_that_files_own_object(folder):
    layers = read(write(folder, {"netbootd.json": {"netbootd": {"state": "/x"}}}))
    assert layers.merged("netbootd") is layers.tops[0]["netbootd"]
    assert layers.merged("vms") is None


def test_merged_keys_keep_their_own_places(folder):
    layers = read(
        write(
            folder,
            {
                "netbootd.json": '{"netbootd":{"a":1,\n"b":{"x":1,"y":2}}}',
                "machines.d/x.json": '{\n\n"netbootd":{"b":{"x": 9 },"c":"c\\td"}}',
            },
        )
    )
    merged = layers.merged("netbootd")
    assert isinstance(merged, Object)
    assert merged == {"a": 1, "b": {"x": 9}, "c": "c\td"}
    assert str(merged.place_of("a")).endswith("netbootd.json:1:14")
    assert str(merged.place_of("b")).endswith("x.json:3:13")
    assert str(merged.value_place_of("b")).endswith("x.json:3:17")
    assert str(merged.place_inside("c", 2)).endswith("x.json:3:35")
    assert str(merged.place).endswith("x.json:3:12")


def test_targets_are_merged_by_type_and_name_each_whole(folder):
    layers = read(
        write(
            folder,
            {
                "netbootd.json": {"targets": {"nfs": {"a": {"kernel": "1"}, "b": {"kernel": "2"}}}},
                "machines.d/x.json": {"targets": {"nfs": {"b": {"initrd": "3"}}, "own": {"c": {}}}},
            },
        )
    )
    found = {(entry.kind, entry.name): entry.value for entry in layers.target_entries()}
    assert found == {
        ("nfs", "a"): {"kernel": "1"},
        ("nfs", "b"): {"initrd": "3"},
        ("own", "c"): {},
    }


def test_an_entry_that_loses_is_told_with_both_places(folder):
    layers = read(
        write(
            folder,
            {
                "netbootd.json": '{"machines":{"00:25:90:27:DB:B4":{}, "default":{}},\n'
                '"targets":{"nfs":{"a":{},"b":{}}}, "vms":{"a":1}}',
                "machines.d/x.json": '{"machines":{"00-25-90-27-db-b4":{}},\n'
                '"targets":{"nfs":{"b":{}}, "b":{}}, "vms":{"b":1}}',
            },
        )
    )
    told = [finding for finding in layers.findings if finding.code == "entry-overridden"]
    assert [finding.level for finding in told] == [Level.DEBUG, Level.DEBUG]
    target, machine = told
    assert target.path == "targets.nfs.b"
    assert str(target.place).endswith("netbootd.json:2:26")
    assert target.text == f"replaced by {folder}/machines.d/x.json:2:19"
    assert machine.path == 'machines."00:25:90:27:DB:B4"'
    assert str(machine.place).endswith("netbootd.json:1:14")
    assert "x.json:1:14" in machine.text


def test_an_entry_twice_in_one_file_is_not_for_the_layers_to_tell(folder):
    files = {"netbootd.json": {"vms": {"a": 1, "a ": 2}}, "machines.d/x.json": vms("b")}
    assert not read(write(folder, files)).findings


def test_unknown_keys_are_kept_for_templates(folder):
    layers = read(
        write(
            folder,
            {
                "netbootd.json": {"site": {"a": 1}, "rack": 4, "machines": {}},
                "machines.d/x.json": {"site": "b"},
            },
        )
    )
    assert layers.extras() == {"site": "b", "rack": 4}


def test_whether_any_file_has_a_section(folder):
    layers = read(
        write(folder, {"netbootd.json": {"vms": {}}, "machines.d/x.json": {"targets": {}}})
    )
    assert layers.has("vms")
    assert layers.has("targets")
    assert not layers.has("machines")


def test_the_place_of_the_whole_is_the_main_file(folder):
    files = {"netbootd.json": "# c\n {}", "machines.d/x.json": {}}
    assert str(read(write(folder, files)).place) == f"{folder}/netbootd.json:2:2"
    assert str(survey(folder / "missing.json").place) == f"{folder}/missing.json"
