"""``wimboot``: the files of Windows PE, by both names."""

from __future__ import annotations

import pytest

from .conftest import END, NODE, OWN


def initrd(name, url):
    return f"initrd --name {name} {url} {name}"


def test_a_medium_is_all_it_needs(site):
    site.put("wimboot", "pe/boot/bcd", "pe/boot/boot.sdi", "pe/sources/boot.wim")
    assert site.one("wimboot/a", {"tree": "pe/", "boot_args": "gui"}) == [
        f"kernel --name wimboot {OWN}/wimboot gui",
        initrd("BCD", f"{OWN}/pe/boot/bcd"),
        initrd("boot.sdi", f"{OWN}/pe/boot/boot.sdi"),
        initrd("boot.wim", f"{OWN}/pe/sources/boot.wim"),
        "boot",
        *END,
    ]
    assert site.codes() == set()
    assert site.told("file-missing") == []


def test_files_are_added_and_replaced_and_served_as_the_machine_sees_them(site):
    site.put("install/pe/unattend.xml.j2", "other.wim")
    files = {"unattend.xml": "install/pe/unattend.xml", "boot.wim": "other.wim"}
    assert site.one("wimboot/a", {"tree": "http://192.0.2.8/pe", "files": files})[1:5] == [
        initrd("BCD", "http://192.0.2.8/pe/boot/bcd"),
        initrd("boot.sdi", "http://192.0.2.8/pe/boot/boot.sdi"),
        initrd("unattend.xml", f"{OWN}/install/{NODE.dashed}/pe/unattend.xml"),
        initrd("boot.wim", f"{OWN}/{NODE.dashed}/other.wim"),
    ]


def test_the_generic_form_keeps_its_order(site):
    keys = {"kernel": "wb", "initrd": ["w/bcd", "w/boot.wim"], "boot_args": "pause"}
    assert site.one("wimboot/a", keys)[:3] == [
        f"kernel --name wimboot {OWN}/wb pause",
        initrd("bcd", f"{OWN}/w/bcd"),
        initrd("boot.wim", f"{OWN}/w/boot.wim"),
    ]


@pytest.mark.parametrize("keys", [{}, {"files": {"a/b": "x"}}, {"files": {"a": "x y"}}])
def test_what_cannot_work_is_told(site, keys):
    site.load({"wimboot/a": keys})
    assert site.codes() & {"target-empty", "url-invalid"}
    assert site.answer().status == 500
