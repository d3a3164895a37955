"""
The interface goes and comes, and its address changes, while nodes boot: nothing is restarted, and
what is offered follows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER, Lab
from tests.faults.place import Place

pytestmark = pytest.mark.wire

OTHER = "192.0.2.11"
NODE_NETWORK = "10.65.0.0/16"


@pytest.fixture
def place(lab: Lab) -> Iterator[Place]:
    made = Place(lab)
    del made.config["boot_servers"]  # what is offered follows the interface
    daemon = made.serve()
    yield made
    assert "Traceback" not in daemon.text
    assert daemon.returncode is None, "it was not to be restarted"


def route(lab: Lab) -> None:
    """The kernel forgets those of an interface that goes down, or whose address goes."""
    lab.ip("boot", f"route replace {NODE_NETWORK} via {LAN_SERVER}")


def offered_from(place: Place, address: str) -> None:
    """A node that boots now is sent to *address*, and to no other."""
    before = len(place.daemon.text)
    place.all_boot(2, server=address, boots=1)
    # The log is written by a thread of its own, and may be a little behind.
    place.daemon.wait_for(f"offered http://{re.escape(address)}:3000/boot/", 10, after=before)
    told = place.daemon.text[before:]
    assert f"from {address} on" in told


def test_an_interface_goes_down_and_comes_up_while_nodes_boot(place: Place) -> None:
    lab = place.lab

    def flaps() -> None:
        for _ in range(3):
            lab.ip("boot", "link set eth0 down")
            time.sleep(1)
            lab.ip("boot", "link set eth0 up")
            route(lab)
            time.sleep(2)

    place.all_boot_during(flaps, 20, spread=8)
    offered_from(place, BOOT_SERVER)


def test_an_interface_is_deleted_and_made_anew(place: Place) -> None:
    lab = place.lab

    def replug() -> None:
        for _ in range(2):
            lab.ip("boot", "link del eth0")
            time.sleep(1)
            lab.cable("boot", "eth0", BOOT_SERVER)
            route(lab)
            time.sleep(2)

    place.all_boot_during(replug, 20, spread=6)
    offered_from(place, BOOT_SERVER)


def test_the_address_changes_while_nodes_boot(place: Place) -> None:
    lab = place.lab

    def move() -> None:
        for old, new in ((BOOT_SERVER, OTHER), (OTHER, BOOT_SERVER), (BOOT_SERVER, OTHER)):
            lab.ip("boot", f"addr del {old}/24 dev eth0")
            lab.ip("boot", f"addr add {new}/24 broadcast + dev eth0")
            route(lab)
            time.sleep(3)

    place.all_boot_during(move, 20, spread=8)
    offered_from(place, OTHER)


def test_two_interfaces_change_their_addresses(place: Place) -> None:
    """As when cables were in the wrong cards: each has the other's network from then on."""
    lab = place.lab
    lab.segment("second")
    lab.cable("boot", "eth1", "198.51.100.10", "second")
    lab.cable("lan", "eth1", "198.51.100.1", "second")
    place.config["netbootd"]["interfaces"] = ["eth0", "eth1"]
    place.reload()
    offered_from(place, BOOT_SERVER)
    for interface in ("eth0", "eth1"):
        lab.ip("boot", f"addr flush dev {interface}")
    lab.ip("boot", f"addr add {BOOT_SERVER}/24 broadcast + dev eth1")
    lab.ip("boot", "addr add 198.51.100.10/24 broadcast + dev eth0")
    lab.ip("switch", "link set eth0-boot master second")
    lab.ip("switch", "link set eth1-boot master lan")
    route(lab)
    place.all_boot(2, server=BOOT_SERVER, boots=10)
    offered_from(place, BOOT_SERVER)
    assert f"from {BOOT_SERVER} on eth1" in place.daemon.text
