"""
Real firmware boots through netbootd: SeaBIOS and OVMF, iPXE as a ROM and as our loader, Linux.

A line on the console does not say by which road the machine came there: one that still gives
itself away as iPXE boots without any loader.  So each test asks the console for the end and the
capture of the cable for the road.

Times out at eight times what an idle machine with two cores takes (in seconds, TCG: iPXE ROM 7,
UEFI and plain PXE 17).  On a machine busy with other work half of that was seen.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from netbootd.boots.boot import Outcome, Stage
from tests.end_to_end import guest, told
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, HTTP, LAN_SERVER
from tests.end_to_end.node import Node
from tests.end_to_end.packets import Dhcp, Packets

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "52:54:00:12:34:56"
STRANGER = "52:54:00:99:99:99"

KERNEL, INITRD = "/images/vmlinuz", "/images/initrd.gz"
SCRIPT = f"/boot/{NODE}"

UEFI_S = 150
PLAIN_BIOS_S = 150
IPXE_ROM_S = 75
LINUX_S = 60


def arguments(node: Node, timeout: float) -> list[str]:
    """The kernel command line that Linux on *node* found, once it runs."""
    node.wait_for(rf"{guest.UP} mac={node.mac}\s", timeout)
    return node.wait_for(rf"{guest.ARGUMENTS} ([^\n]*)\n", LINUX_S)[1].split()


def finish(node: Node) -> Packets:
    """
    What was on the cable of *node* when Linux there has come to its end.

    However it came there, netbootd must tell of it as one boot.  It hears the system's own DHCP
    where it takes part in DHCP.
    """
    node.wait_for(guest.DONE, LINUX_S)
    packets = node.packets()
    last = Stage.SYSTEM if packets.offers(BOOT_SERVER) else Stage.INITRD
    told.one_boot(node, Stage.SCRIPT, Stage.KERNEL, last)
    return packets


def first_discover(packets: Packets) -> Dhcp:
    """How the firmware introduced itself."""
    return next(packet for packet in packets.dhcp if packet.type == "discover")


def assert_proxied(packets: Packets) -> None:
    """The address came from the LAN's server, everything else from us, and only where wanted."""
    assert packets.offers(BOOT_SERVER), "netbootd made no offer"
    assert {offer.yiaddr for offer in packets.offers(BOOT_SERVER)} == {"0.0.0.0"}
    assert not [offer.boot_file for offer in packets.offers(LAN_SERVER) if offer.boot_file]
    assert not packets.unwanted(BOOT_SERVER), "an ordinary DHCP client was answered"


def assert_linux_by_http(packets: Packets) -> None:
    """Script, kernel and initrd came from us by HTTP, in that order."""
    wanted = [SCRIPT, KERNEL, INITRD]
    assert [path for path in packets.paths() if path in wanted] == wanted
    assert {request.dst for request in packets.http} == {BOOT_SERVER}


@pytest.mark.ci
def test_uefi_machine_boots_linux_through_4011_tftp_and_http(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.uefi(NODE) as node:
        assert "netbootd.word=one" in arguments(node, UEFI_S)
        packets = finish(node)

    assert first_discover(packets).arch == 7
    assert not first_discover(packets).user_class
    assert_proxied(packets)
    assert packets.asked_4011()
    assert packets.loaded("snponly.efi")
    assert_linux_by_http(packets)


@pytest.mark.ci
def test_bios_machine_with_a_plain_rom_boots_linux_through_undionly(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.plain_bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, PLAIN_BIOS_S)
        packets = finish(node)

    assert first_discover(packets).arch == 0
    assert not {77, 175} & set(first_discover(packets).options), "the ROM still says it is iPXE"
    assert_proxied(packets)
    assert packets.loaded("undionly.kpxe")
    assert_linux_by_http(packets)


@pytest.mark.ci
def test_bios_machine_with_an_ipxe_rom_needs_no_loader_and_follows_a_reload(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, IPXE_ROM_S)
        packets = finish(node)
    assert first_discover(packets).user_class == b"iPXE"
    assert_proxied(packets)
    assert not packets.tftp
    assert_linux_by_http(packets)

    site.machine(NODE, "linux", "two")
    site.reload()
    with site.lab.bios(NODE) as node:
        words = arguments(node, IPXE_ROM_S)
    assert "netbootd.word=two" in words
    assert "netbootd.word=one" not in words


@pytest.mark.ci
def test_unknown_machine_follows_the_default(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    site.machine("default", "linux", "two")
    site.serve()

    with site.lab.bios(STRANGER) as node:
        assert "netbootd.word=two" in arguments(node, IPXE_ROM_S)


@pytest.mark.ci
def test_bios_update_runs_its_image_under_memdisk(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "biosupdate", "floppy")
    site.serve()

    with site.lab.bios(NODE) as node:
        node.wait_for(guest.FLOPPY_LINE, IPXE_ROM_S)
        paths = node.packets().paths()
        told.one_boot(node, Stage.KERNEL, Stage.INITRD, outcome=Outcome.DONE)

    assert [path for path in paths if path != SCRIPT] == ["/memdisk", "/biosupdate/floppy.img"]


def test_bios_update_says_under_uefi_that_it_needs_bios_and_goes_on(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "biosupdate", "floppy")
    site.serve()

    with site.lab.uefi(NODE) as node:
        said = node.wait_for("needs legacy BIOS", UEFI_S)
        node.wait_for("BdsDxe: (loading|starting|No bootable)", UEFI_S, after=said.end())
        assert "/memdisk" not in node.packets().paths()


@pytest.mark.ci
def test_bios_machine_told_to_boot_its_disk_does(site: Site, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(guest.disk("DISK-RUNS", 1 << 20))
    site.lab.dhcp()
    site.machine(NODE, "localboot", "disk")
    site.serve()

    with site.lab.bios(NODE, disk=disk) as node:
        node.wait_for("DISK-RUNS", IPXE_ROM_S)
        assert not set(node.packets().paths()) - {SCRIPT}
        told.one_boot(node, Stage.SCRIPT)


def test_uefi_machine_told_to_boot_its_disk_does(site: Site, tmp_path: Path) -> None:
    """The disk's program is an iPXE of its own: the second one that speaks, and not from us."""
    program = tmp_path / "disk" / "EFI" / "BOOT" / "BOOTX64.EFI"
    program.parent.mkdir(parents=True)
    program.write_bytes(Path("/usr/lib/ipxe/ipxe.efi").read_bytes())
    site.lab.dhcp()
    site.machine(NODE, "localboot", "disk")
    site.serve()

    with site.lab.uefi(NODE, disk=tmp_path / "disk") as node:
        # OVMF may try HTTP boot on the same card before, for a minute.
        node.wait_for(r'BdsDxe: starting Boot\d+ "UEFI QEMU HARDDISK', 4 * UEFI_S)
        (boot,) = told.boots(node)
        assert boot["reached"] == Stage.SCRIPT


def test_uefi_machine_whose_ipxe_starts_the_disk_or_goes_back_to_its_firmware_to_do_so(
    site: Site, tmp_path: Path
) -> None:
    """iPXE of 2019 (Debian 12) cannot do it itself; either way the disk's program runs."""
    program = tmp_path / "disk" / "EFI" / "BOOT" / "BOOTX64.EFI"
    program.parent.mkdir(parents=True)
    program.write_bytes(Path("/usr/lib/ipxe/ipxe.efi").read_bytes())
    site.lab.dhcp()
    site.machine(NODE, "localboot", "disk", efi="\\EFI\\BOOT\\BOOTX64.EFI")
    site.serve()

    with site.lab.uefi(NODE, disk=tmp_path / "disk") as node:
        tried = node.wait_for(r"from SAN device 0x00", UEFI_S)
        by_firmware = r'BdsDxe: starting Boot\d+ "UEFI QEMU HARDDISK'
        node.wait_for(rf"{by_firmware}|iPXE initialising", 4 * UEFI_S, after=tried.end())


def test_uefi_machine_boots_by_http_alone(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.uefi(NODE, http_boot=True) as node:
        assert "netbootd.word=one" in arguments(node, UEFI_S)
        packets = finish(node)

    assert first_discover(packets).arch == 16
    assert_proxied(packets)
    offer = packets.offers(BOOT_SERVER)[0]
    assert offer.options[60].startswith(b"HTTPClient")
    assert offer.boot_file.startswith(f"http://{HTTP}/")
    assert not packets.tftp
    assert_linux_by_http(packets)


def test_a_dhcp_server_that_names_undionly_to_everybody_causes_no_loop(site: Site) -> None:
    """Many a site has one.  To iPXE our offer says that it counts more (iPXE's option 175.1)."""
    site.lab.dhcp(f"--dhcp-boot=undionly.kpxe,boot,{BOOT_SERVER}")
    site.machine(NODE, "linux", "one")
    site.serve()

    with site.lab.plain_bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, PLAIN_BIOS_S)
        packets = finish(node)

    assert len(packets.loaded("undionly.kpxe")) == 1
    assert_linux_by_http(packets)


def everybody_gets_undionly(site: Site) -> None:
    """A DHCP server that cannot be changed, and no word of ours about it by DHCP."""
    site.lab.dhcp(f"--dhcp-boot=undionly.ipxe,boot,{BOOT_SERVER}")
    site.machine(NODE, "linux", "one")
    site.config["netbootd"]["proxydhcp"] = False


def test_without_proxydhcp_the_switch_of_tftp_breaks_the_loop(site: Site) -> None:
    everybody_gets_undionly(site)
    site.config["netbootd"]["tftp"] = {"script_for_ipxe": True}
    site.serve()

    with site.lab.plain_bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, PLAIN_BIOS_S)
        packets = finish(node)

    assert SCRIPT not in packets.paths(), "the script came under the loader's name, by TFTP"
    assert [path for path in packets.paths() if path in (KERNEL, INITRD)] == [KERNEL, INITRD]


def test_a_loader_that_loads_itself_is_named_after_three_rounds(site: Site) -> None:
    everybody_gets_undionly(site)
    daemon = site.serve()

    with site.lab.plain_bios(NODE):
        daemon.wait_for("fetched undionly.kpxe 3 times without asking for its script", 240)


def test_a_missing_kernel_is_told_on_the_console(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "lost")
    daemon = site.serve()

    with site.lab.bios(NODE) as node:
        node.wait_for(r"\(https?://ipxe\.org/[0-9a-f]+\)", IPXE_ROM_S)
        node.wait_for("netbootd: linux/lost did not boot", IPXE_ROM_S)
    assert any("not-there" in line for line in daemon.text.splitlines())
