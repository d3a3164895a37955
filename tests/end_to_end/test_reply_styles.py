"""
Real firmware boots Linux by each way in which a proxy can tell it of its boot file.

Which way a machine is told in is chosen here; how it is found is in test_styles.py.  The capture of
the cable shows the way: what option 43 of the offer says, and whether port 4011 was asked.
"""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER
from tests.end_to_end.packets import Packets
from tests.end_to_end.test_firmware import (
    NODE,
    PLAIN_BIOS_S,
    UEFI_S,
    arguments,
    assert_linux_by_http,
    assert_proxied,
    finish,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DISCOVERY, MENU = 6, 9  # in option 43 (PXE 2.1, section 2.2.3)

# Style, and whether a client that was told in it asks port 4011 for its file.
STYLES = [("direct", False), ("boot-server", True), ("menu", True)]


def told(packets: Packets) -> str:
    """The style of our first offer, by its bytes."""
    said = vendor_options(packets.offers(BOOT_SERVER)[0].options.get(43, b""))
    if said.get(DISCOVERY, b"\0")[0] & 8:
        return "direct"
    return "menu" if MENU in said else "boot-server"


def vendor_options(area: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(area) > 1 and area[0] != 255:
        found[area[0]] = area[2 : 2 + area[1]]
        area = area[2 + area[1] :]
    return found


@pytest.mark.parametrize(("style", "asks"), STYLES)
def test_uefi_machine_boots_when_told_so(site: Site, style: str, asks: bool) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one", reply_style=style)
    site.serve()

    with site.lab.uefi(NODE) as node:
        assert "netbootd.word=one" in arguments(node, UEFI_S)
        packets = finish(node)

    assert told(packets) == style
    assert bool(packets.asked_4011()) is asks
    assert_proxied(packets)
    assert packets.loaded("snponly.efi")
    assert_linux_by_http(packets)


@pytest.mark.parametrize("style", [style for style, _ in STYLES])
def test_bios_machine_with_a_plain_rom_boots_when_told_so(site: Site, style: str) -> None:
    """Its ROM takes the file of the offer whatever option 43 says, but for a menu."""
    site.lab.dhcp()
    site.machine(NODE, "linux", "one", reply_style=style)
    site.serve()

    with site.lab.plain_bios(NODE) as node:
        assert "netbootd.word=one" in arguments(node, PLAIN_BIOS_S)
        packets = finish(node)

    assert told(packets) == style
    assert bool(packets.asked_4011()) is (style == "menu")
    assert_proxied(packets)
    assert packets.loaded("undionly.kpxe")
    assert_linux_by_http(packets)
