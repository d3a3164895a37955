"""
A kernel's own netconsole as a sender: what it says of its boot stands under machine and boot.
"""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest

from netbootd.boots.boot import Stage
from netbootd.logbook.line import Source
from tests.end_to_end import guest, told
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import NETBOOTD

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE, ADDRESS = "52:54:00:12:34:56", "192.0.2.77"
BOOT_S = 90

WARNING = "the node warns: 100% & more"
#: The kernel escapes each of its bytes as four, and cuts such a record into fragments.
LONG = "ü" * 400
LAST = "the node has said all"

#: As modprobe would, which finds on the command line what a module is to be told.
WITH_NETCONSOLE = f"""
for word in $(cat /proc/cmdline); do
    case $word in
    netconsole.*) insmod /netconsole/00-configfs.ko
        insmod /netconsole/01-netconsole.ko "${{word#*.}}" ;;
    esac
done
echo "<4>{WARNING}" >/dev/kmsg
echo "<6>{LONG}" >/dev/kmsg
echo "<6>{LAST}" >/dev/kmsg
echo "{guest.DONE}"
sleep 1
poweroff -f
"""


def boot(site: Site, form: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """NODE boots with *form* before its netconsole's address: its boot, and its kernel's lines."""
    put_guest(site)
    # No MAC behind the last slash: everybody's.  With "quiet" netconsole would be quiet too.
    address = f"netconsole.netconsole={form}@__ip__/eth0,__netconsole_port__@__log_host__/"
    site.target(
        *("linux", "telling"),
        kernel="images/vmlinuz",
        initrd="images/netconsole.gz",
        boot_args=f"console=ttyS0 loglevel=7 {address}",
    )
    site.machine(NODE, "linux", "telling", hostname="seven", ip=ADDRESS)
    site.lab.dhcp(f"--dhcp-host={NODE},{ADDRESS}")
    site.serve()
    with site.lab.bios(NODE) as node:
        node.wait_for(guest.DONE, BOOT_S)
        return told.one_boot(node, Stage.SYSTEM), told.logged(node, Source.NETCONSOLE, LAST)


def put_guest(site: Site) -> None:
    """The guest with its kernel's netconsole: in an archive behind its own, which counts more."""
    found = guest.installed()
    assert found is not None
    init = guest.INIT.replace(f'echo "{guest.DONE}"\npoweroff -f\n', WITH_NETCONSOLE)
    assert init != guest.INIT
    modules = {f"netconsole/{path.name}": path.read_bytes() for path in found.netconsole}
    archive = guest.cpio({"init": init.encode(), **modules})
    site.put("images/netconsole.gz", found.initrd.read_bytes() + gzip.compress(archive))


@pytest.mark.ci
def test_what_a_kernel_says_stands_under_its_machine_and_boot(site: Site) -> None:
    record, said = boot(site, "+")

    assert told.stages(record)[-4:] == ["script", "kernel", "initrd", "system"]
    assert_filed(record, said)
    assert said[0]["message"].startswith("Linux version ")
    assert facts(said[0]) == {"sequence": ["0"], "microseconds": ["0"]}
    order = [int(facts(line)["sequence"][0]) for line in said]
    assert order == sorted(set(order))
    assert find(said, WARNING)["log"]["level"] == "warning"
    assert find(said, LONG)["log"]["level"] == "informational"
    card = next(line for line in said if line["message"].startswith("pci 0000:00:01.1: ["))
    assert facts(card)["DEVICE"] == ["+pci:0000:00:01.1"]

    printed = site.lab.run("boot", str(NETBOOTD), "logs", "--config", str(site.file), NODE)
    assert " kernel netconsole: network logging started\n" in printed
    # What is written into /dev/kmsg is a user's, whatever that says (printk.c there).
    assert f" warning: {WARNING}\n" in printed
    assert f" {LAST}\n" in printed


def test_the_plain_form_is_put_together_to_the_lines_of_the_console(site: Site) -> None:
    """It tells no level, and the time is in the text."""
    record, said = boot(site, "")

    assert_filed(record, said)
    texts = [line["message"] for line in said]
    assert all(re.match(r"\[ *\d+\.\d{6}\] ", text) for text in texts)
    assert texts[0].startswith("[    0.000000] Linux version ")
    assert [text.partition("] ")[2] for text in texts[-3:]] == [WARNING, LONG, LAST]


def assert_filed(record: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """All lines are whole and stand under NODE and the boot *record*."""
    assert {line["netbootd"]["boot_id"] for line in said} == {record["number"]}
    assert {line["netbootd"]["machine"] for line in said} == {NODE}
    assert {line["host"]["name"] for line in said} == {"seven"}
    assert not [line for line in said if "tags" in line]


def facts(line: dict[str, Any]) -> dict[str, list[str]]:
    """What the extended form tells beside the text."""
    found: dict[str, list[str]] = line["log"]["syslog"]["structured_data"]["netconsole"]
    return found


def find(said: list[dict[str, Any]], text: str) -> dict[str, Any]:
    """The line that says *text*."""
    return next(line for line in said if line["message"] == text)
