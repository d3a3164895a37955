"""The record of boots over the death of the daemon: a boot on a real network, step by step."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER, Lab
from tests.simulate.kernels import bzimage

pytestmark = pytest.mark.wire

NODE = "00:25:90:27:db:b4"
BASE = f"http://{BOOT_SERVER}:3000"
#: Bytes: more than the buffers of both kernels hold (net.ipv4.tcp_rmem is up to 32 MiB here), or
#: a client that reads slowly would have it all at once.
KERNEL = 80_000_000
#: What firmware and its iPXE do before the script, with the very packets of a simulated one.
FIRMWARE = """
import sys
from netbootd import interfaces
from netbootd.dhcp import wire as dhcp_wire
from netbootd.dhcp.destination import Port
from netbootd.mac import MAC
from netbootd.simulate.firmware import firmware, ipxe_on
from netbootd.simulate.wire import Wire

mac, server, kind = MAC.parse(sys.argv[1]), sys.argv[2], sys.argv[3]
(eth0,) = [one for one in interfaces.read_interfaces() if one.name == "eth0"]
wire, bios = Wire(eth0), firmware("bios", None)
asking = bios if kind == "firmware" else ipxe_on(bios)
offer = wire.dhcp(dhcp_wire.encode(asking.discover(mac)), Port.DHCP, "")
print(offer.file.decode())
if kind == "firmware":
    wire.tftp(server, offer.file.decode(), {"tsize": "0", "blksize": "1456"})
"""


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    root = tmp_path / "srv"
    (root / "images").mkdir(parents=True)
    (root / "images" / "vmlinuz").write_bytes(bzimage(1000))
    os.truncate(root / "images" / "vmlinuz", KERNEL)
    (root / "images" / "initrd").write_bytes(os.urandom(1_000_000))
    linux = {"kernel": "images/vmlinuz", "initrd": "images/initrd", "boot_args": "root=/dev/nfs"}
    return {
        "targets": {"nfs": {"one": linux}},
        "machines": {NODE: {"type": "nfs", "name": "one"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(root),
            "firmware": "/usr/lib/ipxe",
            "state": str(tmp_path / "state"),
        },
    }


def acts(lab: Lab, kind: str) -> None:
    lab.run("lan", sys.executable, "-c", FIRMWARE, NODE, BOOT_SERVER, kind)


def curl(lab: Lab, path: str, *options: str) -> str:
    agent = "iPXE/1.21.1"
    return lab.run("lan", "curl", "-sSf", "-A", agent, "-o", "/dev/null", *options, BASE + path)


def troubles(lab: Lab) -> list[str]:
    found: list[str] = json.loads(lab.run("lan", "curl", "-sSf", f"{BASE}/status"))["troubles"]
    return found


def fill(ballast: Path) -> None:
    """Leave no room on the disk of *ballast*."""
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as opened:
        while True:
            opened.write(bytes(4096))


def on_disk(tmp_path: Path) -> list[dict[str, Any]]:
    """The boots that the file has at this moment."""
    with closing(sqlite3.connect(tmp_path / "state" / "boots.sqlite")) as connection:
        rows = connection.execute("SELECT value FROM boot ORDER BY number").fetchall()
    return [json.loads(value) for (value,) in rows]


def until(tmp_path: Path, true, timeout: float = 15.0) -> list[dict[str, Any]]:
    deadline = time.monotonic() + timeout
    while not true(boots := on_disk(tmp_path)):
        told = [(boot["number"], [step["stage"] for step in boot["steps"]]) for boot in boots]
        assert time.monotonic() < deadline, f"not within the time: {told}"
        time.sleep(0.05)
    return boots


def reached(stage: str):
    return lambda boots: bool(boots) and stage in [step["stage"] for step in boots[-1]["steps"]]


def test_a_boot_goes_on_in_the_same_row_after_the_daemon_was_killed(lab, config, tmp_path):
    daemon = lab.netbootd(config)
    acts(lab, "firmware")
    acts(lab, "ipxe")
    curl(lab, f"/boot/{NODE}")
    slowly = ("curl", "-sS", "--limit-rate", "300k", "-o", "/dev/null", f"{BASE}/images/vmlinuz")
    lab.spawn("lan", *slowly)
    (before,) = until(tmp_path, reached("kernel"))
    assert before["steps"][-1]["open"]
    daemon.send(signal.SIGKILL)
    daemon.wait(5)

    lab.netbootd(config)
    curl(lab, "/images/vmlinuz")
    curl(lab, "/images/initrd")
    curl(lab, f"/scripts/{NODE}")
    curl(lab, f"/done/{NODE}", "-X", "POST")
    (after,) = until(tmp_path, reached("done"))

    assert (after["number"], after["began"]) == (before["number"], before["began"])
    assert after["steps"][:6] == before["steps"][:6]
    stages = [step["stage"] for step in after["steps"]]
    assert stages == [
        *("discover", "offer", "loader", "ipxe-discover", "ipxe-offer", "script"),
        *("kernel", "initrd", "node-script", "done"),
    ]
    kernel = after["steps"][6]
    assert (kernel["times"], kernel["sent"], kernel["trouble"]) == (2, KERNEL, "")
    assert not kernel["open"]
    assert (after["outcome"], after["peer"], after["key"]) == ("done", LAN_SERVER, NODE)


def test_what_was_seen_a_second_before_the_kill_is_there(lab, config, tmp_path):
    daemon = lab.netbootd(config)
    acts(lab, "firmware")
    time.sleep(1)  # no order of things: it is what may be lost
    daemon.send(signal.SIGKILL)
    daemon.wait(5)
    (boot,) = on_disk(tmp_path)
    assert boot["reached"] == "loader"
    assert boot["steps"][2]["sent"] > 50_000
    assert boot["steps"][0]["interface"] == "eth0"


def test_a_script_that_curl_looks_at_is_no_boot(lab, config, tmp_path):
    lab.netbootd(config)
    lab.run("lan", "curl", "-sSf", "-o", "/dev/null", f"{BASE}/boot/{NODE}")
    acts(lab, "firmware")
    (boot,) = until(tmp_path, reached("loader"))
    assert "script" not in [step["stage"] for step in boot["steps"]]


def test_a_full_disk_costs_no_boot_and_is_told(lab, config, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    lab.run("boot", "mount", "-t", "tmpfs", "-o", "size=8m", "none", str(state))
    try:
        _on_a_full_disk(lab, config, tmp_path)
    finally:
        lab.run("boot", "umount", "-l", str(state))


def _on_a_full_disk(lab: Lab, config: dict[str, Any], tmp_path: Path) -> None:
    daemon = lab.netbootd(config)
    acts(lab, "firmware")
    until(tmp_path, reached("loader"))
    ballast = tmp_path / "state" / "ballast"
    fill(ballast)
    acts(lab, "ipxe")
    curl(lab, f"/boot/{NODE}")
    deadline = time.monotonic() + 30
    while not any("boots.sqlite" in trouble for trouble in troubles(lab)):
        assert time.monotonic() < deadline, "the status does not tell"
        fill(ballast)  # a journal has some room left, and gives it back when it is closed
        curl(lab, "/images/vmlinuz")
    daemon.wait_for("boots are not kept over a restart: .*boots.sqlite", 5)
    ballast.unlink()
    daemon.wait_for("the record of boots is written again", 20)
    (boot,) = until(tmp_path, reached("kernel"))
    assert boot["steps"][-1]["sent"] == KERNEL
