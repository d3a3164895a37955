"""``signed``: nothing is booted without a good signature, and nothing where nobody can look."""

from __future__ import annotations

import os

import pytest

from netbootd.check import check
from netbootd.configfiles import Reader
from netbootd.dialects.catalogue import dialect_of
from netbootd.dialects.dialect import TFTP, Unfit, Way
from netbootd.registry.facts import for_a_look
from tests import binaries
from tests.targets.conftest import NODE

KEYS = {"kernel": "k", "initrd": ["i", "http://192.0.2.8/j"], "signed": True}
OWN = "http://192.0.2.1:3000"


def lines(site):
    return [line for line in site.text().splitlines() if line.startswith(("img", "boot", ":"))]


def test_each_file_is_verified_before_anything_is_booted(site):
    site.put("k", "i")
    site.load({"linux/a": KEYS})
    assert lines(site) == [
        "imgtrust || goto unverified",
        f"imgverify kernel {OWN}/k.sig || goto unverified",
        f"imgverify initrd {OWN}/i.sig || goto unverified",
        "imgverify initrd2 http://192.0.2.8/j.sig || goto unverified",
        "boot || goto failed",
        ":failed",
        ":unverified",
    ]


@pytest.mark.parametrize("title", ["linux/a", "nfs/a", "install/a", "ramroot/a", "memdisk/a"])
def test_every_type_with_a_kernel_knows_it(site, title):
    site.put("k", "i")
    more = {"root": "192.0.2.1:/r"} if title == "nfs/a" else {}
    site.load({title: {"kernel": "k", "initrd": "i", "signed": "Our-CA", **more}})
    assert [line.split()[:3] for line in lines(site)][1:3] == [
        ["imgverify", "--signer", "Our-CA"]
    ] * 2


def test_files_of_windows_are_verified_by_the_names_they_get(site):
    site.put("wimboot", "w/boot/bcd", "w/boot/boot.sdi", "w/sources/boot.wim")
    site.load({"wimboot/a": {"tree": "w", "signed": True}})
    names = [line.split()[1] for line in lines(site) if line.startswith("imgverify")]
    assert names == ["wimboot", "BCD", "boot.sdi", "boot.wim"]


def test_without_it_there_is_not_a_word_of_it(site):
    site.put("k", "i")
    for signed in ({}, {"signed": False}):
        site.load({"linux/a": {"kernel": "k", "initrd": "i", **signed}})
        assert lines(site) == ["boot || goto failed", ":failed"]
        assert "\n\n" not in site.text()


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("chain/a", {"bios": "http://192.0.2.8/x"}),
        ("sanboot/a", {"sanboot": "http://192.0.2.8/x.iso"}),
        ("localboot/a", {}),
    ],
)
def test_a_type_that_cannot_look_boots_nothing(site, title, keys):
    site.load({title: {**keys, "signed": True}})
    assert '"signed" is for targets that boot a kernel' in _refusal(site, "signed-invalid")
    assert "cannot boot" in site.text()


@pytest.mark.parametrize("value", [1, "two words", "", ["a"], "${ip}", "a||b"])
def test_a_value_that_means_nothing_boots_nothing(site, value):
    site.put("k")
    site.load({"linux/a": {"kernel": "k", "signed": value}})
    assert "must be true, false, or the common name" in _refusal(site, "signed-invalid")
    assert "kernel " not in site.text()


def _refusal(site, code):
    return next(one.text for one in site.registry.findings if one.code == code)


def test_a_template_of_the_admins_that_does_not_look_boots_nothing(site):
    site.put("k")
    (site.folder / "linux.ipxe").write_text("#!ipxe\nkernel {{ kernel.url }}\nboot\n")
    site.load({"linux/a": {"kernel": "k", "signed": True}})
    assert site.answer().status == 500
    assert "its template does not include verify.ipxe" in site.answer().detail
    assert "kernel " not in site.text()


def test_an_overlay_nobody_can_have_signed_boots_nothing(site):
    site.put("k", "i")
    site.load({"linux/a": {"kernel": "k", "initrd": "i", "signed": True, "overlay": True}})
    assert site.answer().status == 500
    assert "overlay is made for it alone" in site.answer().detail
    assert "kernel " not in site.text()


@pytest.mark.parametrize("reader", [Reader.GRUB, Reader.PXELINUX])
def test_other_loaders_that_do_not_look_boot_nothing(site, reader):
    site.put("k", "i")
    registry = site.load({"linux/a": KEYS})
    machine = registry.machines[NODE]
    way = Way(TFTP, "192.0.2.1")
    said = dialect_of(reader, "", way, registry.dialects).script(
        machine.target, for_a_look(machine, registry)
    )
    assert isinstance(said, Unfit)
    assert "only iPXE looks" in said.reason


# -- check -----------------------------------------------------------------------------------------


def told(site, *codes):
    found = check(site.file).findings
    return {one.code: one.text for one in found if one.code in codes}


def test_check_tells_of_a_signature_that_is_missing_or_older_than_its_file(site):
    of_files = ("signature-missing", "signature-old")
    site.put("k", "i", "k.sig")
    site.load({"linux/a": KEYS})
    assert told(site, *of_files) == {
        "signature-missing": f"linux/a: there is no {site.root}/i.sig, and it must be signed"
        " (and 1 other machine)"
    }
    site.put("i.sig")
    assert told(site, *of_files) == {}
    os.utime(site.root / "k.sig", (1, 1))
    assert told(site, *of_files) == {
        "signature-old": f"linux/a: {site.root}/k is newer than its signature: sign it again"
        " (and 1 other machine)"
    }


@pytest.mark.parametrize(
    ("commands", "blind"), [(b"ifstat\0", True), (b"ifstat\0imgverify\0", False)]
)
def test_check_tells_of_an_ipxe_that_cannot_look(site, commands, blind):
    site.put("k", "i", "k.sig", "i.sig")
    firmware = site.folder / "firmware"
    firmware.mkdir()
    (firmware / "snponly.efi").write_bytes(binaries.pe(inside=b"\0iPXE/%s\x001.21\0" + commands))
    site.load({"linux/a": KEYS}, netbootd={"files": str(site.root), "firmware": [str(firmware)]})
    assert bool(told(site, "ipxe-imgverify")) is blind
