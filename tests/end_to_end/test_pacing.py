"""A real iPXE waits for its turn, through a restart of the daemon, and boots when that has come."""

from __future__ import annotations

import signal

import pytest

from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import NETBOOTD
from tests.end_to_end.test_firmware import IPXE_ROM_S, LINUX_S, NODE, UEFI_S, arguments

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WAITS = rf"node7 \({NODE}\) waits for its turn: number 1 of 1"


def pace(site: Site, word: str) -> None:
    site.lab.run("boot", str(NETBOOTD), "pace", word, "--config", str(site.file))


@pytest.mark.ci
def test_bios_machine_waits_for_its_turn_and_then_boots(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one", hostname="node7")
    site.config["netbootd"]["pace"] = True
    daemon = site.serve()
    pace(site, "pause")
    with site.lab.bios(NODE) as node:
        first = node.wait_for(WAITS, IPXE_ROM_S)
        again = node.wait_for(WAITS, LINUX_S, after=first.end())
        node.wait_for("paused by an operator", LINUX_S, after=first.start())
        daemon.wait_for("waits for its turn: number 1 of 1", LINUX_S)
        daemon.send(signal.SIGKILL)
        daemon.wait(10)
        node.wait_for("does not answer; asking again", LINUX_S, after=again.end())
        site.serve()
        node.wait_for(WAITS, LINUX_S, after=len(node.console))
        pace(site, "resume")
        assert "netbootd.word=one" in arguments(node, LINUX_S)
        packets = node.packets()
    assert packets.paths().count(f"/boot/{NODE}") > 3
    assert packets.paths()[-1] == "/images/initrd.gz"


def test_uefi_machine_waits_for_its_turn_and_its_console_has_a_shell_meanwhile(site: Site) -> None:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one", hostname="node7")
    site.config["netbootd"]["pace"] = {"enabled": True, "at_once": 1}
    site.serve()
    pace(site, "pause")
    with site.lab.uefi(NODE) as node:
        first = node.wait_for(WAITS, UEFI_S)
        node.type("\x02")
        shell = node.wait_for("iPXE>", LINUX_S, after=first.end())
        node.type("exit")
        node.wait_for(WAITS, LINUX_S, after=shell.end())
        pace(site, "resume")
        assert "netbootd.word=one" in arguments(node, LINUX_S)
        assert node.packets().paths()[-1] == "/images/initrd.gz"
