"""``esxi``: VMware's loader and its file."""

from __future__ import annotations

from .conftest import NODE, OWN

GUARD = "iseq ${platform} efi"
END = [":failed", "exit 1", ":bios", "exit 1"]


def test_a_tree_is_all_it_needs(site):
    site.put("esxi/efi/boot/bootx64.efi", "esxi/boot.cfg.j2")
    assert site.one("esxi/a", {"tree": "esxi"}) == [
        GUARD,
        f"kernel {OWN}/esxi/efi/boot/bootx64.efi -c {OWN}/{NODE.dashed}/esxi/boot.cfg",
        "boot",
        *END,
    ]
    assert site.told("file-missing") == []
    assert site.codes() == set()


def test_its_own_loader_and_its_file_may_stand_elsewhere(site):
    keys = {"tree": "esxi", "mboot": "new/mboot.efi", "boot_cfg": "install/esxi/boot.cfg"}
    assert site.one("esxi/a", keys)[1] == (
        f"kernel {OWN}/new/mboot.efi -c {OWN}/install/{NODE.dashed}/esxi/boot.cfg"
    )


def test_without_a_tree_there_is_nothing_to_boot(site):
    site.load({"esxi/a": {}})
    assert site.told("target-empty")
    assert site.answer().status == 500


def test_what_was_called_loader_once_is_told_its_new_name(site):
    site.put("esxi/efi/boot/bootx64.efi", "esxi/boot.cfg.j2")
    site.load({"esxi/a": {"tree": "esxi", "loader": "new/mboot.efi"}})
    assert '"mboot"' in site.told("loader-mboot")[0]
