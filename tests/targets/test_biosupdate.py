"""``biosupdate`` and ``memdisk``: an image, its words, and the guard against UEFI."""

from __future__ import annotations

import pytest

from .conftest import OWN

GUARD = "iseq ${platform} efi && goto uefi"
END = [":failed", "exit 1", ":uefi", "exit 1"]


@pytest.mark.parametrize("type_", ["biosupdate", "memdisk"])
def test_an_image_under_memdisk(site, type_):
    lines = site.one(f"{type_}/a", {"initrd": "dos.img", "boot_args": "floppy raw"})
    assert lines == [
        GUARD,
        f"kernel --name memdisk {OWN}/memdisk initrd=image floppy raw",
        f"initrd --name image {OWN}/dos.img",
        "boot",
        *END,
    ]
    assert site.codes() == set()
    assert "needs legacy BIOS" in site.text()


@pytest.mark.parametrize(
    ("image", "written", "added"),
    [
        ("a.iso", "", ["iso", "raw"]),
        ("A.ISO ", "pause", ["pause", "iso", "raw"]),
        (["a.iso"], "", ["iso", "raw"]),
        ("a.iso", "iso", ["iso"]),
        ("a.iso", "raw", ["raw"]),
        ("a.img", "", []),
    ],
)
def test_a_cd_is_told_by_its_name(site, image, written, added):
    lines = site.one("memdisk/a", {"initrd": image, "boot_args": written})
    assert lines[1].split()[4:] == ["initrd=image", *added]


def test_an_image_is_of_one_kind(site):
    site.one("memdisk/a", {"initrd": "a.img", "boot_args": "floppy harddisk"})
    assert site.told("memdisk-kind") == ["memdisk/a: floppy and harddisk: an image is one of them"]


def test_an_update_is_done_when_it_was_served_and_a_memdisk_boots_for_ever(site):
    keys = {"initrd": "a.img"}
    site.load({"biosupdate/a": keys, "memdisk/b": keys, "biosupdate/c": keys | {"once": False}})
    common = {title: target.common for title, target in site.registry.targets.items()}
    assert [common[t].once for t in ("biosupdate/a", "memdisk/b", "biosupdate/c")] == [True, False, False]  # fmt: skip
    assert not common["biosupdate/a"].calls_back


@pytest.mark.parametrize("type_", ["biosupdate", "memdisk"])
def test_without_an_image_there_is_nothing_to_boot(site, type_):
    site.load({f"{type_}/a": {"boot_args": "floppy"}})
    assert any("disk image" in told for told in site.told("target-empty"))
