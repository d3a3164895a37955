"""
What the benchmark measures is what happens: each load once, small, on netbootd.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.bench import servers
from tests.bench.ground import CLIENTS, INITRD, KERNEL, LARGE, LOADER, SMALL, Ground, file
from tests.bench.loads import dhcp, http, images, leases, reload, start, storm, tftp
from tests.bench.servers import Running
from tests.end_to_end.conftest import lab
from tests.end_to_end.lab import Lab

__all__ = ["lab"]

pytestmark = pytest.mark.wire

FEW = 50


@pytest.fixture
def ground(lab: Lab) -> Ground:
    return Ground(lab)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One netbootd for all loads that need no other, on a ground of its own."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    for name in (LOADER, SMALL, KERNEL, INITRD, LARGE):
        file(name)  # who has no loader is not answered
    with Lab(tmp_path_factory.mktemp("bench")) as lab:
        folder = lab.folder / "netbootd"
        with Running(Ground(lab), "netbootd", servers.with_machines(FEW), folder) as started:
            dhcp.burst(1).measure(started)  # the first packet waits for what is imported late
            yield started


def test_dhcp_is_answered_whoever_asks_and_however_many(running: Running) -> None:
    assert dhcp.burst(FEW).measure(running)[dhcp.LOST] == 0
    for case in (dhcp.fast("offer", 1, 0.3), dhcp.fast("pair", FEW, 0.3)):
        fast = case.measure(running)
        assert fast[dhcp.ANSWERS] > 0
        assert fast[dhcp.CPU] > 0
    assert dhcp.at_a_rate(100, 0.3).measure(running)[dhcp.LOST] == 0


@pytest.mark.parametrize("windowsize", [1, 16])
def test_files_come_by_tftp_without_a_wrong_byte(running: Running, windowsize: int) -> None:
    found = tftp.Transfers(SMALL, 4, 1468, windowsize, once=True).measure(running)

    assert found[tftp.FAILED] == 0
    assert found[tftp.SPEED] > 0


def test_a_loss_is_made_and_ends(running: Running) -> None:
    ground = running.ground
    lossy = {"file": LOADER, "clients": 2, "transfers": 4, "verify": file(LOADER)}
    with ground.loss(5):
        counted = ground.load("tftp", **lossy, blksize=1468)
    assert counted["failed"] == 0
    assert counted["again"] + counted["duplicates"] + counted["gaps"] > 0

    counted = ground.load("tftp", **lossy, blksize=1468)
    assert counted["gaps"] == 0


def test_each_machine_gets_a_script(running: Running) -> None:
    found = http.scripts(keep=False, seconds=0.3).measure(running)

    assert found["failed"] == 0
    assert found[http.SCRIPTS] > 0


def test_images_are_whole(running: Running) -> None:
    found = images.images(1, LARGE).measure(running)

    assert found["failed"] == 0
    assert found[images.CPU] > 0


def test_every_node_of_a_storm_boots(running: Running) -> None:
    found = storm.storm(3).measure(running)

    assert (found[storm.FAILED], found[storm.AGAIN]) == (0, 0)
    assert found[storm.WALL] > 0
    assert found[storm.MEMORY] > 10


def test_nobody_goes_without_during_a_reload(ground: Ground) -> None:
    with reload.starts(FEW)(ground, "netbootd", ground.lab.folder / "reload") as crowded:
        found = reload.reloading(nodes=2, stretch_s=0.3)(crowded)

    assert (found[reload.UNANSWERED], found[storm.FAILED]) == (0, 0)
    assert found["reload, s"] > 0


def test_a_start_and_commands_take_their_time(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "TIMES", 1)
    with start.start(ground, "netbootd", ground.lab.folder / "start") as running:
        assert running.took > 0
        # Less what any program takes, once each: on a busy machine that may be more.
        assert start.commands(running).keys() == {"--help, s", "show MAC, s", "status, s"}


@pytest.mark.parametrize("relay", ["", CLIENTS], ids=["by broadcast", "by a relay"])
def test_every_client_has_an_address_of_its_own(ground: Ground, relay: str) -> None:
    with leases.start(ground, "netbootd", ground.lab.folder / "leases") as running:
        found = leases.fast(relay, 0.5).measure(running)

    assert found["leases/s"] > 0
    assert found["refused"] == 0


def test_netbootd_ends_by_itself_though_a_client_has_left_in_the_midst(ground: Ground) -> None:
    """As all clients have where a run is cut short: it would wait for them, and be killed."""
    file(LARGE)
    ask = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20)\n"
        f"s.sendto(b'\\0\\1{LARGE}\\0octet\\0', ('{servers.SERVER}', 69)); print(s.recv(4)[:2])\n"
    )
    folder = ground.lab.folder / "cut short"
    with Running(ground, "netbootd", servers.with_machines(1), folder) as running:
        assert ground.lab.run("lan", sys.executable, "-c", ask) == "b'\\x00\\x03'\n"
    assert running._processes[0].returncode == 0
