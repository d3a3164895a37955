"""Real firmware that cannot follow its first reply style boots at the second attempt."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER
from tests.end_to_end.test_firmware import (
    NODE,
    UEFI_S,
    arguments,
    assert_linux_by_http,
    finish,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_uefi_that_cannot_reach_port_4011_boots_at_the_second_attempt(site: Site) -> None:
    """A firewall before the boot server, which somebody opened for 67 and 69 only."""
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    daemon = site.serve()
    site.lab.run("boot", "nft", "add table inet fire")
    chain = "{ type filter hook input priority 0; policy accept; }"
    site.lab.run("boot", "nft", f"add chain inet fire wall {chain}")
    site.lab.run("boot", "nft", "add rule inet fire wall udp dport 4011 drop")

    with site.lab.uefi(NODE):
        daemon.wait_for(f"{NODE} .* offered snponly.efi from {BOOT_SERVER}", UEFI_S)
    with site.lab.uefi(NODE) as node:
        daemon.wait_for("nothing followed; trying direct", UEFI_S)
        daemon.wait_for(f"{NODE} .* follows offers in style direct", UEFI_S)
        arguments(node, UEFI_S)
        packets = finish(node)
    assert not packets.asked_4011()
    assert packets.loaded("snponly.efi")
    assert_linux_by_http(packets)
