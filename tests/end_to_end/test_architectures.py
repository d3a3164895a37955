"""
Machines that are no 64-bit PCs boot through netbootd: UEFI on ARM and on 32-bit PCs, and U-Boot.

As in test_firmware.py the console tells the end and the capture of the cable the road.  The
processors are emulated; times out at eight times what an idle machine with two cores takes.
"""

from __future__ import annotations

import pytest

from tests.end_to_end import foreign
from tests.end_to_end.cache import Part
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, HTTP
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
KERNEL, INITRD = "images/foreign/vmlinuz", "images/foreign/initrd.gz"

BOOT_S = 180


def boots(site: Site, linux: Part, console: str) -> None:
    """The machine is to boot *linux*, which talks on *console*."""
    site.put(KERNEL, linux.folder / "vmlinuz")
    site.put(INITRD, linux.folder / "initrd.gz")
    site.target(
        *("linux", "foreign"),
        kernel=KERNEL,
        initrd=INITRD,
        boot_args=f"console={console} quiet netbootd.word=foreign",
    )
    site.machine(NODE, "linux", "foreign")
    site.config["netbootd"]["firmware"].append(str(foreign.IPXE.folder))


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
