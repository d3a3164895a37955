"""
Machines that are no 64-bit PCs boot through netbootd: UEFI on ARM and on 32-bit PCs, and U-Boot.

As in test_firmware.py the console tells the end and the capture of the cable the road.  The
processors are emulated; times out at eight times what an idle machine with two cores takes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end import foreign, machines
from tests.end_to_end.cache import Part
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, HTTP
from tests.end_to_end.node import Node
from tests.end_to_end.packets import Packets
from tests.end_to_end.test_firmware import (
    arguments,
    assert_proxied,
    finish,
    first_discover,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "52:54:00:12:34:56"
SCRIPT = f"/boot/{NODE}"
IPXE_IA32 = "snponly-i386.efi"
KERNEL, INITRD = "images/foreign/vmlinuz", "images/foreign/initrd.gz"

BOOT_S = 180


def boots(site: Site, linux: Part, console: str, mac: str = NODE) -> None:
    """The machine *mac* is to boot *linux*, which talks on *console*."""
    site.put(KERNEL, linux.folder / "vmlinuz")
    site.put(INITRD, linux.folder / "initrd.gz")
    site.target(
        *("linux", "foreign"),
        kernel=KERNEL,
        initrd=INITRD,
        boot_args=f"console={console} quiet netbootd.word=foreign",
    )
    site.machine(mac, "linux", "foreign")
    site.config["netbootd"]["firmware"] += [str(foreign.IPXE.folder), str(foreign.GRUB.folder)]


def assert_linux_by_http(packets: Packets) -> None:
    """Script, kernel and initrd came from us by HTTP; a newer iPXE tells us more of itself."""
    wanted = [SCRIPT, f"/{KERNEL}", f"/{INITRD}"]
    paths = [path.partition("?")[0] for path in packets.paths()]
    assert [path for path in paths if path in wanted] == wanted
    assert {request.dst for request in packets.http} == {BOOT_SERVER}


@pytest.mark.ci
def test_arm64_machine_boots_by_pxe(site: Site) -> None:
    site.lab.dhcp()
    boots(site, foreign.ARM64, "ttyAMA0")
    site.serve()

    with site.lab.uefi_arm64(NODE) as node:
        assert "netbootd.word=foreign" in arguments(node, BOOT_S)
        packets = finish(node)

    assert first_discover(packets).arch == 11
    assert_proxied(packets)
    assert packets.loaded("ipxe-arm64.efi")
    assert_linux_by_http(packets)


def test_arm64_machine_boots_by_http_alone(site: Site) -> None:
    site.lab.dhcp()
    boots(site, foreign.ARM64, "ttyAMA0")
    site.serve()

    with site.lab.uefi_arm64(NODE, http_boot=True) as node:
        assert "netbootd.word=foreign" in arguments(node, BOOT_S)
        packets = finish(node)

    assert first_discover(packets).arch == 19
    assert_proxied(packets)
    offer = packets.offers(BOOT_SERVER)[0]
    assert offer.options[60].startswith(b"HTTPClient")
    assert offer.boot_file.startswith(f"http://{HTTP}/")
    assert not packets.tftp
    assert_linux_by_http(packets)


@pytest.mark.ci
def test_32_bit_uefi_machine_boots_by_grub(site: Site) -> None:
    """Debian has GRUB for it, and no iPXE."""
    site.lab.dhcp()
    boots(site, foreign.I386, "ttyS0")
    site.machine(NODE, "linux", "foreign", loader="grub")
    site.serve()

    with site.lab.uefi_ia32(NODE) as node:
        assert "netbootd.word=foreign" in arguments(node, BOOT_S)
        packets = finish(node)

    assert first_discover(packets).arch == 6
    assert_proxied(packets)
    assert packets.loaded("grubia32.efi")
    assert packets.loaded("grub.cfg")


def with_ipxe_for_32_bits(site: Site) -> None:
    """``firmware/build-ipxe`` makes it, where Debian's source packages can be had."""
    for folder in (foreign.BUILT, Path("/usr/local/lib/netbootd/firmware")):
        if (folder / IPXE_IA32).exists():
            site.config["netbootd"]["firmware"].append(str(folder))
            return
    pytest.skip(f"no {IPXE_IA32}: no package of Debian has it, firmware/build-ipxe makes it")


def test_32_bit_uefi_machine_boots_by_ipxe(site: Site) -> None:
    site.lab.dhcp()
    boots(site, foreign.I386, "ttyS0")
    with_ipxe_for_32_bits(site)
    site.serve()

    with site.lab.uefi_ia32(NODE) as node:
        assert "netbootd.word=foreign" in arguments(node, BOOT_S)
        packets = finish(node)

    assert first_discover(packets).arch == 6
    assert_proxied(packets)
    assert packets.loaded(IPXE_IA32)
    assert_linux_by_http(packets)


def test_32_bit_uefi_machine_boots_by_http_alone(site: Site) -> None:
    site.lab.dhcp()
    boots(site, foreign.I386, "ttyS0")
    with_ipxe_for_32_bits(site)
    site.serve()

    with site.lab.uefi_ia32(NODE, http_boot=True) as node:
        assert "netbootd.word=foreign" in arguments(node, BOOT_S)
        packets = finish(node)

    assert first_discover(packets).arch == 15
    assert_proxied(packets)
    assert not packets.tftp
    assert_linux_by_http(packets)


# --- U-Boot ------------------------------------------------------------------------------------
#
# It takes its server from the site's DHCP alone (net/bootp.c there): that one names ours.


def at_prompt(node: Node, *lines: str) -> None:
    """Stop U-Boot before it boots by itself, and type *lines*."""
    node.wait_for("Hit any key to stop autoboot", BOOT_S)
    node.type("")
    seen = 0
    for line in lines:
        seen = node.wait_for("=> $", BOOT_S, after=seen).end()
        node.type(line)


def assert_linux_by_pxelinux_cfg(packets: Packets, mac: str) -> None:
    """The file of its MAC was the first that it asked for, and named the rest."""
    first, *rest = [move.file.rpartition("/")[2] for move in packets.tftp if move.blocks]
    assert first == f"01-{mac.replace(':', '-')}"
    assert sorted(rest) == ["initrd.gz", "vmlinuz"]
    assert not [move for move in packets.tftp if move.error]


@pytest.mark.ci
def test_u_boot_boots_by_its_pxe_command(site: Site) -> None:
    """U-Boot of 2023 (Debian 12); its driver repeats the first byte of the card's address."""
    mac = "52:52:52:52:52:52"
    site.lab.dhcp(f"--dhcp-boot=,boot,{BOOT_SERVER}")
    boots(site, foreign.ARM64, "ttyAMA0", mac)
    site.serve()

    with site.lab.power_on(machines.U_BOOT_ARM64, mac) as node:
        at_prompt(node, "setenv autoload no", "dhcp", "pxe get", "pxe boot")
        assert "netbootd.word=foreign" in arguments(node, BOOT_S)
        packets = finish(node)

    assert first_discover(packets).options[60].startswith(b"U-Boot")
    assert_linux_by_pxelinux_cfg(packets, mac)


def test_u_boot_with_standard_boot_boots_by_its_pxe_method(site: Site) -> None:
    """U-Boot of 2025 (Debian 13), which looks for boot methods itself."""
    site.lab.dhcp(f"--dhcp-boot=,boot,{BOOT_SERVER}")
    boots(site, foreign.ARM64, "ttyAMA0")
    site.serve()

    machine = machines.U_BOOT_ARM64.with_bios(foreign.U_BOOT.folder / "qemu_arm64" / "u-boot.bin")
    with site.lab.power_on(machine, NODE) as node:
        # As built it looks for programs of EFI only.
        at_prompt(node, "setenv boot_targets pxe", "boot")
        assert "netbootd.word=foreign" in arguments(node, BOOT_S)
        packets = finish(node)

    assert_linux_by_pxelinux_cfg(packets, NODE)


def test_u_boot_starts_ipxe_as_a_program_of_efi(site: Site) -> None:
    """
    What it does when nobody is at its console, and how far that leads.

    iPXE halts the processor until the next interrupt while it waits, and U-Boot has no interrupts:
    it stays at its first pause (https://github.com/ipxe/ipxe/issues/1510).
    """
    mac = "52:52:52:52:52:52"
    site.lab.dhcp(f"--dhcp-boot=ipxe-arm64.efi,boot,{BOOT_SERVER}")
    boots(site, foreign.ARM64, "ttyAMA0", mac)
    site.serve()

    with site.lab.power_on(machines.U_BOOT_ARM64, mac) as node:
        node.wait_for("iPXE initialising devices", BOOT_S)
        packets = node.packets()

    assert [move.error for move in packets.tftp if move.file == "boot.scr.uimg"] == [
        "file not found"
    ]
    assert packets.loaded("ipxe-arm64.efi")
    assert not packets.asked_4011(), "it says PXEClient, and asks no boot server"
