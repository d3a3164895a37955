"""The names by which other loaders ask: whose they are, and that no other file is taken for one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd import configfiles, urls
from netbootd.configfiles import Reader, parse
from netbootd.mac import MAC

NODE = MAC.parse("52:54:00:aa:00:0c")
UUID = "33221100-5544-7766-8899-aabbccddeeff"


@pytest.mark.parametrize("folder", ["", "/", "grub/", "/a/b/", "a\\b\\", f"{NODE}/", "a//"])
@pytest.mark.parametrize(
    ("name", "reader", "who"),
    [
        ("grub.cfg", Reader.GRUB, ""),
        ("grub.cfg-01-52-54-00-aa-00-0c", Reader.GRUB, str(NODE)),
        ("grub.cfg-01-52:54:00:aa:00:0c", Reader.GRUB, str(NODE)),
        ("grub.cfg-52:54:00:AA:00:0C", Reader.GRUB, str(NODE)),
        (f"grub.cfg-{UUID}", Reader.GRUB, UUID),
        (f"grub.cfg-{UUID.upper()}", Reader.GRUB, UUID),
        ("grub.cfg-C0A84D32", Reader.GRUB, "192.168.77.50"),
        ("pxelinux.cfg/01-52-54-00-aa-00-0c", Reader.PXELINUX, str(NODE)),
        ("pxelinux.cfg/20-52-54-00-aa-00-0c", Reader.PXELINUX, str(NODE)),
        (f"pxelinux.cfg/{UUID}", Reader.PXELINUX, UUID),
        ("pxelinux.cfg/C0A84D32", Reader.PXELINUX, "192.168.77.50"),
        ("pxelinux.cfg/default", Reader.PXELINUX, ""),
        ("pxelinux.cfg/default-arm-bcm2835", Reader.PXELINUX, ""),
        ("01-52-54-00-aa-00-0c", Reader.PXELINUX, str(NODE)),
        ("d4659bbd/config.txt", Reader.PI, "d4659bbd"),
        ("D4659BBD/cmdline.txt", Reader.PI, "d4659bbd"),
        ("cmdline.txt", Reader.PI, ""),
    ],
)
def test_each_name_says_who_reads_it_and_whose_it_is(folder, name, reader, who):
    file = parse(folder + name)
    assert file.reader is reader
    assert (str(file.mac or "") or file.uuid or file.address or file.serial) == who
    assert file.anonymous == (not who)
    assert not file.choice
    assert file.name == name.rpartition("/")[2]


def test_the_shortened_addresses_of_networks_are_nobodys():
    for digits in range(1, 8):
        for path in (f"pxelinux.cfg/{'C0A84D32'[:digits]}", f"grub.cfg-{'C0A84D32'[:digits]}"):
            file = parse(path)
            assert file.nobodys, path
            assert not file.anonymous, path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "images/vmlinuz", "grub.cfgx", "agrub.cfg", "pxelinux.cfg", "pxelinux.cfg/a/b"),
        *("grub/x86_64-efi/command.lst", "C0A84D32", "52-54-00-aa-00-0c", "config.txt/x"),
        *("01-52-54-00-aa-00", "start4.elf", "undionly.kpxe"),
    ],
)
def test_other_files_are_no_configuration(path):
    assert parse(path) is None


@pytest.mark.parametrize("mac", ["01-52-54-00:aa-00-0c", "52:54-00:aa:00:0c"])
def test_a_mac_of_two_kinds_of_signs_is_nobodys(mac):
    for path in (f"pxelinux.cfg/{mac}", f"grub.cfg-{mac}"):
        file = parse(path)
        assert file.nobodys
        assert file.mac is None
    assert parse(mac) is None


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_not_and_never_fails(text):
    for path in (text, f"pxelinux.cfg/{text}", f"grub.cfg-{text}", f"{text}/config.txt"):
        parse(path)


@pytest.mark.parametrize("choice", [None, 1, 12])
@pytest.mark.parametrize(
    ("built", "reader"),
    [(configfiles.grub_path, Reader.GRUB), (configfiles.pxelinux_path, Reader.PXELINUX)],
)
def test_what_is_built_is_parsed(built, reader, choice):
    owner, path = urls.split_mac(built(NODE, choice))
    file = parse(path)
    assert (owner, file.mac, file.reader) == (NODE, NODE, reader)
    assert file.choice == ("" if choice is None else str(choice))


def test_a_real_pxelinux_asks_in_the_order_that_is_told():
    captured = Path(__file__).parent / "captures" / "tftp-requests.json"
    asked = [
        one["fields"][0]
        for one in json.loads(captured.read_text())
        if one["op"] == "RRQ" and one["loader"] == "pxelinux-uuid"
    ]
    files = [file for path in asked if (file := parse(path))]
    assert [file.reader for file in files] == [Reader.PXELINUX] * 11
    assert [file.uuid or str(file.mac or "") or file.address for file in files[:3]] == [
        UUID,
        "52:54:00:aa:00:0c",
        "192.168.77.50",
    ]
    assert all(file.nobodys for file in files[3:-1])
    assert files[-1].anonymous


@pytest.mark.parametrize(
    ("path", "owner", "rest"),
    [
        # As PXELINUX and U-Boot put the folder of their boot file before a name with a slash.
        (f"{NODE}//{NODE}/images/k", NODE, "images/k"),
        (f"/sub/dir//{NODE.dashed}/images/k", NODE, "images/k"),
        (f"{NODE}//overlay/x.cpio?token=1", NODE, "overlay/x.cpio?token=1"),
        ("sub/dir//overlay/x.cpio", None, "overlay/x.cpio"),
        ("sub/dir//boot/isolinux/ldlinux.c32", None, "sub/dir//boot/isolinux/ldlinux.c32"),
        (f"{NODE}//undionly.kpxe", NODE, "undionly.kpxe"),
    ],
)
def test_a_folder_pasted_before_an_absolute_name_means_nothing(path, owner, rest):
    assert urls.split_mac(path) == (owner, rest)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"overlay/{NODE.dashed}.cpio?token=abc", (NODE, "abc")),
        (f"/overlay/{NODE}", (NODE, "")),
        ("overlay/x.cpio", None),
        ("overlay", None),
        ("images/overlay/52-54-00-aa-00-0c.cpio", None),
    ],
)
def test_the_extra_initrd_has_one_path_in_tftp(path, found):
    assert urls.overlay_of(path) == found
