"""
Floods from forged addresses, of all kinds together, and real machines boot meanwhile.

The flooder has a cable of its own to the switch, and everything it sends is for the boot server's
card.  How fast it may be is a matter of the processors, which it shares with the firmware (in QEMU
without KVM), the boot server and all else that is tested here.  A ROM that got no answer says so, and
its machine is switched on again, as whoever looks after it would.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import guest
from tests.end_to_end.conftest import Site
from tests.end_to_end.lab import BOOT_SERVER
from tests.end_to_end.process import ROOT, Daemon
from tests.end_to_end.test_firmware import NODE, PLAIN_BIOS_S, UEFI_S, arguments

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FLOODER = "192.0.2.66"
LOADER = "undionly.kpxe"
#: Packets a second of each.
ALL = dict.fromkeys(("discover", "rrq", "missing", "ack", "syn", "syslog"), 500)
_SWITCHED_ON = 4  # times
TFTP_CLIENTS = {
    "curl": ("curl", "-sS", "-m", "60", "-o", "/dev/null", f"tftp://{BOOT_SERVER}/{LOADER}"),
    "atftp": ("atftp", "-g", "-r", LOADER, "-l", "/dev/null", BOOT_SERVER),
    "tftp": ("tftp", "-m", "binary", BOOT_SERVER, "-c", "get", LOADER, "/dev/null"),
}


@contextmanager
def flooded(site: Site, seconds: float, **rates: int) -> Iterator[Any]:
    """The boot server, for so long or as long as is needed."""
    site.lab.plug("flooder", FLOODER)
    site.lab.ip("boot", f"route add default via {FLOODER}")  # so that answers find a way
    shown = json.loads(site.lab.run("boot", "ip", "-j", "link", "show", "eth0"))
    words = [f"{kind.replace('_', '-')}={rate}" for kind, rate in rates.items()]
    program = str(ROOT / "tests" / "end_to_end" / "flood.py")
    flood = site.lab.spawn(
        *("flooder", sys.executable, program, "eth0", BOOT_SERVER, shown[0]["address"]),
        *(str(seconds), *words),
    )
    flood.wait_for("floods", 60)
    yield flood
    flood.close()


def pid_of(daemon: Daemon) -> int:
    """Of netbootd itself, which nsenter and setpriv became."""
    return daemon.pid


def memory_of(daemon: Daemon) -> int:
    """KiB."""
    status = Path(f"/proc/{pid_of(daemon)}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found[1])


def descriptors_of(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{pid_of(daemon)}/fd"))


def sent_by(site: Site) -> tuple[int, int]:
    """Packets and bytes that left the boot server."""
    shown = json.loads(site.lab.run("boot", "ip", "-s", "-j", "link", "show", "eth0"))
    told = shown[0]["stats64"]["tx"]
    return told["packets"], told["bytes"]


def fetch_until(site: Site, name: str, tries: int = 4) -> int:
    """How often a real client had to be started: a boot ROM tries as often."""
    for attempt in range(1, tries + 1):
        try:
            site.lab.run("lan", *TFTP_CLIENTS[name], timeout=60)
        except Exception:
            if attempt == tries:
                raise
        else:
            return attempt
    raise AssertionError


def boots(power_on: Any, seconds: float) -> None:
    """Linux on NODE, at the last of several attempts or before."""
    for attempt in range(1, _SWITCHED_ON + 1):
        with power_on(NODE) as node:
            told = node.wait_for(
                rf"{guest.UP} mac=|No bootable device|No more network dev", seconds
            )
            if told[0].startswith(guest.UP):
                assert "netbootd.word=one" in arguments(node, seconds)
                return
            assert attempt < _SWITCHED_ON, f"{node.packets()}\n{node.console[-800:]}"


def settles(measure, most: int, seconds: float = 40) -> int:
    """*measure* once it is at most *most*, or what it is after so long."""
    until = time.monotonic() + seconds
    while (found := measure()) > most and time.monotonic() < until:
        time.sleep(0.5)
    return found


def prepared(site: Site) -> Daemon:
    site.lab.dhcp()
    site.machine(NODE, "linux", "one")
    site.config["netbootd"]["syslog"] = True
    return site.serve()


@pytest.mark.ci
def test_a_machine_boots_in_floods_of_all_kinds_together(site: Site) -> None:
    """A plain ROM: DHCP, port 4011, its loader by TFTP, script and Linux by HTTP."""
    daemon = prepared(site)
    for name in TFTP_CLIENTS:
        fetch_until(site, name)
    descriptors = descriptors_of(daemon)
    with flooded(site, 1800, **ALL) as flood:
        boots(site.lab.plain_bios, 2 * PLAIN_BIOS_S)
        for name in TFTP_CLIENTS:
            fetch_until(site, name)
        site.lab.run(
            *("lan", "curl", "-sSf", "--retry", "5", "-o", "/dev/null"),
            f"http://{BOOT_SERVER}:3000/boot/{NODE}",
            timeout=90,
        )
        most = descriptors_of(daemon)
        assert flood.returncode is None, "the flood ended before the boot did"
    assert most < descriptors + 2 * 4096 + 200  # a transfer's socket and its door
    assert "Traceback" not in daemon.text
    assert settles(lambda: descriptors_of(daemon), descriptors + 80) <= descriptors + 80
    assert "TFTP is flooded" in daemon.text or "is flooded" in daemon.text


def test_uefi_boots_in_floods_of_all_kinds_together(site: Site) -> None:
    daemon = prepared(site)
    with flooded(site, 1800, **ALL) as flood:
        boots(site.lab.uefi, 2 * UEFI_S)
        assert flood.returncode is None
    assert "Traceback" not in daemon.text


def test_memory_comes_to_an_end_in_a_flood(site: Site) -> None:
    """Ever new cards, addresses and names: two minutes cost no more than one."""
    site.config["machines"]["default"] = {"type": "linux", "name": "one"}
    daemon = prepared(site)
    with flooded(site, 180, **ALL):
        time.sleep(60)
        first = memory_of(daemon)
        time.sleep(60)
        second = memory_of(daemon)
    assert second < first * 1.25
    state = Path(site.config["netbootd"]["state"])
    assert sum(one.stat().st_size for one in state.rglob("*") if one.is_file()) < 1 << 30


@pytest.mark.parametrize("kind", ["rrq", "missing", "ack"])
def test_forged_tftp_packets_cost_a_few_answers_each(site: Site, kind: str) -> None:
    """What leaves for addresses that nobody has, as the card counts it."""
    prepared(site)
    before = sent_by(site)
    with flooded(site, 10, **{kind: 500}) as flood:
        sent = int(flood.wait_for(rf"sent {kind}=(\d+)", 60)[1])
        time.sleep(14)  # the last of them are given up
        packets, size = (now - then for now, then in zip(sent_by(site), before, strict=True))
    assert 0 < packets < 6 * sent
    assert size < 700 * packets


def test_a_flood_of_syn_takes_no_descriptor_and_keeps_nobody_out(site: Site) -> None:
    """Half-open TCP connections are the kernel's, and a real one is let in among them."""
    daemon = prepared(site)
    before = descriptors_of(daemon)
    with flooded(site, 20, syn=10_000):
        time.sleep(5)
        assert descriptors_of(daemon) < before + 20
        for _ in range(5):
            site.lab.run(
                *("lan", "curl", "-sSf", "-m", "30", "-o", "/dev/null"),
                f"http://{BOOT_SERVER}:3000/boot/{NODE}",
            )


def in_flight(site: Site) -> int:
    """Transfers of all protocols, as the metrics count them; this one is none."""
    told = site.lab.run("lan", "curl", "-sSf", "-m", "30", f"http://{BOOT_SERVER}:3000/metrics")
    return sum(int(float(one)) for one in re.findall(r"transfers_in_flight\{.*\} (\S+)", told))


def connections_at(site: Site) -> int:
    """TCP connections of the boot server's ports that are open, as the kernel counts them."""
    told = site.lab.run("boot", "ss", "-Htn", "state", "established")
    return len(told.splitlines())


IDLE = 1500
#: Connections that say nothing, half a request, half a line, or ask and do not read.
_CROWD = f"""
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
said = (b"", b"GET / HTTP", b"GET /{{}} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", b"<13>a line without an end")
held = []
for number in range({IDLE}):
    one = socket.create_connection(("{BOOT_SERVER}", 514 if number % 4 == 3 else 3000), 30)
    one.send(said[number % 4].replace(b"{{}}", b"images/vmlinuz"))
    held.append(one)
print("all", flush=True)
sys.stdin.read()
"""


@pytest.mark.ci
def test_all_is_given_back_after_a_flood(site: Site) -> None:
    """Descriptors, connections, and transfers; and what was asked before can be asked again."""
    daemon = prepared(site)
    for name in TFTP_CLIENTS:
        fetch_until(site, name)
    before, connected = descriptors_of(daemon), connections_at(site)
    crowd = site.lab.spawn("lan", sys.executable, "-c", _CROWD)
    with flooded(site, 60, **ALL):
        crowd.wait_for("all", 60)
        time.sleep(10)
        assert connections_at(site) > connected + 1000
        most = descriptors_of(daemon)
        assert most > before + 1000
    crowd.close()
    assert settles(lambda: in_flight(site), 0) == 0
    assert settles(lambda: connections_at(site), connected) == connected
    # Sockets of TFTP's next transfers are kept at hand, 64 of them at most.
    assert settles(lambda: descriptors_of(daemon), before + 64) <= before + 64
    for name in TFTP_CLIENTS:
        assert fetch_until(site, name) == 1
