"""
Signals in a storm: a hundred SIGHUPs, SIGTERM in a reload, and kill -9 again and again, after each
of which all that was promised (docs/security.rst, "What is kept, and when") is there.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.faults.place import Place, until

pytestmark = pytest.mark.wire

AGENT = ("-A", "iPXE/1.21.1")
KILLS = 4


@pytest.fixture
def place(lab: Lab) -> Place:
    return Place(lab)


@contextmanager
def storm(place: Place, nodes: int, **settings: Any) -> Iterator[None]:
    """Nodes boot meanwhile, and all of them are up at the end."""
    with ThreadPoolExecutor(1) as pool:
        booting = pool.submit(place.all_boot, nodes, **settings)
        yield
        counted = booting.result()
    assert counted["anew"] <= (settings.get("boots", 3) - 1) * nodes


def test_a_hundred_sighups_in_a_storm_of_two_hundred_nodes(place: Place) -> None:
    daemon = place.serve()
    with storm(place, 200, spread=6, boots=1):
        for _ in range(100):
            daemon.send(signal.SIGHUP)
            time.sleep(0.06)
    until(lambda: daemon.text.count("configuration reloaded") > 1, "it was reloaded")
    place.asked("/healthz", "-f")
    assert "Traceback" not in daemon.text
    assert daemon.returncode is None


def test_sigterm_in_the_middle_of_reloads_ends_it_cleanly(place: Place) -> None:
    for pause in (0.0, 0.02, 0.1):
        daemon = place.serve()
        for _ in range(5):
            daemon.send(signal.SIGHUP)
        time.sleep(pause)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            daemon.send(number)
        assert daemon.wait(30) == 0
        assert "Traceback" not in daemon.text


def test_a_storm_comes_up_while_the_daemon_is_killed_and_nothing_promised_is_lost(
    place: Place,
) -> None:
    place.gives_addresses_far_away()
    place.config["netbootd"]["syslog"] = True
    place.config["targets"]["linux"]["special"] = {**place.config["targets"]["linux"]["one"]}
    place.config["targets"]["linux"]["special"]["boot_args"] = "special"
    place.serve()
    promises = Promises(place)
    with storm(place, 40, spread=15, boots=20):
        for round_ in range(KILLS):
            promises.make(round_)
            place.daemon.send(signal.SIGKILL)
            place.daemon.wait(10)
            place.serve()
            promises.are_kept()
    assert len(promises.addresses) == 5 * KILLS


class Promises:
    """What the daemon has said yes to; *place* is asked whether it still knows."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.addresses: dict[str, str] = {}
        self.added: list[str] = []
        self.armed: list[str] = []
        self.used: list[str] = []
        self.lines: list[str] = []

    def make(self, round_: int) -> None:
        place = self.place
        line = f"line of round {round_}"
        place.lab.run("lan", "logger", "-n", BOOT_SERVER, "-P", "514", "--udp", line)
        self.lines.append(line)
        time.sleep(1)  # it is what may be lost of the log
        for what in (self.armed, self.used):
            card = f"00:25:90:27:db:{len(self.added):02x}"
            entry = {"mac": card, "target": "linux/one"}
            self._says("/machines", entry)
            self.added.append(card)
            self._says(f"/machines/{card}/next", {"target": "linux/special"})
            what.append(card)
        assert "special" in self._script(self.used[-1])
        known = set(place.leases())
        assert place.lease(5, first=(1 << 19) + 10 * round_)["addresses"] == 5
        self.addresses |= {at: mac for at, mac in place.leases().items() if at not in known}

    def are_kept(self) -> None:
        leases = self.place.leases()
        assert {at: leases.get(at) for at in self.addresses} == self.addresses
        for card in self.added:
            assert self.place.api(f"/machines/{card}")["key"] == card
        for card in self.used:
            assert "special" not in self._script(card), "an armed boot was given twice"
        while self.armed:  # once each: looking at it uses it up
            self.used.append(self.armed.pop())
            assert "special" in self._script(self.used[-1]), "an armed boot was lost"
        logged = "".join(
            path.read_text() for path in sorted((self.place.state / "logs").glob("*.jsonl"))
        )
        for line in self.lines:
            assert logged.count(line) <= 1

    def _script(self, card: str) -> str:
        return self.place.asked(f"/boot/{card}", *AGENT)

    def _says(self, path: str, what: dict[str, str]) -> None:
        body = ("-f", "-H", "Content-Type: application/json", "-d", json.dumps(what))
        method = "PUT" if path.endswith("/next") else "POST"
        self.place.api(path, "-X", method, *body)
