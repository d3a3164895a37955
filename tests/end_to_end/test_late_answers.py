"""
Two servers answer one DISCOVER, and either may be the last: firmware and iPXE wait for both.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER
from tests.end_to_end.packets import Packets
from tests.end_to_end.process import Daemon
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

#: iPXE waits 2 s for a proxy after a DHCP server's offer (its config/dhcp.h).
LATE_S = 1.0

FIRMWARE = pytest.mark.parametrize("kind", ["uefi", "plain_bios"])


@contextmanager
def asleep(daemon: Daemon) -> Iterator[None]:
    """What arrives for *daemon* meanwhile is answered LATE_S after that."""
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        yield
        time.sleep(LATE_S)
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


def offered_first(packets: Packets) -> list[str]:
    """Who made the first offer to each DISCOVER that had one."""
    first: dict[int, str] = {}
    for packet in packets.dhcp:
        if packet.type == "offer":
            first.setdefault(packet.xid, packet.src)
    return list(first.values())


@FIRMWARE
def test_machine_boots_though_the_dhcp_server_answers_late(site: Site, kind: str) -> None:
    site.lab.dhcp("--dhcp-reply-delay=1")
    site.machine(NODE, "linux", "one")
    site.serve()
    with getattr(site.lab, kind)(NODE) as node:
        assert "netbootd.word=one" in arguments(node, UEFI_S)
        packets = finish(node)
    assert set(offered_first(packets)[:2]) == {BOOT_SERVER}
    assert_proxied(packets)
    assert_linux_by_http(packets)


@FIRMWARE
def test_machine_boots_though_netbootd_answers_late(site: Site, kind: str) -> None:
    server = site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    daemon = site.serve()
    with asleep(daemon):
        node = getattr(site.lab, kind)(NODE)
        server.wait_for("DHCPDISCOVER", UEFI_S)
    with node:
        daemon.wait_for("by TFTP", PLAIN_BIOS_S)
        with asleep(daemon):
            server.wait_for("(?s)DHCPACK.*DHCPDISCOVER", PLAIN_BIOS_S)
        assert "netbootd.word=one" in arguments(node, UEFI_S)
        packets = finish(node)
    assert set(offered_first(packets)[:2]) == {LAN_SERVER}
    assert_proxied(packets)
    assert_linux_by_http(packets)
