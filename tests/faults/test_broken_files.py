"""
The SQLite files of the state folder, broken in each way while nobody runs: each is set aside under
its name with ``.broken``, a new one is begun, and it is said.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.lab import Lab
from tests.faults.place import LOADER, NODE, Place, until

pytestmark = pytest.mark.wire

FILES = ("record.sqlite", "boots.sqlite", "leases.sqlite")


def header(file: Path) -> None:
    _overwrite(file, 0, os.urandom(100))


def pages(file: Path) -> None:
    for page in range(4096, file.stat().st_size, 4096):
        _overwrite(file, page, b"\xff" * 64)


def _overwrite(file: Path, at: int, data: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(data)


def truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 + 100)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def anothers(file: Path) -> None:
    """A database, but none of ours."""
    with closing(sqlite3.connect(file)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(f"CREATE TABLE x (y); PRAGMA user_version = {version}")


def columns(file: Path) -> None:
    """Tables with our names and other columns."""
    with closing(sqlite3.connect(file)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in names.fetchall():
            if not name.startswith("sqlite_"):
                connection.executescript(f"DROP TABLE {name}; CREATE TABLE {name} (x)")


def trigger(file: Path) -> None:
    """Nothing can be written any more."""
    with closing(sqlite3.connect(file)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in names.fetchall():
            if not name.startswith("sqlite_"):
                connection.execute(
                    f"CREATE TRIGGER no_{name} BEFORE INSERT ON {name} BEGIN"
                    " SELECT RAISE(ABORT, 'no'); END"
                )


def application(file: Path) -> None:
    """Another program's (GeoPackage)."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA application_id = 0x47504B47")


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")


#: The others take as long, and are for ``make e2e``.
BREAKS = [
    *(header, empty, folder, trigger),
    *(
        pytest.param(one, marks=pytest.mark.e2e)
        for one in (pages, truncated, fifo, anothers, columns, application, newer)
    ),
]


@pytest.fixture
def place(lab: Lab) -> Place:
    made = Place(lab)
    made.gives_addresses_far_away()
    made.config["targets"]["biosupdate"] = {"flash": {"initrd": "images/initrd", "once": True}}
    made.serve()
    made.all_boot(4)
    assert made.lease(20)["addresses"] == 20
    made.daemon.close()
    return made


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_broken_file_is_set_aside_and_everything_goes_on(
    place: Place, breaks: Callable[[Path], None]
) -> None:
    for name in FILES:
        breaks(place.state / name)
    daemon = place.serve()
    place.all_boot(2)
    counted = place.lease(20)
    assert (counted["answers"], counted["addresses"]) == (20, 20)
    for name in FILES:
        assert os.path.lexists(place.state / f"{name}.broken"), name
        assert daemon.text.count(f"{name}.broken now, and a new one begun") == 1
    assert "sqlite" not in place.troubles()
    place.daemon.close()
    assert "Traceback" not in daemon.text
    for name in FILES:
        with closing(sqlite3.connect(place.state / name)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_is_to_be_done_once_waits_when_nobody_knows_what_is_done(place: Place) -> None:
    place.config["machines"][NODE] = {"type": "biosupdate", "name": "flash", "loader": LOADER}
    header(place.state / "record.sqlite")
    daemon = place.serve()
    url = f"/boot/{NODE}"
    agent = ("-A", "iPXE/1.21.1")
    assert "the record was lost" in place.asked(url, *agent)
    assert "memdisk" not in place.asked(url, *agent)
    assert "what is to be booted once waits" in daemon.text
    # Over a restart too, until an operator says that it may, or that all may.
    daemon.close()
    place.serve()
    assert "the record was lost" in place.asked(url, *agent)
    place.api(f"/machines/{NODE}/release", "-X", "POST")
    assert "the record was lost" not in place.asked(url, *agent)
    (place.state / "record.lost").unlink()
    other = NODE[:-1] + "9"
    place.config["machines"][other] = place.config["machines"][NODE]
    place.reload()
    assert "the record was lost" not in place.asked(f"/boot/{other}", *agent)


def test_files_that_somebody_has_locked_are_written_when_he_is_done(place: Place) -> None:
    place.serve()
    code = (
        "import sqlite3, sys, time\n"
        "for name in sys.argv[1:]:\n"
        "    held = globals().setdefault(name, sqlite3.connect(name, isolation_level=None))\n"
        "    held.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "time.sleep(60)\n"
    )
    argv = [sys.executable, "-c", code, *(str(place.state / name) for name in FILES)]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        place.all_boot(3)
        until(lambda: place.troubles().count("database is locked") >= 2, "it is told", 40)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    until(lambda: "sqlite" not in place.troubles(), "it is well again", 40)
    with closing(sqlite3.connect(place.state / "boots.sqlite")) as connection:
        until(
            lambda: connection.execute("SELECT count(*) FROM boot").fetchone()[0] >= 7,
            "what happened meanwhile is there",
        )
