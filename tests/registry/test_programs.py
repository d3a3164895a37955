"""Boot programs that are chosen and are not there: said where the word stands."""

from __future__ import annotations

import json

import pytest

from netbootd.errors import Level
from netbootd.registry.load import load

NODES = [f"00:25:90:27:db:b{digit}" for digit in range(4)]
RACK = "10.1.0.0/24"


@pytest.fixture
def told(tmp_path):
    """What is said of each path, and what its line holds."""

    def load_it(machines=None, settings=None, **sections):
        file = tmp_path / "c.json"
        target = {"kernel": "http://192.0.2.1/k", **sections.pop("target", {})}
        document = {
            "netbootd": {"files": str(tmp_path), "firmware": [], **(settings or {})},
            "targets": {"linux": {"a": target}},
            "machines": {"default": {"type": "linux", "name": "a"}, **(machines or {})},
            **sections,
        }
        file.write_text(json.dumps(document, indent=1))
        found = [one for one in load(file).findings if one.code == "loader-missing"]
        lines = file.read_text().splitlines()
        for one in found:
            assert one.level is Level.WARNING
            assert lines[one.place.line - 1].strip().startswith('"loader"')
        return {one.path: one.text for one in found}

    return load_it


def test_a_word_of_a_group_is_told_there_with_the_number_of_its_machines(told):
    machines = {node: {"group": "sb"} for node in NODES[:3]} | {NODES[3]: {}}
    found = told(machines, groups={"sb": {"loader": "shim-grub"}})
    [(path, text)] = found.items()
    assert path == "groups.sb.loader"
    assert text.startswith('group sb (3 machines) chooses "shim-grub", and there is no shimx64.efi')


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"settings": {"loader": "x.efi"}}, "netbootd.loader"),
        ({"target": {"loader": "x.efi"}}, "targets.linux.a.loader"),
        ({"subnets": {RACK: {"loader": "x.efi"}}}, f'subnets."{RACK}".loader'),
        (
            {"subnets": {RACK: {"default": {"loader": "x.efi"}}}},
            f'subnets."{RACK}".default.loader',
        ),
        ({"machines": {NODES[0]: {"loader": "x.efi"}}}, f'machines."{NODES[0]}".loader'),
    ],
)
def test_every_place_of_the_word_is_known(told, section, path):
    assert [*told(**section)] == [path]


def test_machines_that_say_the_same_are_counted(told):
    found = told({node: {"loader": "x.efi"} for node in NODES})
    [text] = found.values()
    assert text == f'machine {NODES[0]} (and 3 more) chooses "x.efi", and there is no x.efi'


def test_the_files_of_pcs_are_asked_for_and_those_of_others_mentioned(told):
    [text] = told(settings={"loader": "shim-grub"}).values()
    demanded, _, others = text.partition("; nor one for ")
    assert "shimia32.efi" not in text
    assert "shimaa64.efi" not in text
    assert "shimx64.efi" in demanded
    assert others == "UEFI IA32, UEFI ARM64, which is no harm where there are none"


def test_who_names_an_architecture_is_told_of_its_file(told):
    [text] = told(settings={"loader": {"efi-arm64": "shim-grub"}}).values()
    assert "there is no shimaa64.efi" in text
    assert "nor one for" not in text


@pytest.mark.parametrize(
    ("folders", "absent"),
    [(["own", "gone"], "gone"), ("gone", "gone"), (["own", "/usr/lib/PXELINUX"], "")],
)
def test_a_folder_of_firmware_that_is_not_there_is_told(tmp_path, folders, absent):
    (tmp_path / "own").mkdir()
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"netbootd": {"firmware": folders}}, indent=1))
    found = [one for one in load(file).findings if one.code == "folder-missing"]
    told = [f'"firmware": there is no folder {tmp_path / absent}'] if absent else []
    assert [one.text for one in found] == told
    assert {(one.path, one.place.line) for one in found} <= {("netbootd.firmware", 3)}
