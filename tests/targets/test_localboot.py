"""``localboot``: how each firmware starts the disk."""

from __future__ import annotations

import pytest

from .conftest import OWN

GUARD = "iseq ${platform} efi && goto efi"
BIOS = "sanboot --no-describe --drive 0x80"


def test_by_itself_bios_starts_the_first_disk_and_uefi_goes_on(site):
    assert site.one("localboot/a", {}) == ["iseq ${platform} efi && exit 1", BIOS]
    assert site.codes() == set()


@pytest.mark.parametrize(
    ("efi", "command"),
    [
        ("sanboot", "sanboot --no-describe --drive 0"),
        (r"\EFI\debian\grubx64.efi", r"sanboot --no-describe --drive 0 --filename \EFI\debian\grubx64.efi"),
        ("grub/search.efi", f"chain --autofree {OWN}/grub/search.efi"),
        ("http://192.0.2.8/grub.efi", "chain --autofree http://192.0.2.8/grub.efi"),
        ("file://ESP/EFI/debian/grubx64.efi", "chain --autofree file://ESP/EFI/debian/grubx64.efi"),
    ],
)  # fmt: skip
def test_uefi_may_go_another_way(site, efi, command):
    assert site.one("localboot/a", {"efi": efi}) == [GUARD, BIOS, ":efi", command]
    assert site.codes() == set()


@pytest.mark.parametrize(
    ("bios", "command"),
    [("exit", "exit 1"), ("grub.lkrn", f"chain --autofree {OWN}/grub.lkrn")],
)
def test_bios_may_go_another_way(site, bios, command):
    assert site.one("localboot/a", {"bios": bios}) == ["iseq ${platform} efi && exit 1", command]


def test_every_way_ends_in_the_firmware_if_it_fails(site):
    site.one("localboot/a", {"efi": "sanboot", "bios": "x.lkrn"})
    commands = [line for line in site.text().splitlines() if line.startswith(("sanboot", "chain"))]
    assert len(commands) == 2
    assert all(line.endswith("|| exit 1") for line in commands)


@pytest.mark.parametrize("bios", [r"\EFI\x.efi", "ftp:", "a b"])
def test_what_bios_cannot_do_is_told(site, bios):
    site.load({"localboot/a": {"bios": bios}})
    assert site.codes() & {"value-unknown", "url-invalid"}
    assert site.answer().status == 500


def test_a_kernel_makes_it_generic(site):
    lines = site.one("localboot/a", {"kernel": "k", "efi": "sanboot"})
    assert lines[0] == f"kernel --name kernel {OWN}/k"
    assert site.codes() == {"target-unused-key"}
