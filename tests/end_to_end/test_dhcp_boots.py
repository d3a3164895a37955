"""
Real firmware boots where netbootd is the only server on the wire: addresses come from us as well.

As in test_firmware.py the console tells the end and the capture of the cable the road.  Nothing
here announces IPv6, so that each stage of iPXE waits 15 seconds for a router.
"""

from __future__ import annotations

import pytest

from tests.end_to_end import dhcp_sites, foreign, guest, machines
from tests.end_to_end.conftest import Site
from tests.end_to_end.dhcp_sites import ROUTER
from tests.end_to_end.lab import BOOT_SERVER, HTTP
from tests.end_to_end.node import Node
from tests.end_to_end.packets import Packets
from tests.end_to_end.test_architectures import (
    assert_linux_by_pxelinux_cfg,
    at_prompt,
    boots,
)
from tests.end_to_end.test_firmware import (
    IPXE_ROM_S,
    LINUX_S,
    NODE,
    PLAIN_BIOS_S,
    STRANGER,
    UEFI_S,
    arguments,
    assert_linux_by_http,
    finish,
    first_discover,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ADDRESS = "192.0.2.50"
#: Seconds more for the routers of IPv6 that do not answer.
IPXE_S = 60


def reserve(site: Site, mac: str = NODE) -> None:
    """The machine *mac* boots Linux, and has ADDRESS."""
    site.machine(mac, "linux", "one", ip=ADDRESS, hostname="node7")
    dhcp_sites.serve(site, router=ROUTER, dns=["192.0.2.53"], domain="example.org")


def run(node: Node, timeout: float) -> tuple[str, Packets]:
    """Boot *node* to its end: the address that the running system got, and what was on its cable."""
    assert "netbootd.word=one" in arguments(node, timeout + IPXE_S)
    address = node.wait_for(rf"{guest.ADDRESS} (\S+)\s", LINUX_S)[1]
    return address, finish(node)


def assert_one_address(packets: Packets, address: str) -> None:
    """All that was given is *address*, by us; and the machine used no other."""
    given = [packet for packet in packets.dhcp if packet.type in ("offer", "ack")]
    assert {(packet.src, packet.yiaddr) for packet in given} == {(BOOT_SERVER, address)}
    assert "nak" not in {packet.type for packet in packets.dhcp}
    assert {move.src for move in packets.tftp} <= {address}
    assert {request.src for request in packets.http} <= {address}


def assert_plain(packets: Packets) -> None:
    """An offer to firmware names the file as any DHCP server does: no proxy, no boot menu."""
    offer = packets.offers(BOOT_SERVER)[0]
    assert offer.boot_file
    assert offer.siaddr == BOOT_SERVER
    assert not {43, 60} & set(offer.options)
    assert not packets.asked_4011()


@pytest.mark.ci
def test_uefi_machine_boots_linux_with_one_address_from_firmware_to_system(site: Site) -> None:
    reserve(site)

    with site.lab.uefi(NODE) as node:
        address, packets = run(node, UEFI_S)

    assert address == ADDRESS
    assert first_discover(packets).arch == 7
    assert_one_address(packets, ADDRESS)
    assert_plain(packets)
    assert packets.loaded("snponly.efi")
    assert_linux_by_http(packets)


@pytest.mark.ci
def test_bios_machine_boots_linux_with_one_address_from_firmware_to_system(site: Site) -> None:
    reserve(site)

    with site.lab.plain_bios(NODE) as node:
        address, packets = run(node, PLAIN_BIOS_S)

    assert address == ADDRESS
    assert first_discover(packets).arch == 0
    assert_one_address(packets, ADDRESS)
    assert_plain(packets)
    assert packets.loaded("undionly.kpxe")
    assert_linux_by_http(packets)


def test_machine_with_an_ipxe_rom_gets_its_script_with_its_address(site: Site) -> None:
    reserve(site)

    with site.lab.bios(NODE) as node:
        address, packets = run(node, IPXE_ROM_S)

    assert address == ADDRESS
    assert first_discover(packets).user_class == b"iPXE"
    assert_one_address(packets, ADDRESS)
    assert not packets.tftp
    assert_linux_by_http(packets)


def test_machine_that_is_not_listed_keeps_one_address_of_the_pool(site: Site) -> None:
    site.machine("default", "linux", "one")
    dhcp_sites.serve(site, router=ROUTER)

    with site.lab.uefi(STRANGER) as node:
        address, packets = run(node, UEFI_S)

    assert address.startswith("192.0.2.1")
    assert_one_address(packets, address)


def test_uefi_machine_boots_by_http_alone(site: Site) -> None:
    reserve(site)

    with site.lab.uefi(NODE, http_boot=True) as node:
        address, packets = run(node, UEFI_S)

    assert address == ADDRESS
    assert first_discover(packets).arch == 16
    assert_one_address(packets, ADDRESS)
    offer = packets.offers(BOOT_SERVER)[0]
    assert offer.options[60].startswith(b"HTTPClient")
    assert offer.boot_file.startswith(f"http://{HTTP}/")
    assert not packets.tftp
    assert_linux_by_http(packets)


def foreign_boot(site: Site, node: Node) -> Packets:
    """A machine whose Linux is no PC's, to its end."""
    assert "netbootd.word=foreign" in arguments(node, 240)
    address = node.wait_for(rf"{guest.ADDRESS} (\S+)\s", LINUX_S)[1]
    packets = finish(node)
    assert address.startswith("192.0.2.1")
    assert_one_address(packets, address)
    return packets


def test_arm64_machine_boots_linux(site: Site) -> None:
    boots(site, foreign.ARM64, "ttyAMA0")
    dhcp_sites.serve(site, router=ROUTER)

    with site.lab.uefi_arm64(NODE) as node:
        packets = foreign_boot(site, node)

    assert first_discover(packets).arch == 11
    assert_plain(packets)


def test_u_boot_boots_linux_by_its_pxe_command(site: Site) -> None:
    """U-Boot of 2023; its driver repeats the first byte of the card's address."""
    mac = "52:52:52:52:52:52"
    boots(site, foreign.ARM64, "ttyAMA0", mac)
    dhcp_sites.serve(site, router=ROUTER)

    with site.lab.power_on(machines.U_BOOT_ARM64, mac) as node:
        at_prompt(node, "setenv autoload no", "dhcp", "pxe get", "pxe boot")
        packets = foreign_boot(site, node)

    assert first_discover(packets).options[60].startswith(b"U-Boot")
    assert_linux_by_pxelinux_cfg(packets, mac)


def test_bios_machine_that_may_not_boot_still_gets_its_address(site: Site) -> None:
    """As from any DHCP server; and its firmware goes on to the next device."""
    site.machine(STRANGER, "linux", "one")
    dhcp_sites.serve(site, router=ROUTER)

    with site.lab.bios(NODE) as node:
        node.wait_for("Nothing to boot|No bootable device", IPXE_ROM_S + IPXE_S)
        packets = node.packets()

    acks = [packet for packet in packets.dhcp if packet.type == "ack"]
    assert acks
    assert not [packet.boot_file for packet in acks if packet.boot_file]
