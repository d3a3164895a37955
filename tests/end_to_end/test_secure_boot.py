"""
Machines with Secure Boot on boot through netbootd, as far as their keys let them.

The firmware is OVMF with Microsoft's keys, as machines are sold, and loads Debian's signed shim,
GRUB and kernel; or it trusts one key of our own alone.  Which releases of GRUB find their way
behind a ProxyDHCP is what firmware/secure-boot.rst tells; it is measured here.

Times out at six to eight times what an idle machine with two cores takes.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.end_to_end import guest, secureboot
from tests.end_to_end.cache import Part
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, HTTP
from tests.end_to_end.node import Node
from tests.end_to_end.packets import Packets
from tests.end_to_end.test_firmware import (
    INITRD,
    KERNEL,
    SCRIPT,
    assert_proxied,
    finish,
    first_discover,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "52:54:00:12:34:56"
CONFIGURATION = "/grub/grub.cfg"
NEXT_SERVER = f"--dhcp-boot=shimx64.efi,boot,{BOOT_SERVER}"

BOOT_S = 180
LINUX_S = 90


def made(part: Part) -> Path:
    """The folder of *part*; skips the test if the set-up has not made it."""
    if not part.ready:
        pytest.skip(part.unavailable or f"{part.name} is not in .cache: run tools/setup.sh test")
    return part.folder


def signed(site: Site, suite: str, kernel: str = KERNEL) -> None:
    """NODE is to boot *kernel* by the signed loaders of Debian *suite*."""
    site.config["netbootd"]["firmware"].insert(0, str(made(secureboot.SIGNED) / suite))
    linux(site, kernel)
    site.machine(NODE, "linux", "signed", loader="shim-grub")


def linux(site: Site, kernel: str) -> None:
    """A target that is not told to be quiet, for the kernel to say how it was started."""
    site.target(
        *("linux", "signed"),
        kernel=kernel,
        initrd="images/initrd.gz",
        boot_args="console=ttyS0 loglevel=4 netbootd.word=signed",
    )


def boots_securely(node: Node) -> Packets:
    """Linux runs on *node*, and saw Secure Boot on; what was on the cable until its end."""
    node.wait_for("UEFI Secure Boot is enabled", BOOT_S)
    node.wait_for(rf"{guest.UP} mac={node.mac}\s", LINUX_S)
    assert "netbootd.word=signed" in node.wait_for(rf"{guest.ARGUMENTS} ([^\n]*)\n", LINUX_S)[1]
    return finish(node)


def assert_by_shim_and_grub_over_tftp(packets: Packets) -> None:
    assert first_discover(packets).arch == 7
    assert packets.loaded("shimx64.efi")
    assert packets.loaded("grubx64.efi")
    assert [move.file for move in packets.loaded("grub.cfg")] == [CONFIGURATION]
    assert packets.loaded("vmlinuz")
    assert packets.loaded("initrd.gz")
    assert not packets.paths("GET")


def assert_by_ipxe(packets: Packets) -> None:
    """Script, kernel and initrd came by HTTP; a newer iPXE tells more of itself in the query."""
    wanted = [SCRIPT, KERNEL, INITRD]
    paths = [path.partition("?")[0] for path in packets.paths()]
    assert [path for path in paths if path in wanted] == wanted
    assert not packets.loaded("grub.cfg")


@pytest.mark.ci
def test_grub_of_debian_13_boots_behind_a_proxydhcp(site: Site) -> None:
    site.lab.dhcp()
    signed(site, "trixie")
    site.serve()

    with site.lab.uefi(NODE, secure=True) as node:
        packets = boots_securely(node)

    assert_proxied(packets)
    assert_by_shim_and_grub_over_tftp(packets)


def test_grub_of_debian_12_boots_where_the_dhcp_server_names_us_as_next_server(site: Site) -> None:
    site.lab.dhcp(NEXT_SERVER)
    signed(site, "bookworm")
    site.serve()

    with site.lab.uefi(NODE, secure=True) as node:
        packets = boots_securely(node)

    assert_by_shim_and_grub_over_tftp(packets)


def test_grub_of_debian_12_asks_the_dhcp_server_for_its_files_behind_a_proxydhcp(
    site: Site,
) -> None:
    """What ``netbootd check`` warns of."""
    site.lab.dhcp()
    signed(site, "bookworm")
    daemon = site.serve()

    with site.lab.uefi(NODE, secure=True) as node:
        node.wait_for("Welcome to GRUB", BOOT_S)
        site.lab.run("switch", "sleep", "5")
        asked = [move for move in node.packets().tftp if move.file.startswith("/grub/")]

    assert asked
    assert not [move for move in asked if move.blocks or move.error], "somebody answered"
    assert "/grub/" not in daemon.text


def test_grub_boots_by_the_http_of_the_firmware_alone(site: Site) -> None:
    site.lab.dhcp()
    signed(site, "trixie")
    site.serve()

    with site.lab.uefi(NODE, secure=True, http_boot=True) as node:
        packets = boots_securely(node)

    assert first_discover(packets).arch == 16
    assert_proxied(packets)
    assert packets.offers(BOOT_SERVER)[0].boot_file.startswith(f"http://{HTTP}/")
    assert not packets.tftp
    fetched = [path.split("/")[-1] for path in packets.paths()]
    wanted = ["shimx64.efi", "grubx64.efi", "grub.cfg", "vmlinuz", "initrd.gz"]
    assert [name for name in fetched if name in wanted] == wanted


def test_shim_and_grub_boot_as_well_with_secure_boot_off(site: Site) -> None:
    site.lab.dhcp()
    signed(site, "trixie")
    site.serve()

    with site.lab.uefi(NODE) as node:
        node.wait_for(rf"{guest.UP} mac={node.mac}\s", BOOT_S)
        packets = finish(node)
        assert "UEFI Secure Boot is enabled" not in node.console

    assert_by_shim_and_grub_over_tftp(packets)


def test_an_unsigned_kernel_is_refused_and_the_node_says_so(site: Site) -> None:
    found = guest.installed()
    assert found is not None
    site.put("images/unsigned", without_signature(found.kernel.read_bytes()))
    site.lab.dhcp()
    signed(site, "trixie", kernel="images/unsigned")
    daemon = site.serve()
    assert "images/unsigned" in daemon.text, "the administrator is told as well"

    with site.lab.uefi(NODE, secure=True) as node:
        refused = node.wait_for("bad shim signature", BOOT_S)
        node.wait_for("the kernel must be signed", LINUX_S, after=refused.end())
        assert guest.UP not in node.console


def test_an_unsigned_ipxe_is_refused(site: Site) -> None:
    site.lab.dhcp()
    linux(site, KERNEL)
    site.machine(NODE, "linux", "signed")
    site.serve()

    with site.lab.uefi(NODE, secure=True) as node:
        node.wait_for("Access Denied", BOOT_S)
        packets = node.packets()

    assert packets.loaded("snponly.efi")
    assert not packets.http


def test_an_ipxe_and_a_kernel_signed_with_ones_own_key_boot(site: Site) -> None:
    own = made(secureboot.OWN_KEYS)
    site.put("snponly.efi", own / "snponly.efi")  # the file root goes before the firmware folders
    site.put("images/vmlinuz", own / "vmlinuz")
    site.lab.dhcp()
    linux(site, KERNEL)
    site.machine(NODE, "linux", "signed")
    site.serve()

    with site.lab.uefi(NODE, secure=True, keys=own / "vars.fd") as node:
        packets = boots_securely(node)

    assert_proxied(packets)
    assert packets.loaded("snponly.efi")
    assert_by_ipxe(packets)


def test_a_shim_made_for_ipxe_boots_it(site: Site) -> None:
    """In the folders of iPXE's releases, but with a key of our own."""
    own = made(secureboot.OWN_KEYS)
    for name in ("snponly-shim.efi", "snponly.efi"):
        site.put(f"ipxeboot/x86_64-sb/{name}", own / name)
    site.put("images/vmlinuz", own / "vmlinuz")
    site.lab.dhcp()
    linux(site, KERNEL)
    site.machine(NODE, "linux", "signed", loader="shim-ipxe")
    site.serve()

    with site.lab.uefi(NODE, secure=True, keys=own / "vars.fd") as node:
        packets = boots_securely(node)

    assert_proxied(packets)
    assert packets.loaded("snponly-shim.efi")
    assert packets.loaded("snponly.efi")
    assert_by_ipxe(packets)


def test_debians_shim_boots_an_ipxe_whose_key_the_owner_has_enrolled(site: Site) -> None:
    """With Microsoft's keys in the firmware; the kernel is Debian's, as Debian signed it."""
    own = made(secureboot.OWN_KEYS)
    site.put("own/shimx64.efi", made(secureboot.SIGNED) / "trixie" / "shimx64.efi.signed")
    site.put("own/grubx64.efi", own / "snponly.efi")
    site.lab.dhcp()
    linux(site, KERNEL)
    site.machine(NODE, "linux", "signed", loader="own/shimx64.efi")
    daemon = site.serve()
    assert "grub" not in daemon.text

    with site.lab.uefi(NODE, secure=True, keys=own / "mok.fd") as node:
        packets = boots_securely(node)

    assert_proxied(packets)
    assert packets.loaded("shimx64.efi")
    assert packets.loaded("grubx64.efi")
    assert_by_ipxe(packets)


def test_a_firmware_with_ones_own_key_refuses_what_microsoft_signed(site: Site) -> None:
    """Or the test above would pass with any key."""
    own = made(secureboot.OWN_KEYS)
    site.lab.dhcp()
    signed(site, "trixie")
    site.serve()

    with site.lab.uefi(NODE, secure=True, keys=own / "vars.fd") as node:
        node.wait_for("Access Denied", BOOT_S)
        assert node.packets().loaded("shimx64.efi")


def without_signature(program: bytes) -> bytes:
    """*program* with its certificate table (PE/COFF, data directory 4) cut off."""
    header = struct.unpack_from("<I", program, 0x3C)[0]
    directory = header + 24 + 112 + 4 * 8  # after signature, COFF header, PE32+'s optional header
    at, size = struct.unpack_from("<II", program, directory)
    assert at + size == len(program), "it was not signed"
    return program[:directory] + bytes(8) + program[directory + 8 : at]
