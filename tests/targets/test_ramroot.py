"""``ramroot``: which initramfs fetches its root how."""

from __future__ import annotations

import pytest

from .conftest import END, OWN

BASE = {"kernel": "k", "initrd": "i", "image": "r.squashfs"}
IMAGE = f"{OWN}/r.squashfs"
BOOTIF = "BOOTIF=01-52-54-00-12-34-56"


@pytest.mark.parametrize("type_", ["ramroot", "http"])
@pytest.mark.parametrize(
    ("initramfs", "words"),
    [
        ("live-boot", f"boot=live fetch={IMAGE} ip=dhcp"),
        (
            "dracut",
            f"root=live:{IMAGE} ip=dhcp rd.live.image rd.live.ram=1 rd.live.overlay.overlayfs=1 rd.overlay",
        ),
        ("casper", f"boot=casper url={IMAGE} ip=dhcp"),
    ],
)
def test_the_image_is_fetched_as_the_initramfs_does(site, type_, initramfs, words):
    assert site.one(f"{type_}/a", BASE | {"initramfs": initramfs, "boot_args": "quiet"}) == [
        f"kernel --name kernel {OWN}/k initrd=initrd {words} {BOOTIF} quiet",
        f"initrd --name initrd {OWN}/i",
        "boot",
        *END,
    ]
    assert site.codes() == set()


def test_alpine_wants_a_repository(site):
    keys = BASE | {"initramfs": "alpine"}
    site.one("ramroot/a", keys)
    assert site.codes() == {"ramroot-repo"}
    words = site.one("ramroot/a", keys | {"boot_args": "alpine_repo=http://192.0.2.8/apks"})[0]
    assert words.split()[5:] == [
        f"modloop={IMAGE}",
        "ip=dhcp",
        "modules=loop,squashfs",
        "alpine_repo=http://192.0.2.8/apks",
    ]
    assert site.codes() == set()


def test_without_an_image_the_initrd_is_the_root(site):
    lines = site.one("ramroot/a", {"kernel": "k", "initrd": "i", "boot_args": "root=ram"})
    assert lines[0].split()[4:] == ["initrd=initrd", "root=ram"]
    assert site.codes() == set()


def test_an_author_who_names_the_root_has_decided(site):
    keys = BASE | {"initramfs": "live-boot", "boot_args": "boot=live httpfs=http://192.0.2.8/r"}
    assert site.one("ramroot/a", keys)[0].split()[5:] == ["boot=live", "httpfs=http://192.0.2.8/r"]


@pytest.mark.parametrize("initramfs", [{}, {"initramfs": "mkinitcpio"}])
def test_an_image_needs_a_reader(site, initramfs):
    site.load({"ramroot/a": BASE | initramfs})
    told = site.told("target-empty") + site.told("value-unknown")
    assert "alpine, casper, dracut, live-boot" in told[0]


def test_live_boot_cannot_look_up_a_name(site):
    site.one("ramroot/a", BASE | {"initramfs": "live-boot", "boot_server": "boot.example.org"})
    assert site.codes() == {"ramroot-name"}
    site.one(
        "ramroot/a",
        BASE | {"initramfs": "live-boot"},
        boot_servers={"default": "boot.example.org:3000"},
    )
    assert site.codes() == {"target-remark"}
    site.one("ramroot/a", BASE | {"initramfs": "dracut", "boot_server": "boot.example.org"})
    assert site.codes() == set()


def test_live_boot_takes_an_address_of_either_kind(site):
    for server in ("192.0.2.8:3000", "[2001:db8::8]:3000"):
        site.one("ramroot/a", BASE | {"initramfs": "live-boot", "boot_server": server})
        assert site.codes() == set()


def test_an_image_that_the_arguments_do_not_name_is_told_to_be_idle(site):
    keys = BASE | {"initramfs": "live-boot", "boot_args": "boot=live fetch=http://192.0.2.8/r"}
    site.load({"ramroot/a": keys})
    assert site.codes() == {"target-unused-key"}
    site.load({"ramroot/a": keys | {"boot_args": "boot=live fetch=__image__"}})
    assert site.codes() == set()
