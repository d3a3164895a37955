"""``sanboot`` and ``iscsi``: URIs, settings, and who sees the password."""

from __future__ import annotations

import pytest

from .conftest import END, OWN

DISK = {"server": "192.0.2.9", "target": "iqn.2024-01.org.example:disk"}
URI = "iscsi:192.0.2.9::::iqn.2024-01.org.example:disk"


@pytest.mark.parametrize("type_", ["sanboot", "iscsi", "anything"])
def test_an_address_boots_as_it_is(site, type_):
    assert site.one(f"{type_}/a", {"sanboot": URI}) == [f"sanboot {URI}", *END]


def test_an_image_of_our_own_gets_its_whole_address(site):
    assert site.one("sanboot/a", {"sanboot": "a.iso"}) == [f"sanboot {OWN}/a.iso", *END]


def test_several_are_ways_to_one_disk(site):
    other = URI.replace("2.9", "2.10")
    assert site.one("sanboot/a", {"sanboot": [URI, other]})[0] == f"sanboot {URI} {other}"


@pytest.mark.parametrize("type_", ["iscsi", "sanboot"])
def test_iscsi_in_words(site, type_):
    keys = DISK | {
        "port": 3261,
        "lun": 2,
        "username": "u",
        "password": "p w",
        "reverse_username": "ru",
        "reverse_password": "rp",
        "initiator": "iqn.2024-01.org.example:me",
        "keep": True,
        "filename": r"\EFI\debian\grubx64.efi",
    }
    assert site.one(f"{type_}/a", {"iscsi": keys}) == [
        "set initiator-iqn iqn.2024-01.org.example:me",
        "set username u",
        "set password p w",
        "set reverse-username ru",
        "set reverse-password rp",
        r"sanboot --keep --filename \EFI\debian\grubx64.efi "
        "iscsi:192.0.2.9::3261:2:iqn.2024-01.org.example:disk",
        *END,
    ]
    assert site.codes() == set()


def test_several_portals(site):
    keys = DISK | {"server": ["192.0.2.9", "[2001:db8::9]"]}
    assert site.one("iscsi/a", {"iscsi": keys})[0].split()[1:] == [
        URI,
        URI.replace("192.0.2.9", "[2001:db8::9]"),
    ]


def test_each_machine_may_have_a_disk_of_its_own(site):
    keys = DISK | {"target": "iqn.x:__hostname__", "password": "__chap__", "username": "u"}
    lines = site.one("iscsi/a", {"iscsi": keys}, {"hostname": "n1", "chap": "secret-n1"})
    assert lines[:3] == ["set username u", "set password secret-n1", "sanboot iscsi:192.0.2.9::::iqn.x:n1"]  # fmt: skip


def test_nothing_that_is_logged_names_the_password(site):
    site.load({"iscsi/a": {"iscsi": DISK | {"username": "u", "password": "geheim"}}})
    answer = site.answer()
    assert "geheim" in answer.text
    assert "geheim" not in answer.logged
    assert "geheim" not in repr(site.registry.targets["iscsi/a"])


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"server": "192.0.2.9"}, "target-empty"),
        ({"target": "iqn.x"}, "target-empty"),
        (DISK | {"server": "a/b"}, "target-empty"),
        (DISK | {"port": "x"}, "iscsi-value"),
        (DISK | {"lun": "z"}, "iscsi-value"),
        (DISK | {"password": "a"}, "iscsi-value"),
        (DISK | {"username": "a"}, "iscsi-value"),
        (DISK | {"username": "a", "password": "b", "reverse_username": "c"}, "iscsi-value"),
        (DISK | {"reverse_username": "a", "reverse_password": "b"}, "iscsi-value"),
        (DISK | {"username": "u", "password": "a  b"}, "iscsi-value"),
        (DISK | {"username": "u", "password": "a #b"}, "iscsi-value"),
        (DISK | {"username": "u", "password": "a || b"}, "iscsi-value"),
        (DISK | {"username": "u", "password": "a${mac}"}, "iscsi-value"),
        (DISK | {"filename": "a b"}, "iscsi-value"),
        (DISK | {"pasword": "a"}, "key-unknown"),
        (DISK | {"username": {}}, "section-type"),
        ([], "section-type"),
        ({}, "target-empty"),
    ],
)
def test_what_cannot_work_is_told(site, keys, code):
    site.load({"iscsi/a": {"iscsi": keys}})
    assert code in site.codes()


def test_no_address_at_all(site):
    site.load({"sanboot/a": {}})
    assert site.told("target-empty") == ['sanboot/a: "sanboot" is missing']


@pytest.mark.parametrize("type_", ["sanboot", "iscsi"])
def test_a_kernel_makes_it_generic(site, type_):
    assert site.one(f"{type_}/a", {"kernel": "k"})[0] == f"kernel --name kernel {OWN}/k"
    assert site.codes() == set()


def test_a_kernel_beside_it_boots_with_the_disk_attached(site):
    keys = {"kernel": "k", "initrd": "i", "boot_args": "rd.iscsi.firmware=1"}
    keys |= {"iscsi": DISK | {"username": "u", "password": "__chap__"}}
    assert site.one("iscsi/a", keys, {"chap": "p1"}) == [
        "set username u",
        "set password p1",
        "set keep-san 1",
        f"sanhook --drive 0x80 {URI}",
        f"kernel --name kernel {OWN}/k initrd=initrd rd.iscsi.firmware=1",
        f"initrd --name initrd {OWN}/i",
        "boot",
        *END,
    ]
    assert "p1" not in site.answer().logged
