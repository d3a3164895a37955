"""Machines that are listed by what SMBIOS says of them, booted for real."""

from __future__ import annotations

from typing import Any

import pytest

from tests.end_to_end import guest
from tests.end_to_end.conftest import Site

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "52:54:00:12:34:56"
UUID = "00112233-4455-6677-8899-aabbccddeeff"
TURNED = "33221100-5544-7766-8899-aabbccddeeff"
SMBIOS = ("-uuid", UUID, "-smbios", "type=1,serial=SN 4711", "-smbios", "type=3,asset=Rack 4")

IPXE_ROM_S = 75
LINUX_S = 60


@pytest.mark.parametrize(
    ("known_by", "asks_first"),
    [
        ({"uuid": TURNED}, False),
        ({"serial": "sn 4711"}, True),
        ({"asset": "Rack 4"}, True),
    ],
)
def test_a_machine_without_a_mac_in_the_file_boots_its_target(
    site: Site, known_by: dict[str, Any], asks_first: bool
) -> None:
    """Its UUID is in DHCP; serial number and asset tag come with the first script."""
    site.lab.dhcp()
    site.machine("default", "localboot", "disk")
    site.target("localboot", "disk")
    site.config["machines"]["gosling"] = {"type": "linux", "name": "one", **known_by}
    site.serve()

    with site.lab.bios(NODE, *SMBIOS) as node:
        node.wait_for(rf"{guest.UP} mac={node.mac}\s", IPXE_ROM_S)
        assert "netbootd.word=one" in node.wait_for(rf"{guest.ARGUMENTS} ([^\n]*)\n", LINUX_S)[1]
        node.wait_for(guest.DONE, LINUX_S)
        packets = node.packets()

    assert ("/boot" in packets.paths()) is asks_first
