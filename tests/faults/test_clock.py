"""
The wall clock is set while the daemon runs, by an hour and by ten years, and is wrong at its start:
nothing that was kept is lost, nobody gets a second address, and boots go on.

``tests/faults/clock/sitecustomize.py`` is the clock: real time and the seconds that a file names.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from netbootd.logbook import files
from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.faults.place import KERNEL, NODE, Place, until

pytestmark = pytest.mark.wire

HOUR, YEAR = 3600, 365 * 86400
STEPS = (HOUR, -HOUR, 10 * YEAR, 0, -10 * YEAR, 0)
CLOCK = Path(__file__).with_name("clock")


@pytest.fixture
def place(lab: Lab) -> Iterator[Place]:
    made = Place(lab)
    made.gives_addresses_far_away()
    made.config["netbootd"]["syslog"] = True
    yield made
    assert "Traceback" not in made.daemon.text


def serve(place: Place, offset: float = 0) -> None:
    set_clock(place, offset)
    words = (f"PYTHONPATH={CLOCK}", f"CLOCK_OFFSET={place.lab.folder / 'offset'}")
    place.serve("env", *words)


def set_clock(place: Place, offset: float) -> None:
    new = place.lab.folder / "offset.new"
    new.write_text(str(offset))
    new.rename(place.lab.folder / "offset")


def logged(place: Place) -> str:
    """All lines; a file is closed, and packed, when the day is over."""
    folder = place.state / "logs"
    return "".join(
        files.opened(folder, identity).read().decode() for identity in files.identities(folder)
    )


def boots(place: Place) -> int:
    with closing(sqlite3.connect(place.state / "boots.sqlite")) as connection:
        return int(connection.execute("SELECT count(*) FROM boot").fetchone()[0])


def test_steps_while_it_runs(place: Place) -> None:
    serve(place)
    place.all_boot(3)
    assert place.lease(5)["addresses"] == 5
    leases = place.leases()
    place.lab.run("lan", "logger", "-n", BOOT_SERVER, "-P", "514", "--udp", "before the steps")
    modified = ("-z", "1 Jan 2020", "-o", "/dev/null", "-w", "%{http_code}")
    for number, offset in enumerate(STEPS):
        set_clock(place, offset)
        place.all_boot(2, mac=f"02:00:00:01:{number:02x}:00")
        counted = place.lease(5, first=100 + 10 * number)
        assert (counted["answers"], counted["addresses"]) == (5, 5)
        assert leases.items() <= place.leases().items(), "a lease ended, or moved"
        leases = place.leases()
        assert place.asked(f"/{KERNEL}", *modified) == "200"
        date = re.search(r"Date: .* (\d{4}) ", place.asked("/status", "-i"))
        assert date
        assert int(date[1]) == time.gmtime(time.time() + offset).tm_year
    until(lambda: "before the steps" in logged(place), "the log has its line still")
    until(lambda: boots(place) >= 3, "the boots are there still")
    assert place.troubles() == ""


def test_what_is_kept_survives_a_clock_ten_years_ahead_at_the_start(place: Place) -> None:
    serve(place)
    place.all_boot(3)
    assert place.lease(5)["addresses"] == 5
    place.lab.run("lan", "logger", "-n", BOOT_SERVER, "-P", "514", "--udp", "of today")
    until(lambda: "of today" in logged(place), "it is written")
    leases = place.leases()
    place.daemon.close()
    log = sorted((place.state / "logs").glob("netbootd-*"))
    count = boots(place)
    serve(place, 10 * YEAR)
    time.sleep(1)  # what is too old goes as soon as it runs, if it goes
    assert leases.items() <= place.leases().items()
    place.all_boot(2)
    assert boots(place) >= count
    assert {one.name.partition(".jsonl")[0] for one in log} <= {
        one.name.partition(".jsonl")[0] for one in (place.state / "logs").glob("netbootd-*")
    }


def test_a_start_in_1970_and_then_the_time_is_known(place: Place) -> None:
    place.config["targets"]["linux"]["special"] = {**place.config["targets"]["linux"]["one"]}
    place.config["targets"]["linux"]["special"]["boot_args"] = "special"
    place.config["machines"][NODE] = {"type": "linux", "name": "one", "loader": "snponly.efi"}
    serve(place, -time.time())
    place.all_boot(2, mac="02:00:00:01:00:00")
    assert place.lease(5)["addresses"] == 5
    leases = place.leases()
    body = ("-X", "PUT", "-H", "Content-Type: application/json")
    place.api(f"/machines/{NODE}/next", *body, "-d", json.dumps({"target": "linux/special"}))
    set_clock(place, 0)
    place.all_boot(2, mac="02:00:00:01:01:00")
    assert leases.items() <= place.leases().items()
    script = ("-A", "iPXE/1.21.1")
    assert "special" in place.asked(f"/boot/{NODE}", *script), "an armed boot waits for its machine"
    assert "special" not in place.asked(f"/boot/{NODE}", *script)
    assert place.troubles() == ""
