"""
The disk of the state folder fails while nodes boot and computers get addresses: it fills up, is
gone, or is another; boots go on, it is said, and once all is well it is kept without a restart.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.faults.place import Place, until

pytestmark = pytest.mark.wire

BOOKS = ("record.sqlite", "boots.sqlite", "leases.sqlite", "logs")


@pytest.fixture
def place(lab: Lab) -> Iterator[Place]:
    state = lab.folder / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(state)], check=True)
    made = Place(lab)
    made.gives_addresses_far_away()
    made.config["netbootd"]["syslog"] = True
    made.serve()
    made.all_boot(2)
    assert made.lease(10)["addresses"] == 10
    yield made
    assert "Traceback" not in made.daemon.text
    subprocess.run(["umount", "-l", str(state)], check=True)


def fill(ballast: Path) -> None:
    """Leave no room; a journal may give some back when it is closed."""
    with suppress(OSError), ballast.open("ab", buffering=0) as opened:
        while True:
            opened.write(bytes(4096))


def a_day(place: Place, first: int) -> int:
    """What happens on one: boots, leases, lines of log; how many computers got an address."""
    mac = f"02:00:00:01:{first & 255:02x}:00"
    place.all_boot(3, mac=mac)
    place.lab.run("lan", "logger", "-n", BOOT_SERVER, "-P", "514", "--udp", f"day {first}")
    return int(place.lease(5, first=(1 << 19) + first * 10)["answers"])


def told(place: Place) -> set[str]:
    troubles = place.troubles()
    return {book for book in BOOKS if book in troubles}


def is_well(place: Place, first: int) -> None:
    """Nothing is wrong any more, and what happens from now on is kept."""
    until(lambda: told(place) <= {"logs"}, "all books are written again", 40)
    assert a_day(place, first) == 5
    until(lambda: not told(place), "the log is written again", 40)
    leases = place.leases()
    until(lambda: stored(place) >= 3, "boots are kept")
    place.daemon.send(9)
    place.daemon.wait(10)
    place.serve()
    assert leases.items() <= place.leases().items()
    assert stored(place) >= 3


def stored(place: Place) -> int:
    """Boots on disk."""
    with closing(sqlite3.connect(place.state / "boots.sqlite")) as connection:
        return int(connection.execute("SELECT count(*) FROM boot").fetchone()[0])


def descriptors(place: Place) -> int:
    return sum(1 for _ in Path(f"/proc/{place.daemon.pid}/fd").iterdir())


def test_it_fills_up_and_has_room_again(place: Place) -> None:
    ballast = place.state / "ballast"
    fill(ballast)
    for number in range(20):
        # Nobody gets an address that is not on disk; everybody boots.
        given = a_day(place, number)
        fill(ballast)
        if {"boots.sqlite", "leases.sqlite"} <= told(place):
            break
    assert {"boots.sqlite", "leases.sqlite"} <= told(place)
    assert a_day(place, 50) == 0, f"{given} before"
    assert "degraded" in place.asked("/healthz")
    ballast.unlink()
    is_well(place, 60)


def test_its_folder_is_removed_with_all_that_is_in_it(place: Place) -> None:
    leases = place.leases()
    for path in place.state.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    a_day(place, 1)
    until((place.state / "leases.sqlite").exists, "a new file is begun")
    until(lambda: told(place) <= {"logs"}, "all books are written again", 40)
    assert leases.items() <= place.leases().items()
    until((place.state / "api.sock").is_socket, "the API has its socket")
    is_well(place, 2)
    assert leases.items() <= place.leases().items(), "what was in memory was written anew"


def test_another_disk_that_is_read_only_is_in_its_place_for_a_while(place: Place) -> None:
    before = descriptors(place)
    leases = place.leases()
    for number in range(3):
        state = str(place.state)
        over = ["mount", "-o", "ro", "-t", "tmpfs", "none", state]
        subprocess.run(over, check=True)
        a_day(place, number)
        until(lambda: len(told(place)) >= 2, "it is said")
        place.all_boot(2, mac="02:00:00:02:00:00")
        subprocess.run(["umount", "-l", state], check=True)
        until(lambda: told(place) <= {"logs"}, "all books are written again", 40)
        until(lambda: answers(place), "the API answers on its socket", 20)
        assert leases.items() <= place.leases().items()
    until(lambda: descriptors(place) <= before + 3, "no descriptor is left open", 60)
    is_well(place, 9)


def answers(place: Place) -> bool:
    with suppress(Exception):
        return bool(place.api("/machines", "-m", "2"))
    return False
