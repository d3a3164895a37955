"""
The disk of the state folder fails while nodes boot and computers get addresses: it fills up, is
gone, or is another; boots go on, it is said, and once all is well it is kept without a restart.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.faults.place import Place, until
from tests.vms.descriptions import WEB

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


@pytest.fixture
def ext4(lab: Lab) -> Iterator[Place]:
    """A disk of its own, on an image that has as much room as what it lies on."""
    store, state = lab.folder / "store", lab.folder / "state"
    for one in (store, state):
        one.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=24m", "none", str(store))
    try:
        with (store / "image").open("wb") as image:
            image.truncate(64 << 20)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", str(store / "image"))
        plug_in(state, store)
        made = Place(lab)
        made.gives_addresses_far_away()
        made.serve()
        made.all_boot(2)
        assert made.lease(10)["addresses"] == 10
        yield made
        assert "Traceback" not in made.daemon.text
    finally:
        for one in (state, store):
            subprocess.run(["umount", "-l", str(one)], check=False)


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def plug_in(state: Path, store: Path) -> None:
    run("mount", "-o", "loop,errors=remount-ro", str(store / "image"), str(state))


def input_output_errors(place: Place) -> None:
    """What the image lies on has no room: the kernel's writes fail (EIO), and it gives up."""
    fill(place.state.with_name("store") / "ballast")
    fill(place.state / "ballast")
    with suppress(OSError):
        os.sync()


def made_read_only(place: Place) -> None:
    """As the kernel does it after an error, with everything open."""
    subprocess.run(["mount", "-o", "remount,abort", str(place.state)], capture_output=True)


@pytest.mark.parametrize("fails", [input_output_errors, made_read_only])
def test_it_fails_while_everything_is_open_and_another_takes_its_place(
    ext4: Place, fails: Callable[[Place], None]
) -> None:
    place = ext4
    before, owner = place.leases(), place.state.stat()
    put_vm = (
        *("/vms/web01.json", "-X", "PUT", "-H", f"Authorization: Bearer {place.token}"),
        *("-d", json.dumps(WEB), "-o", "/dev/null", "-w", "%{http_code}"),
    )
    assert place.asked(*put_vm) in ("200", "201", "204")
    fails(place)
    a_day(place, 1)
    until(lambda: {"boots.sqlite", "leases.sqlite"} <= told(place), "it is said", 40)
    assert a_day(place, 2) == 0
    assert int(place.asked(*put_vm)) >= 500
    for book in ("boots.sqlite", "leases.sqlite"):
        assert place.daemon.text.count(f"{book}: ") <= 4, "it is said once"
    run("umount", "-l", str(place.state))
    run("mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place.state))
    os.chown(place.state, owner.st_uid, owner.st_gid)
    until(lambda: told(place) <= {"logs"}, "all books are written again", 60)
    assert a_day(place, 3) == 5
    assert before.items() <= place.leases().items()
    assert place.asked(*put_vm) in ("200", "201", "204")
