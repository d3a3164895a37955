"""
The load generators tell the truth: of netbootd, of dnsmasq, and of servers that get things wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import clients
from tests.end_to_end.conftest import lab
from tests.end_to_end.lab import BOOT_SERVER, HTTP, LAN_SERVER, Lab
from tests.end_to_end.process import LabError, Process

__all__ = ["lab"]

pytestmark = pytest.mark.wire

LOADER, KERNEL, INITRD = "snponly.efi", "images/kernel", "images/initrd"
SIZES = {LOADER: 174_000, KERNEL: 1_000_000, INITRD: 3 << 20}
NODES = "10.65.0.1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What is served."""
    folder = tmp_path / "srv"
    for name, size in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        clients.pattern(folder / name, size)
    return folder


def netbootd(lab: Lab, root: Path, **more: Any) -> None:
    """Serves *root* to every machine there is."""
    linux = {"kernel": KERNEL, "initrd": INITRD, "boot_args": "hostname=__mac__"}
    config = {
        "boot_servers": {"default": HTTP},
        "targets": {"linux": {"one": linux}},
        "machines": {"default": {"type": "linux", "name": "one", "loader": LOADER}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(root),
            "firmware": [],
            "state": str(root.with_name("state")),
        },
        **more,
    }
    route_to_nodes(lab)
    lab.netbootd(config)


def dnsmasq(lab: Lab, root: Path) -> Process:
    """A proxy on the boot server, as one would have it beside a site's DHCP server."""
    route_to_nodes(lab)
    server = lab.spawn(
        *("boot", "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--interface=eth0", "--bind-interfaces", "--dhcp-range=192.0.2.0,proxy", "--log-dhcp"),
        *("--enable-tftp", f"--tftp-root={root}"),
        f"--pxe-service=X86-64_EFI,boot,{LOADER}",
        f"--pxe-service=x86PC,boot,{LOADER}",
    )
    server.wait_for("DHCP, proxy", 10)
    return server


def route_to_nodes(lab: Lab) -> None:
    """Every address of 10.65.0.0/16 is one of the clients'."""
    lab.ip("lan", "route replace local 10.65.0.0/16 dev lo")
    lab.ip("boot", f"route replace 10.65.0.0/16 via {LAN_SERVER}")


def dhcp(lab: Lab, **settings: Any) -> dict[str, Any]:
    """Clients that wait long enough even where many tests share the processors."""
    given = {"server": BOOT_SERVER, "patience": 20, "linger": 20, **settings}
    return clients.run(lab, "dhcp", **given)


@pytest.mark.parametrize("firmware", ["uefi", "bios"])
@pytest.mark.parametrize("mode", ["offer", "pair"])
@pytest.mark.parametrize("server", [netbootd, dnsmasq])
def test_every_exchange_with_a_real_server_is_counted_once(
    lab: Lab, root: Path, server: Any, mode: str, firmware: str
) -> None:
    server(lab, root)

    # The first one may have to wait for what netbootd loads when it is needed.
    dhcp(lab, burst=1, mode=mode, firmware=firmware)

    # dnsmasq answers requests to 4011 from its own network only: all have the address of "lan".
    counted = dhcp(lab, window=4, seconds=0.5, distinct=50, mode=mode, firmware=firmware)

    assert counted["problem"] == ""
    assert counted["begun"] == counted["answers"] == counted["exchange"]["count"] > 0
    assert counted["asked"] == counted["answers"] * (2 if mode == "pair" else 1)
    assert {counted[name] for name in ("lost", "wrong", "repeated", "again", "refused")} == {0}


def test_a_burst_of_machines_with_addresses_of_their_own_gets_their_own_files(
    lab: Lab, root: Path
) -> None:
    netbootd(lab, root)

    settings = {"burst": 500, "distinct": 500, "mode": "pair", "nodes": NODES}
    counted = dhcp(lab, **settings, expect="{mac}/")

    assert counted["problem"] == ""
    assert (counted["answers"], counted["lost"], counted["wrong"]) == (500, 0, 0)
    assert dhcp(lab, **settings, expect="other/")["wrong"] == 500


def test_clients_behind_a_relay_are_answered_too(lab: Lab, root: Path) -> None:
    netbootd(lab, root)

    counted = dhcp(lab, rate=200, seconds=1, distinct=200, relay=LAN_SERVER, late_ms=0)

    assert counted["problem"] == ""
    assert counted["late"] == 200
    assert (counted["answers"], counted["lost"], counted["wrong"]) == (200, 0, 0)


def tftp(lab: Lab, **settings: Any) -> dict[str, Any]:
    return clients.run(lab, "tftp", server=BOOT_SERVER, clients=8, **settings)


@pytest.mark.parametrize("habit", ["plain", "uefi", "bios", "ipxe"])
@pytest.mark.parametrize("server", [netbootd, dnsmasq])
def test_every_byte_of_every_transfer_is_compared(
    lab: Lab, root: Path, server: Any, habit: str
) -> None:
    server(lab, root)

    settings = {"file": LOADER, "transfers": 40, "as": habit, "nodes": NODES}
    counted = tftp(lab, **settings, verify=root / LOADER)

    assert counted["problem"] == ""
    assert (counted["transfers"], counted["failed"], counted["wrong"]) == (40, 0, 0)
    assert counted["bytes"] == 40 * SIZES[LOADER]
    assert counted["transfer"]["count"] == 40


def test_a_file_over_a_window_of_sixteen_and_what_is_not_it(lab: Lab, root: Path) -> None:
    netbootd(lab, root)

    settings = {"file": INITRD, "transfers": 16, "blksize": 1468, "windowsize": 16}
    counted = tftp(lab, **settings, verify=root / INITRD)
    other = tftp(lab, **settings, verify=root / KERNEL)
    missing = tftp(lab, **settings | {"file": "missing"})

    assert (counted["transfers"], counted["failed"], counted["problem"]) == (16, 0, "")
    assert counted["bytes"] == 16 * SIZES[INITRD]
    assert (other["transfers"], other["failed"], other["wrong"]) == (0, 16, 16)
    assert (missing["failed"], missing["wrong"]) == (16, 0)
    assert "not found" in missing["problem"]


def http(lab: Lab, **settings: Any) -> dict[str, Any]:
    return clients.run(lab, "http", server=BOOT_SERVER, port=3000, connections=8, **settings)


@pytest.mark.parametrize("keep", [0, 1])
def test_each_machine_is_to_get_its_own_script(lab: Lab, root: Path, keep: int) -> None:
    netbootd(lab, root)

    settings = {"path": "/boot/{mac}", "distinct": 100, "requests": 200, "keepalive": keep}
    counted = http(lab, **settings, expect="hostname={mac}")
    other = http(lab, **settings, expect="hostname=other")

    assert counted["problem"] == ""
    assert (counted["requests"], counted["failed"], counted["wrong"]) == (200, 0, 0)
    assert counted["connects"] == (8 if keep else 200)
    assert (other["requests"], other["failed"], other["wrong"]) == (0, 200, 200)


@pytest.mark.parametrize("sample", [0, 64, 1024])
def test_images_are_counted_to_the_last_byte(lab: Lab, root: Path, sample: int) -> None:
    netbootd(lab, root)

    settings = {"path": f"/{INITRD}", "requests": 20, "keepalive": 1, "sample": sample}
    counted = http(lab, **settings, verify=root / INITRD)

    assert counted["problem"] == ""
    assert (counted["requests"], counted["failed"], counted["wrong"]) == (20, 0, 0)
    assert counted["bytes"] == 20 * SIZES[INITRD]
    assert http(lab, **settings, verify=root / KERNEL)["wrong"] == 20
    assert http(lab, **settings | {"path": "/missing"})["failed"] == 20


def test_what_is_under_way_at_the_end_counts_by_its_bytes(lab: Lab, root: Path) -> None:
    netbootd(lab, root)

    counted = http(lab, path=f"/{INITRD}", seconds=0.5, size=SIZES[INITRD])

    assert (counted["failed"], counted["problem"]) == (0, "")
    assert 0 < counted["requests"] * SIZES[INITRD] <= counted["bytes"]


def test_transfers_under_way_at_the_end_are_left_and_count_by_their_bytes(
    lab: Lab, root: Path
) -> None:
    netbootd(lab, root)

    counted = tftp(lab, file=INITRD, seconds=0.3, blksize=512, verify=root / INITRD)

    assert (counted["failed"], counted["wrong"], counted["problem"]) == (0, 0, "")
    assert counted["bytes"] > counted["transfers"] * SIZES[INITRD]
    assert counted["seconds"] < 100  # it waits for none that stands still


def storm(lab: Lab, root: Path, **settings: Any) -> dict[str, Any]:
    files = {"loader": root / LOADER, "kernel": root / KERNEL, "initrd": root / INITRD}
    given = {"server": BOOT_SERVER, "spread": 0.2, "deadline": 100, **files, **settings}
    return clients.run(lab, "storm", **given)


def test_all_nodes_of_a_storm_come_up_with_every_byte(lab: Lab, root: Path) -> None:
    netbootd(lab, root)

    settings = {"count": 20, "firmware": "mixed", "nodes": NODES}
    counted = storm(lab, root, **settings)
    other = storm(lab, root, **settings, initrd=root / LOADER)

    assert counted["problem"] == ""
    assert (counted["finished"], counted["failed"], counted["wrong"]) == (20, 0, 0)
    # As firmware and as iPXE; the legacy ones had their file in the offer.
    assert counted["discovers"] == 40 + counted["again"]
    assert counted["bytes"] > 20 * sum(SIZES.values())
    for phase in ("dhcp", "tftp", "ipxe", "script", "kernel", "initrd", "node"):
        assert counted[phase]["count"] == 20
    assert counted["node"]["max"] <= counted["wall"] * 1000
    assert (other["finished"], other["failed"], other["wrong"]) == (0, 20, 20)


def test_a_storm_over_dnsmasq_and_a_plain_web_server(lab: Lab, root: Path) -> None:
    dnsmasq(lab, root)
    url = f"http://{HTTP}"
    (root / "boot.ipxe").write_text(f"#!ipxe\nkernel {url}/{KERNEL}\ninitrd {url}/{INITRD}\nboot\n")
    server = ("python3", "-u", "-m", "http.server", "3000", "--directory", str(root))
    lab.spawn("boot", *server).wait_for("Serving", 10)

    (root / "wait.ipxe").write_text(
        "#!ipxe\nprompt --key 0x02 --timeout 200 Wait && shell ||\nsleep 0.1\n"
        f"chain --replace {url}/boot.ipxe?uuid=${{uuid}} ||\nsleep 5\n"
    )
    settings = {"count": 10, "firmware": "mixed"}
    counted = storm(lab, root, **settings, script=f"{url}/boot.ipxe")
    held = storm(lab, root, **settings, script=f"{url}/wait.ipxe")

    assert counted["problem"] == held["problem"] == ""
    assert (counted["finished"], counted["failed"], counted["wrong"]) == (10, 0, 0)
    assert counted["connects"] == 30  # HTTP/1.0: one for each file
    assert (held["finished"], held["waits"], held["connects"]) == (10, 10, 40)
    assert held["script"]["p50"] >= 300


def test_a_node_that_nobody_answers_is_lost_at_the_deadline(lab: Lab, root: Path) -> None:
    counted = storm(lab, root, count=3, deadline=5)

    assert (counted["finished"], counted["failed"]) == (0, 3)
    assert (counted["discovers"], counted["again"]) == (6, 3)
    assert "deadline" in counted["problem"]


def liar(lab: Lab, protocol: str, fault: str, *files: Path) -> None:
    """A server with a *fault* in every tenth of its answers."""
    argv = (sys.executable, "-m", "tests.bench.liar", protocol, fault, *map(str, files))
    lab.spawn("boot", *argv).wait_for("ready", 10)


@pytest.mark.parametrize(
    ("fault", "mode", "noticed"),
    [
        ("none", "offer", {"answers": 100}),
        ("silence", "offer", {"answers": 90, "lost": 10}),
        ("twice", "offer", {"answers": 100, "repeated": 10}),
        ("machine", "offer", {"answers": 100, "wrong": 10}),
        ("uuid", "offer", {"answers": 100, "wrong": 10}),
        ("file", "offer", {"answers": 100, "wrong": 10}),
        ("torn", "offer", {"answers": 90, "lost": 10}),
        ("lease", "lease", {"answers": 100, "addresses": 100}),
        ("same address", "lease", {"answers": 100, "addresses": 91, "wrong": 9}),
        ("refusal", "lease", {"answers": 90, "refused": 10}),
    ],
)
def test_dhcp_notices(lab: Lab, fault: str, mode: str, noticed: dict[str, int]) -> None:
    liar(lab, "dhcp", fault)

    settings = {"rate": 200, "seconds": 0.5, "distinct": 100, "mode": mode}
    counted = dhcp(lab, **settings, linger=5, expect="right.file")

    usual = {"asked": 100, "begun": 100, "lost": 0, "wrong": 0, "repeated": 0, "refused": 0}
    if mode == "lease":
        del usual["asked"]
    assert counted | usual | noticed == counted
    assert counted["exchange"]["count"] == noticed["answers"]
    assert bool(counted["problem"]) == (
        fault in ("machine", "uuid", "file", "torn", "same address")
    )


def test_a_question_that_was_not_answered_is_asked_again(lab: Lab) -> None:
    liar(lab, "dhcp", "silence")

    counted = dhcp(lab, window=1, seconds=1, patience=0.3, distinct=1000)

    assert (counted["lost"], counted["wrong"]) == (0, 0)
    assert counted["again"] == counted["asked"] - counted["begun"] > 0
    assert counted["answers"] == counted["begun"]
    assert counted["exchange"]["max"] >= 300


@pytest.mark.parametrize(
    ("fault", "noticed"),
    [
        ("none", {}),
        ("silence", {"again": 2}),
        ("stuck", {"failed": 2, "again": 4}),
        ("gone", {"failed": 2, "again": 2}),
        ("short", {"failed": 2, "wrong": 2}),
        ("byte", {"failed": 2, "wrong": 2}),
        ("lost", {"again": 2}),
        ("twice", {"duplicates": 2}),
        ("early", {"gaps": 2}),
    ],
)
def test_tftp_notices(lab: Lab, root: Path, fault: str, noticed: dict[str, int]) -> None:
    file = clients.pattern(root / "file", 5000)
    liar(lab, "tftp", fault, file)

    settings = {"file": "file", "transfers": 20, "verify": file, "timeout": 2, "tries": 3}
    counted = clients.run(lab, "tftp", server=BOOT_SERVER, clients=2, **settings)

    usual = {"failed": 0, "wrong": 0, "again": 0, "duplicates": 0, "gaps": 0}
    expected = usual | noticed
    assert counted | expected == counted
    assert counted["transfers"] == 20 - expected["failed"]
    assert bool(counted["problem"]) == bool(expected["failed"])


@pytest.mark.parametrize(
    ("fault", "noticed"),
    [
        ("none", {}),
        ("silence", {"failed": 2}),
        ("status", {"failed": 2}),
        ("short", {"failed": 2}),
        ("smaller", {"failed": 2, "wrong": 2}),
        ("byte", {"failed": 2, "wrong": 2}),
        ("more", {"failed": 2, "wrong": 2}),
    ],
)
def test_http_notices(lab: Lab, root: Path, fault: str, noticed: dict[str, int]) -> None:
    file = clients.pattern(root / "file", 50_000)
    liar(lab, "http", fault, file)

    counted = clients.run(
        *(lab, "http"),
        **{"server": BOOT_SERVER, "port": 3000, "path": "/file", "requests": 20, "verify": file},
        **{"patience": 3, "connections": 4},
    )

    expected = {"failed": 0, "wrong": 0} | noticed
    assert counted | expected == counted
    assert counted["requests"] == counted["request"]["count"] == 20 - expected["failed"]
    assert bool(counted["problem"]) == bool(expected["failed"])


def test_arguments_that_make_no_sense_are_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="unknown argument windows="):
        dhcp(lab, windows=3, window=1)
    with pytest.raises(LabError, match="expected one of window=, rate= and burst="):
        dhcp(lab, window=3, burst=1)
