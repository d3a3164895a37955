"""``chain``: a loader for both firmwares, or for one of them."""

from __future__ import annotations

import pytest

from .conftest import END, NODE, OWN

GUARD = "iseq ${platform} efi && goto efi"


def test_one_loader_for_both(site):
    lines = site.one("chain/a", {"chain": "x.lkrn", "boot_args": "-a __mac__"})
    assert lines == [f"chain --autofree {OWN}/x.lkrn -a {NODE}", *END]
    assert site.codes() == set()


def test_one_for_each(site):
    assert site.one("chain/a", {"bios": "p.0", "efi": "http://192.0.2.8/s.efi"}) == [
        GUARD,
        f"chain --autofree {OWN}/p.0",
        "goto failed",
        ":efi",
        "chain --autofree http://192.0.2.8/s.efi",
        *END,
    ]


@pytest.mark.parametrize(
    ("keys", "lines", "lacks"),
    [
        ({"efi": "u.efi"}, [GUARD, "goto failed", ":efi", f"chain --autofree {OWN}/u.efi"], "legacy BIOS"),
        ({"bios": "p.0"}, [GUARD, f"chain --autofree {OWN}/p.0", "goto failed", ":efi"], "UEFI"),
    ],
)  # fmt: skip
def test_a_firmware_without_a_loader_is_told_so(site, keys, lines, lacks):
    assert site.one("chain/a", keys) == [*lines, *END]
    assert f"has nothing for {lacks}" in site.text()


def test_one_firmware_may_have_its_own_and_the_others_share(site):
    lines = site.one("chain/a", {"chain": "x", "efi": "y.efi"})
    assert f"chain --autofree {OWN}/x" in lines
    assert f"chain --autofree {OWN}/y.efi" in lines


def test_settings_are_set_first(site):
    named = {"210:string": "http://192.0.2.1/pxelinux/", "209:string": "cfg/__hostname__"}
    lines = site.one("chain/a", {"chain": "x", "ipxe_settings": named}, {"hostname": "n1"})
    assert lines[:2] == ["set 210:string http://192.0.2.1/pxelinux/", "set 209:string cfg/n1"]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"boot_args": "x"},
        {"chain": "a b"},
        {"chain": "x", "ipxe_settings": {"a b": "c"}},
        {"chain": "x", "ipxe_settings": {"a": "b || c"}},
        {"chain": "x", "ipxe_settings": "a"},
    ],
)
def test_what_cannot_work_is_told(site, keys):
    site.load({"chain/a": keys})
    assert site.codes() & {"target-empty", "url-invalid", "setting-value", "section-type"}
    assert site.answer().status == 500
