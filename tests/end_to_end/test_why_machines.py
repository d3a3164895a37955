"""
Real firmware and real loaders that do not boot: what they do then is what ``why`` must understand.

Times out at six to eight times what an idle machine with two cores takes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from netbootd.boots.boot import Boot, Code, Stage
from tests.end_to_end.asking import Asker, assert_first, both, noted, reached
from tests.end_to_end.conftest import Site
from tests.end_to_end.test_why_firmware import NODE, nft

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FIRMWARE_S = 150
HUGE = 900 << 20


def after_its_loader(boots: list[Boot]) -> bool:
    """The firmware has its loader whole, and has asked again since."""
    for boot in boots:
        loader, discover = boot.step(Stage.LOADER), boot.step(Stage.DISCOVER)
        whole = loader is not None and not loader.open and loader.sent == loader.size > 0
        if whole and (boot is not boots[0] or (discover and discover.until > loader.until)):
            return True
    return False


def own_firmware(site: Site) -> Path:
    """A folder of boot programs that goes before Debian's."""
    folder = site.lab.folder / "fw"
    folder.mkdir()
    site.config["netbootd"]["firmware"].insert(0, str(folder))
    return folder


@pytest.mark.ci
def test_secure_boot_refuses_an_unsigned_loader(site: Site) -> None:
    """OVMF with Microsoft's keys, and Debian's iPXE, which nobody signed."""
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    site.serve()
    with site.lab.uefi(NODE, secure=True):
        diagnosis = Asker(site).why(NODE, after_its_loader, patience=FIRMWARE_S)
    assert_first(diagnosis, "secure-boot")


def test_a_loader_of_32_bits_on_firmware_of_64(site: Site) -> None:
    site.lab.dhcp()
    ia32 = Path(__file__).parents[2] / ".cache" / "grub-foreign" / "grubia32.efi"
    if not ia32.exists():
        pytest.skip("no 32-bit loader in .cache: run tools/setup.sh test")
    shutil.copy(ia32, own_firmware(site) / "other.efi")
    site.machine(NODE, "linux", "one", loader={"efi-x64": "other.efi"})
    site.serve()
    with site.lab.uefi(NODE):
        diagnosis = Asker(site).why(NODE, after_its_loader, patience=FIRMWARE_S)
    assert_first(diagnosis, "wrong-loader")


def test_a_legacy_rom_follows_the_dhcp_servers_own_file(site: Site) -> None:
    """
    Options 66 and 67 of somebody else: the ROM asks there, and not us.

    It is iPXE's code without its name, which sets no broadcast flag as ROMs do: so its DHCP server
    answers by broadcast anyhow.
    """
    site.lab.dhcp("--dhcp-boot=pxelinux.0,lan,192.0.2.1", "--dhcp-broadcast")
    site.machine(NODE, "linux", "one")
    site.serve()
    with site.lab.plain_bios(NODE):
        until = both(noted(Code.OVERHEARD), noted(Code.REQUESTED))
        diagnosis = Asker(site).why(NODE, until, patience=FIRMWARE_S)
    assert_first(diagnosis, "foreign-boot-file")


def test_uefi_behind_a_switch_that_drops_our_offers(site: Site) -> None:
    """What EDK2 does without a word of a boot file: it asks again, and takes no address."""
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    nft(site, "switch", 'iifname "eth0-boot" udp sport 67', family="bridge", hook="forward")
    site.serve()

    def again(boots: list[Boot]) -> bool:
        step = boots[0].step(Stage.DISCOVER) if boots else None
        return step is not None and step.times >= 2

    with site.lab.uefi(NODE):
        diagnosis = Asker(site).why(NODE, again, patience=FIRMWARE_S)
    assert_first(diagnosis, "offers-dropped")


def test_uefi_that_cannot_reach_port_4011(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one", reply_style="boot-server")
    nft(site, "boot", "udp dport 4011")
    site.serve()
    with site.lab.uefi(NODE):
        diagnosis = Asker(site).why(NODE, noted(Code.REQUESTED), patience=FIRMWARE_S)
    assert_first(diagnosis, "port-4011-blocked")


def test_ipxe_that_has_no_room_for_its_initrd(site: Site) -> None:
    """A machine of 256 MiB, and an initrd of more than that: it falls silent, and says nothing."""
    site.lab.dhcp()
    initrd = Path(site.config["netbootd"]["files"]) / "images" / "initrd.gz"
    os.truncate(initrd, HUGE)
    site.machine(NODE, "linux", "one")
    site.serve()
    with site.lab.bios(NODE):
        diagnosis = Asker(site).why(NODE, reached(Stage.INITRD), patience=FIRMWARE_S)
    assert_first(diagnosis, "initrd-too-large")


def test_ipxe_takes_any_text_for_a_kernel(site: Site) -> None:
    """A page of a mirror's in the kernel's place: iPXE for BIOS starts it, as it would an NBP."""
    site.lab.dhcp()
    site.put("images/vmlinuz", b"<html>there was a kernel here</html>\n" * 1000)
    site.machine(NODE, "linux", "one")
    site.serve()
    with site.lab.bios(NODE) as node:
        node.wait_for(r"initrd.gz\.* ok", FIRMWARE_S)
        diagnosis = Asker(site).why(NODE, reached(Stage.INITRD))
    assert_first(diagnosis, "kernel-unfit")


def test_linux_without_a_driver_for_its_card_is_not_heard_of_again(site: Site) -> None:
    """The guest's kernel and an initrd that has nothing in it; its panic is on the console alone."""
    site.lab.dhcp()
    site.put("images/initrd.gz", b"")
    (Path(site.config["netbootd"]["files"]) / "images" / "initrd.gz").write_bytes(empty_cpio())
    site.machine(NODE, "linux", "one")
    site.serve()
    with site.lab.bios(NODE) as node:
        node.wait_for("Kernel panic", FIRMWARE_S)
        diagnosis = Asker(site).why(NODE, reached(Stage.INITRD))
    assert diagnosis.causes[0].code in ("kernel-silent", "kernel-died")
    assert_first(diagnosis, diagnosis.causes[0].code)


def empty_cpio() -> bytes:
    """An archive without a file (cpio(5))."""
    name = b"TRAILER!!!\0"
    fields = (0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(name), 0)
    return (b"070701" + b"".join(b"%08X" % one for one in fields) + name).ljust(512, b"\0")
