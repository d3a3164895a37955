"""
What TFTP sends to somebody who never asked, where request and ACKs are forged; and requests with the
addresses of real clients, beside real ones.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from netbootd.tftp import toll
from tests.end_to_end import forger
from tests.end_to_end.lab import BOOT_SERVER, Lab, write_config
from tests.end_to_end.process import ROOT, LabError

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

FORGER = "192.0.2.66"
#: Fetches ``small`` from each address that is forged later, as its owner would.
FETCHES = """
import contextlib, socket, sys
sys.path.insert(0, sys.argv[1])
from tests.end_to_end.forger import KNOWN, known
fetched = 0
for number in range(KNOWN):
    for _ in range(10):
        with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.settimeout(0.5)
            udp.bind((str(known(number)), 0))
            udp.sendto(b"\\0\\1small\\0octet\\0", (sys.argv[2], 69))
            udp.sendto(b"\\0\\4\\0\\1", udp.recvfrom(600)[1])
            fetched += 1
            break
print(fetched)
"""
CLIENTS = {
    "curl": ("curl", "-sS", "-m", "30", "-o", "/dev/null", f"tftp://{BOOT_SERVER}/loader"),
    "atftp": ("atftp", "-g", "-r", "loader", "-l", "/dev/null", BOOT_SERVER),
    "tftp": ("tftp", "-m", "binary", BOOT_SERVER, "-c", "get", "loader", "/dev/null"),
}


class Told(NamedTuple):
    """Packets and bytes of who forged, in so many seconds, and of what the boot server sent."""

    seconds: float
    packets: int
    size: int
    answers: int
    answered: int


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Lab(tmp_path) as lab:
        yield Place(lab, tmp_path)


class Place:
    """A boot server, and somebody who forges on a cable of the same switch."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self._folder = folder
        files = folder / "srv"
        files.mkdir()
        for name, size in {"small": 5, "loader": 70_000, "big": 30_000_000}.items():
            (files / name).write_bytes(os.urandom(size))

    def serves(self, **tftp: Any) -> Any:
        keys = {
            "interfaces": ["eth0"],
            "files": str(self._folder / "srv"),
            "state": str(self._folder / "state"),
            "tftp": tftp,
        }
        config = {"targets": {}, "machines": {}, "netbootd": keys}
        daemon = self.lab.netbootd(write_config(self._folder / "netbootd.json", config))
        self.lab.plug("forger", FORGER)
        self.lab.ip("boot", f"route add default via {FORGER}")  # so that answers find a way
        return daemon

    def forging(self, *what: str) -> list[str]:
        shown = json.loads(self.lab.run("boot", "ip", "-j", "link", "show", "eth0"))
        program = ("-m", "tests.end_to_end.forger", "eth0", BOOT_SERVER, shown[0]["address"])
        return ["env", f"PYTHONPATH={ROOT}", sys.executable, *program, *what]

    def forge(self, *what: str) -> Told:
        """Until the boot server has given up."""
        before, began = self._sent(), time.monotonic()
        forged = self.lab.run("forger", *self.forging(*what), timeout=120)
        seconds = time.monotonic() - began
        while (sent := self._sent()) and not self._rests(sent):
            pass
        packets, size = map(int, forged.split())
        told = Told(seconds, packets, size, sent[0] - before[0], sent[1] - before[1])
        print(told)
        return told

    def _rests(self, sent: tuple[int, int]) -> bool:
        """Pauses between repetitions last six seconds."""
        time.sleep(8)
        return self._sent() == sent

    def _sent(self) -> tuple[int, int]:
        shown = json.loads(self.lab.run("boot", "ip", "-s", "-j", "link", "show", "eth0"))
        told = shown[0]["stats64"]["tx"]
        return told["packets"], told["bytes"]


def test_acks_to_every_port_there_is_bring_less_than_they_cost(place: Place) -> None:
    place.serves()
    """At worst one hits, and then nobody answers: the window goes out again and again."""
    told = place.forge("spray")
    assert told.answers > 64, "not one of the ACKs has hit"
    assert told.answered < told.size


def test_acks_to_a_single_port_bring_what_an_address_may_have(place: Place) -> None:
    place.serves(single_port=True)
    told = place.forge("single", "20000")
    assert toll._BURST <= told.answers <= toll._BURST + toll._RATE * told.seconds + 100


def test_real_clients_are_served_beside_requests_with_the_addresses_of_real_clients(
    place: Place,
) -> None:
    """2,000 of them, that fetched something before; how fast is a matter of the processors."""
    daemon = place.serves()
    place.lab.plug("late", "192.0.2.67")
    place.lab.ip("forger", "link set lo up")
    place.lab.ip("forger", "route add local 198.18.0.0/16 dev lo")
    fetches = ("forger", sys.executable, "-c", FETCHES, str(ROOT), BOOT_SERVER)
    assert int(place.lab.run(*fetches, timeout=300)) == forger.KNOWN
    place.lab.ip("forger", "route del local 198.18.0.0/16 dev lo")
    place.lab.run("lan", *CLIENTS["curl"])
    flood = place.lab.spawn("forger", *place.forging("known", "20000"))
    flood.wait_for("floods", 60)
    for name in ("curl", "atftp", "tftp"):
        for host in ("lan", "late"):
            _fetch(place, host, name)
    flood.close()
    assert "TFTP is flooded" in daemon.text
    assert "Traceback" not in daemon.text


def _fetch(place: Place, host: str, name: str, tries: int = 4) -> None:
    """As a boot ROM does: it asks some times before it gives up."""
    for attempt in range(1, tries + 1):
        try:
            place.lab.run(host, *CLIENTS[name], timeout=60)
        except LabError:
            assert attempt < tries, f"{name} on {host}"
        else:
            return
