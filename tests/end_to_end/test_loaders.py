"""
Machines that are given another loader than iPXE boot Linux by it, with a configuration of ours.

As in test_firmware.py the console tells the end and the capture of the cable the road.
"""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER
from tests.end_to_end.packets import Packets
from tests.end_to_end.test_firmware import (
    NODE,
    PLAIN_BIOS_S,
    arguments,
    assert_proxied,
    finish,
    first_discover,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CONFIG = f"01-{NODE.replace(':', '-')}"
# Where Debian puts PXELINUX, and the module that it cannot do without.
PXELINUX = ["/usr/lib/PXELINUX", "/usr/lib/syslinux/modules/bios"]


def assert_linux_by_tftp(packets: Packets) -> None:
    """Configuration, kernel and initrd came from us by TFTP, and nothing by HTTP."""
    last = [move.file.rpartition("/")[2] for move in packets.tftp if move.blocks][-3:]
    assert last == [CONFIG, "vmlinuz", "initrd.gz"]
    assert not packets.http


def test_bios_machine_that_is_given_pxelinux_boots_by_it(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one", loader="pxelinux")
    site.config["netbootd"]["firmware"] += PXELINUX
    site.serve()

    with site.lab.plain_bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, PLAIN_BIOS_S)
        packets = finish(node)

    assert first_discover(packets).arch == 0
    assert_proxied(packets)
    assert packets.loaded("lpxelinux.0")
    assert_linux_by_tftp(packets)


def test_pxelinux_that_the_sites_dhcp_server_names_finds_its_configuration(site: Site) -> None:
    """A site whose DHCP server does it all but the files."""
    site.lab.dhcp(f"--dhcp-boot=pxelinux.0,boot,{BOOT_SERVER}")
    site.machine(NODE, "linux", "one")
    site.config["netbootd"]["firmware"] += PXELINUX
    site.config["netbootd"]["proxydhcp"] = False
    site.serve()

    with site.lab.plain_bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, PLAIN_BIOS_S)
        packets = finish(node)

    assert packets.loaded("pxelinux.0")
    assert_linux_by_tftp(packets)
