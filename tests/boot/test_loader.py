"""Who says what a machine's firmware loads, and what is said where that is not there."""

from __future__ import annotations

import os

import pytest

from netbootd.arch import arch_of
from netbootd.boot import loader
from netbootd.errors import Level
from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.registry.subnets import ELSEWHERE

NODE = MAC.parse("00:25:90:27:db:b4")
CONFIG = """{
  "targets" : { "nfs" : { "a" : { "kernel" : "k" %(target)s } } },
  "groups" : { "g" : { %(group)s } },
  "machines" : {
     "00:25:90:27:db:b4" : { "type" : "nfs", "name" : "a", "group" : "g" %(machine)s },
  },
  "netbootd" : { "firmware" : "firmware", "files" : "files" %(setting)s },
}"""
FILES = ("snponly.efi", "ipxe.efi", "undionly.kpxe", "shimx64.efi", "lpxelinux.0", "own.efi")


@pytest.fixture
def registry(tmp_path):
    def make(files=FILES, **said):
        written = {"target": "", "group": "", "machine": "", "setting": "", **said}
        (tmp_path / "firmware").mkdir()
        (tmp_path / "files" / "deep").mkdir(parents=True)
        (tmp_path / "files" / "deep" / "x.efi").write_bytes(b"deep")
        for name in files:
            (tmp_path / "firmware" / name).write_bytes(b"loader")
        (tmp_path / "c.json").write_text(CONFIG % written)
        return load(tmp_path / "c.json")

    return make


def found(registry, number):
    machine = registry.machines[NODE]
    return loader.find(arch_of(number), machine, registry, ELSEWHERE)


@pytest.mark.parametrize(
    ("said", "number", "name"),
    [
        ({}, 7, "snponly.efi"),
        ({"setting": ', "loader" : "ipxe-drivers"'}, 7, "ipxe.efi"),
        ({"target": ', "loader" : "shim-grub"'}, 7, "shimx64.efi"),
        ({"target": ', "loader" : "shim-grub"', "group": '"loader" : "ipxe"'}, 7, "snponly.efi"),
        ({"group": '"loader" : "ipxe"', "machine": ', "loader" : "own.efi"'}, 7, "own.efi"),
        ({"machine": ', "loader" : { "efi-x64" : "own.efi" }'}, 0, "undionly.kpxe"),
        (
            {
                "group": '"loader" : { "bios" : "pxelinux" }',
                "machine": ', "loader" : { "efi-x64" : "own.efi" }',
            },
            0,
            "lpxelinux.0",
        ),
        ({"machine": ', "loader" : "deep/x.efi"'}, 7, "deep/x.efi"),
        ({"setting": ', "loader" : { "4711" : "own.efi" }'}, 4711, "own.efi"),
        ({"target": ', "loader" : { "efi-x64-http" : "ipxe-drivers" }'}, 16, "ipxe.efi"),
    ],
)
def test_the_nearest_word_counts(registry, said, number, name):
    assert found(registry(**said), number).name == name


def test_the_file_that_a_subnets_default_chooses_is_held_too(registry, tmp_path):
    registry()
    boots = '"type" : "nfs", "name" : "a", "loader" : "deep/x.efi"'
    subnets = '"subnets" : { "192.0.2.0/24" : { "default" : { %s } } }, "netbootd"' % boots
    nothing = {"target": "", "group": "", "machine": "", "setting": ""}
    (tmp_path / "c.json").write_text((CONFIG % nothing).replace('"netbootd"', subnets))
    known = load(tmp_path / "c.json")
    subnet = known.subnets.of("192.0.2.7")
    stranger = known.stranger(MAC.parse("00:25:90:27:db:ff"), subnet)
    assert loader.find(arch_of(7), stranger, known, subnet).name == "deep/x.efi"
    (tmp_path / "files" / "deep" / "x.efi").unlink()
    assert "loader-missing" in {finding.code for finding in load(tmp_path / "c.json").findings}


def test_nothing_else_is_given_for_what_was_chosen_and_is_missing(registry):
    answer = found(registry(files=("snponly.efi",), machine=', "loader" : "shim-grub"'), 7)
    assert answer.name == ""
    assert answer.missing
    for word in ("shimx64.efi", "shim-signed", "the machine says 'shim-grub'", "'firmware'"):
        assert word in answer.why


def test_a_missing_loader_is_named_with_where_it_is_to_be_had(registry):
    assert "ipxe-arm64.efi: 'firmware/fetch-trixie'" in found(registry(), 11).why


def test_a_number_that_nobody_knows_is_told_with_the_line_that_helps(registry, tmp_path):
    answer = found(registry(), 4711)
    assert answer.missing
    line = '"loader" : { "4711" : "FILE.efi" }'
    assert f'add {line} to the section "netbootd"' in answer.why
    said = line.replace("FILE.efi", "own.efi")
    (tmp_path / "c.json").write_text(
        CONFIG % {"target": "", "group": "", "machine": "", "setting": f", {said}"}
    )
    assert found(load(tmp_path / "c.json"), 4711).name == "own.efi"


def test_whose_word_is_in_the_way_of_that_line_is_told(registry):
    """The line in "netbootd" would change nothing here."""
    answer = found(registry(machine=', "loader" : "shim-grub"'), 4711)
    told = '(the machine says \'shim-grub\'): let that say "loader" : { "4711" : "FILE.efi" }'
    assert told in answer.why
    assert '"netbootd"' not in answer.why


def test_no_disk_is_looked_at_when_a_loader_is_chosen(registry, monkeypatch):
    known = registry(machine=', "loader" : "deep/x.efi"')

    def look(*_args, **_more):
        raise AssertionError("the disk was looked at")

    for name in ("open", "stat", "lstat", "scandir", "listdir"):
        monkeypatch.setattr(os, name, look)
    monkeypatch.setattr("builtins.open", look)
    assert found(known, 7).name == "deep/x.efi"
    assert found(known, 11).name == "deep/x.efi"


@pytest.mark.parametrize("where", ["machine", "group", "target"])
def test_a_wrong_word_is_found_with_its_place_and_the_machine_boots_nothing(registry, where):
    written = '"loader" : "grbu"'
    known = registry(**{where: written if where == "group" else f", {written}"})
    wrong = [one for one in known.findings if one.code == "loader-invalid"]
    assert [one.level for one in wrong] == [Level.TARGET]
    assert wrong[0].place.line in (2, 3, 5)
    assert 'did you mean "grub"' in wrong[0].text
    assert "loader" in wrong[0].path
    assert "loader" in known.machines[NODE].target.reason or where == "target"


@pytest.mark.parametrize(("number", "reads"), [(22, "pxelinux.cfg/01-<mac>"), (41, "config.txt")])
def test_firmware_that_reads_a_configuration_by_itself_wants_no_loader(registry, number, reads):
    told = found(registry(), number)
    assert (told.name, told.missing) == ("", False)
    assert reads in told.why


def test_a_loader_that_was_chosen_for_it_all_the_same_is_given(registry):
    chosen = registry(setting=', "loader" : { "uboot-arm64" : "own.efi" }')
    assert found(chosen, 22).name == "own.efi"
