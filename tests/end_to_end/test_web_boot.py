"""
A machine in QEMU boots Linux, and the web page shows it from its first DISCOVER until it says that
it is up, with what its console says, without ever being loaded anew.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from netbootd import apitoken
from tests.end_to_end import guest
from tests.end_to_end.browser import Browser
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER, HTTP

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "52:54:00:12:34:56"
BOOT_S = 90

#: The guest sends its kernel's messages by syslog, and reports, before it ends.
TELLING = f"""
mac=$(cat /sys/class/net/$card/address)
syslogd -R {BOOT_SERVER}:514
sleep 1
klogd
logger -t node "the node script is through"
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


@pytest.mark.ci
def test_a_boot_shows_from_discover_to_done_with_its_console(site: Site) -> None:
    found = guest.installed()
    assert found is not None
    site.put("images/telling.gz", telling_initrd(found.initrd))
    # On a busy host the guest stands still at times, of which the kernel would tell at length.
    arguments = f"{guest.LINUX_ARGUMENTS} nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
    files = {"kernel": "images/vmlinuz", "initrd": "images/telling.gz"}
    site.target("linux", "telling", **files, boot_args=arguments)
    site.machine(NODE, "linux", "telling", hostname="node1")
    site.lab.dhcp()
    site.serve()
    token = (site.file.with_name("state") / apitoken.NAME).read_text().strip()
    browser = Browser(site.lab, place="lan")
    try:
        browser.sign_in(token)
        browser.go("#/machines")
        browser.click("#machines-rows a", "node1")
        browser.see("#machine .badge", "not seen")
        browser.run("window.begun = performance.timeOrigin")

        with site.lab.bios(NODE):
            browser.see("#machine .badge", "booting", within=BOOT_S)
            for stage in ("iPXE DISCOVER", "iPXE OFFER", "Script", "Kernel", "Initrd"):
                browser.see(".picture .stage", stage, within=BOOT_S)
            browser.logged("Linux version", within=BOOT_S)
            browser.logged("the node script is through", within=BOOT_S)
            browser.see(".picture .line.good .stage", "Done", within=BOOT_S)
            browser.see("#machine .badge", "up")

        assert browser.run("return window.begun === performance.timeOrigin")
        assert not browser.all("#machine .why li")
        browser.click(".boots summary", "As a table")
        stages = [row.split("\t")[0] for row in browser.all(".boots tbody tr")]
        assert stages[:4] == ["iPXE DISCOVER", "iPXE OFFER", "Script", "Kernel"]
        assert stages[-1] == "Done"
        assert browser.complaints() == []
        browser.go("#/machines")
        browser.see("#machines-rows .row[data-state='up']", "node1")
    finally:
        browser.close()
