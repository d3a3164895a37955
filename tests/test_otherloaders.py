"""What ``check`` says of loaders that are not iPXE."""

from __future__ import annotations

import json

import pytest

from netbootd.check import check
from netbootd.errors import Level

TARGETS = {
    "nfs": {"a": {"kernel": "k"}, "quoted": {"kernel": "k", "boot_args": "x='y'"}},
    "memdisk": {"dos": {"initrd": "i"}},
    "sanboot": {"s": {"sanboot": "http://192.0.2.9/x.iso"}},
    "menu": {"m": {"choices": ["nfs/a", "sanboot/s"]}},
}
NODE = "52:54:00:12:34:56"


@pytest.fixture
def told(tmp_path):
    def told(title, loader="", code="loader-unfit", setting="", **machine):
        type_, _, name = title.partition("/")
        entry = {"type": type_, "name": name, **machine}
        if loader:
            entry["loader"] = loader
        config = {"files": "files", **({"loader": setting} if setting else {})}
        whole = {"targets": TARGETS, "machines": {NODE: entry}, "netbootd": config}
        (tmp_path / "c.json").write_text(json.dumps(whole))
        found = check(tmp_path / "c.json").findings
        assert all(one.level >= Level.WARNING for one in found if one.code == code)
        return [one.text for one in found if one.code == code]

    told.folder = tmp_path
    return told


@pytest.mark.parametrize("loader", ["grub", "shim-grub", {"efi-x64": "grub"}, "grubx64.efi"])
def test_what_grub_cannot_boot_is_told_where_grub_is_chosen(told, loader):
    assert told("sanboot/s", loader)[0].startswith("GRUB: sanboot/s needs iPXE: ")
    assert "GRUB would put a backslash" in told("nfs/quoted", loader)[0]
    assert told("nfs/a", loader) == []


def test_what_pxelinux_cannot_boot_is_told_where_that_is_chosen(told):
    assert told("memdisk/dos", "pxelinux") == []
    assert told("memdisk/dos", "shim-grub") != []
    assert told("sanboot/s", setting="pxelinux")[0].startswith("PXELINUX: ")


@pytest.mark.parametrize("loader", ["", "ipxe", "own.efi"])
def test_nobody_is_told_who_runs_ipxe(told, loader):
    assert told("sanboot/s", loader) == []


def test_what_the_machine_says_for_all_hides_the_setting(told):
    assert told("sanboot/s", "ipxe", setting="pxelinux") == []
    assert len(told("sanboot/s", {"bios": "pxelinux"}, setting="shim-grub")) == 2


def test_a_menu_is_tried_with_all_that_it_leads_to(told):
    assert len(told("menu/m", "grub")) == 1


def test_a_raspberry_pi_is_known_by_its_serial_number_and_its_own_lines(told):
    assert told("nfs/a", serial="10000000bd9b65d4") == []
    assert "Raspberry Pi" in told("memdisk/dos", serial="10000000bd9b65d4")[0]
    assert "config_txt" in told("nfs/a", config_txt=[{"a": 1}, "x"])[0]
    assert told("memdisk/dos", serial="12345678") == []


def test_a_template_of_the_admin_that_fails_is_an_error(told):
    (told.folder / "grub.cfg").write_text("{{ nothing }}\n")
    assert "'nothing' is undefined" in told("nfs/a", "grub", code="template-error")[0]
    assert told("nfs/a", code="template-error") == []
