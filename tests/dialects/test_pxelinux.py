"""What PXELINUX, syslinux.efi, U-Boot and petitboot read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netbootd.configfiles import Reader
from netbootd.record.standing import Standing

from .conftest import NODE

LINUX = {"kernel": "images/k", "initrd": ["images/i", "http://192.0.2.9:8080/j"]}
OWN = "/52-54-00-12-34-56"
BOOT = ["DEFAULT netbootd", "PROMPT 0", "LABEL netbootd"]


def lines(site, **asked):
    found = site.lines(Reader.PXELINUX, **asked)
    return [line for line in found if not line.startswith(("SAY ", "MENU "))]


def test_a_kernel_with_its_initrds_and_arguments(site):
    site.boots("nfs/a", {**LINUX, "boot_args": "root=/dev/nfs initrd=initrd.img ip=dhcp"})
    assert lines(site) == [
        *BOOT,
        f"KERNEL {OWN}/images/k",
        f"INITRD {OWN}/images/i,http://192.0.2.9:8080/j",
        "APPEND root=/dev/nfs ip=dhcp",
    ]


def test_words_of_the_command_line_pass_as_they_are(site):
    args = 'dyndbg="file a +p" x=\'$y; # -- z'
    site.boots("linux/a", {"kernel": "k", "boot_args": "a " + args.replace("#", "h#")})
    assert lines(site)[-1] == "APPEND a " + args.replace("#", "h#")


@pytest.mark.parametrize("name", ["vmlinuz-5.0", "boot/linux.bin", "x.IMG"])
def test_a_kernel_that_is_called_like_another_program_is_told(site, name):
    site.boots("linux/a", {"kernel": name})
    assert lines(site)[3:] == [f"LINUX {OWN}/{name}"]


def test_names_with_percent_signs_are_decoded_for_tftp_alone(site):
    site.boots("linux/a", {"kernel": "a%2Bb", "initrd": "http://192.0.2.9/a%2Bb"})
    assert lines(site)[3:] == [f"KERNEL {OWN}/a+b", "INITRD http://192.0.2.9/a%2Bb"]


def test_a_name_with_a_blank_cannot_be_said(site):
    site.boots("linux/a", {"kernel": "a%20b"})
    answer = site.answer(Reader.PXELINUX)
    assert answer.status == 500
    assert "has a blank" in answer.text
    assert "KERNEL" not in answer.text


@pytest.mark.parametrize(
    ("key", "line"), [("fdt", "FDT"), ("fdtdir", "FDTDIR")], ids=["file", "folder"]
)
def test_the_device_tree_is_named_where_the_machine_names_it(site, key, line):
    site.boots("linux/a", {"kernel": "k"}, {key: "dtbs/x"})
    assert lines(site)[3:] == [f"KERNEL {OWN}/k", f"{line} {OWN}/dtbs/x"]


def test_memdisk(site):
    site.boots("biosupdate/u", {"initrd": "x.iso"})
    assert lines(site)[3:] == [f"KERNEL {OWN}/memdisk", f"INITRD {OWN}/x.iso", "APPEND iso raw"]


def test_the_disk(site):
    site.boots("localboot/disk", {})
    assert lines(site) == ["DEFAULT disk", "PROMPT 0", "LABEL disk", "LOCALBOOT 0"]
    site.boots("localboot/disk", {"bios": "exit"})
    assert lines(site)[-1] == "LOCALBOOT -1"
    site.boots("localboot/disk", {"bios": "grub.0"})
    assert site.answer(Reader.PXELINUX).status == 500


def test_a_menu_asks_again_for_what_was_chosen(site):
    choices = [{"target": "nfs/a", "label": "one\nLABEL x", "key": "a"}, "localboot"]
    site.boots("menu/m", {"choices": choices, "default": "localboot", "timeout": 7}, nfs__a=LINUX)
    own = f"{OWN}/pxelinux.cfg/01-52-54-00-12-34-56"
    assert lines(site) == [
        *("DEFAULT 2", "PROMPT 1", "TIMEOUT 70"),
        *("LABEL a", f"CONFIG {own}.choice-1"),
        *("LABEL 2", f"CONFIG {own}.choice-2"),
    ]
    assert "MENU LABEL one LABEL x" in site.lines(Reader.PXELINUX)
    assert site.answer(Reader.PXELINUX, choice="1").boots


def test_a_held_machine_is_told_and_goes_on(site):
    site.boots("nfs/a", LINUX)
    answer = site.answer(Reader.PXELINUX, standing=Standing(held="x\nDEFAULT y"))
    assert f"SAY netbootd: {NODE} is held: x DEFAULT y" in answer.text.splitlines()
    assert "LOCALBOOT -1" in answer.text
    assert "TIMEOUT 300" in answer.text
    assert "KERNEL" not in answer.text


@settings(max_examples=60, deadline=None)
@given(value=st.text(min_size=1, max_size=40))
def test_no_value_of_the_configuration_starts_a_line_of_its_own(tmp_path_factory, value):
    from .conftest import Site

    site = Site(tmp_path_factory.mktemp("site"))
    keys = {"kernel": "k", "boot_args": f"a={value} h=__hostname__"}
    json.dumps(value)
    site.boots("linux/a", keys, {"hostname": value, "fdt": value, "config_txt": value})
    for reader, allowed in (
        (Reader.PXELINUX, {"#", "SAY", "DEFAULT", "PROMPT", "LABEL", "MENU", "KERNEL", "LINUX",
                           "APPEND", "FDT", "TIMEOUT", "LOCALBOOT", "CONFIG"}),
        (Reader.GRUB, {"#", "set", "echo", "linux", "boot", "if", "fi", "sleep", "exit",
                       "configfile"}),
    ):  # fmt: skip
        text = site.answer(reader).text
        assert {line.split()[0] for line in text.splitlines() if line.strip()} <= allowed, text
        assert not set("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029") & set(text)
    assert len(site.answer(Reader.PI, name="cmdline.txt").text.splitlines()) <= 1
