"""
A machine in QEMU boots Linux, and the web page shows it from its first DISCOVER until it says that
it is up, with what its console says, without ever being loaded anew.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end import guest
from tests.end_to_end.browser import Browser
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, HTTP, Lab
from tests.end_to_end.node import Node
from tests.end_to_end.tokens import new_token

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "52:54:00:12:34:56"
BOOT_S = 90
UEFI_S = 240

#: What netbootd puts into the script of the node.
FRAGMENT = """\
logger -t node "the node script is through"
"""

#: The guest sends its kernel's messages by syslog, runs its script and reports, before it ends.
TELLING = f"""
mac=$(cat /sys/class/net/$card/address)
syslogd -R {BOOT_SERVER}:514
sleep 1
klogd
mkdir -p /tmp
wget -q -O /script http://{HTTP}/scripts/$mac
sh /script
sleep 2
wget -q -O - http://{HTTP}/done/$mac
sleep 1
poweroff -f
"""


def telling_initrd(initrd: Path) -> bytes:
    """The guest's, and behind it an archive whose ``init`` takes the place of its own."""
    init = guest.INIT.replace("poweroff -f\n", TELLING)
    assert init != guest.INIT
    return initrd.read_bytes() + gzip.compress(guest.cpio({"init": init.encode()}))


@pytest.fixture
def telling(site: Site) -> Site:
    """A site that is served, and whose node tells of itself as its system runs."""
    found = guest.installed()
    assert found is not None
    site.put("images/telling.gz", telling_initrd(found.initrd))
    (site.file.parent / "scripts").mkdir()
    (site.file.parent / "scripts" / "through.sh").write_text(FRAGMENT)
    # On a busy host the guest stands still at times, of which the kernel would tell at length.
    arguments = f"{guest.LINUX_ARGUMENTS} nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
    files = {"kernel": "images/vmlinuz", "initrd": "images/telling.gz"}
    site.target("linux", "telling", **files, boot_args=arguments, scripts=["through"])
    site.machine(NODE, "linux", "telling", hostname="node1")
    site.lab.dhcp()
    site.serve()
    return site


def watch(site: Site, power_on: Callable[[Lab], Node], way: list[str], within: float) -> None:
    """
    See on the page how a machine comes up by this *way*: the words of its stages, in their order.
    Each shows *within* so many seconds after the last.
    """
    token = new_token(site.file.with_name("state"))
    browser = Browser(site.lab, place="lan")
    try:
        browser.sign_in(token)
        browser.go("#/machines")
        browser.click("#machines-rows a", "node1")
        browser.see("#machine .badge", "not seen")
        browser.run("window.begun = performance.timeOrigin")

        with power_on(site.lab):
            browser.see("#machine .badge", "booting", within=within)
            for stage in way:
                browser.see(".picture .stage", stage, within=within)
            browser.logged("Linux version", within=within)
            browser.logged("the node script is through", within=within)
            browser.see(".picture .line.good .stage", "Done", within=within)
            browser.see("#machine .badge", "up")

        assert browser.run("return window.begun === performance.timeOrigin")
        assert not browser.all("#machine .why li")
        browser.click(".boots summary", "As a table")
        stages = [row.split("\t")[0] for row in browser.all(".boots tbody tr")]
        assert stages[: len(way)] == way
        assert stages[-2:] == ["Node script", "Done"]
        assert browser.complaints() == []
        browser.go("#/machines")
        browser.see("#machines-rows .row[data-state='up']", "node1")
    finally:
        browser.close()


@pytest.mark.ci
def test_a_boot_shows_from_discover_to_done_with_its_console(telling: Site) -> None:
    way = ["iPXE DISCOVER", "iPXE OFFER", "Script", "Kernel", "Initrd"]
    watch(telling, lambda lab: lab.bios(NODE), way, BOOT_S)


def test_a_boot_of_uefi_firmware_shows_from_its_own_discover_to_done(telling: Site) -> None:
    """OVMF asks twice, of port 4011 the second time, and gets its iPXE by TFTP."""
    way = ["DISCOVER", "OFFER", "Boot server", "Loader", "iPXE DISCOVER", "iPXE OFFER"]
    way += ["Script", "Kernel", "Initrd"]
    watch(telling, lambda lab: lab.uefi(NODE), way, UEFI_S)
