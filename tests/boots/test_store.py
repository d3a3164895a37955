"""The file of boots: real SQLite, a real thread, disks that fail and files that are broken."""

from __future__ import annotations

import os
import queue
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pytest

from netbootd.boots import database, store
from netbootd.boots.boot import Boot, Code, Note, Outcome, Stage, Step
from netbootd.boots.database import FILE, NoBoots
from netbootd.boots.store import Store
from netbootd.config import Boots

DAY = 86_400.0
NOW = 1000 * DAY
KEY = "00:25:90:27:db:b4"
STEP = Step(stage=Stage.SCRIPT, at=NOW, until=NOW + 1, path="é\udc80", trouble="why")
NOTE = Note(code=Code.BROKEN, at=NOW, until=NOW, text="t", data={"size": 7})


def boot(number: int, key: str = KEY, began: float = NOW) -> Boot:
    return Boot(number=number, key=key, began=began, last=began, steps=(STEP,), notes=(NOTE,))


class Rig:
    """A store that is running, and what it says."""

    def __init__(self, folder, settings: Boots = Boots()) -> None:  # noqa: B008  it is frozen
        self.troubles: queue.Queue[str] = queue.Queue()
        self.warnings: queue.Queue[str] = queue.Queue()
        self.renewals: queue.Queue[bool] = queue.Queue()
        self.store = Store(
            folder,
            settings,
            lambda: NOW,
            troubled=self.troubles.put,
            warned=self.warnings.put,
            renewed=lambda: self.renewals.put(True),
        )
        self.loaded = self.store.load()
        self.store.start()

    def asked(self, key: str = KEY, limit: int = 100):
        told: queue.Queue[list[Boot] | NoBoots] = queue.Queue()
        self.store.ask_machine(key, limit, told.put)
        return told.get(timeout=10)

    def written(self, number: int) -> Boot:
        """The boot *number*, once it is on disk."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            told: queue.Queue[list[Boot] | NoBoots] = queue.Queue()
            self.store.ask_boot(number, told.put)
            found = told.get(timeout=10)
            if isinstance(found, list) and found:
                return found[0]
            time.sleep(0.02)
        raise AssertionError("it is not written")


@pytest.fixture
def start(tmp_path):
    rigs = []

    def start(**settings) -> Rig:
        rigs.append(Rig(tmp_path / "state", Boots(**settings)))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.store.close()


def rows(folder) -> list[tuple]:
    with closing(sqlite3.connect(folder / "state" / FILE)) as connection:
        return connection.execute("SELECT number, key FROM boot ORDER BY number").fetchall()


def test_what_is_kept_is_there_after_a_restart(start):
    rig = start()
    for number in (1, 2, 3):
        rig.store.keep(boot(number))
    rig.store.keep(replace(boot(2), outcome=Outcome.DONE))
    rig.store.close()
    again = start()
    assert again.loaded.boots == [boot(3), replace(boot(2), outcome=Outcome.DONE), boot(1)]
    assert again.loaded.number == 4


def test_a_boot_is_written_soon_without_being_asked(start, tmp_path):
    rig = start()
    rig.store.keep(boot(1))
    deadline = time.monotonic() + 10
    while rows(tmp_path) != [(1, KEY)]:
        assert time.monotonic() < deadline, "it is not written"
        time.sleep(0.02)


def test_only_its_owner_may_read_the_file(start, tmp_path):
    start().store.close()
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600


def test_the_boots_of_a_machine_come_newest_first(start):
    rig = start()
    for number in range(1, 6):
        rig.store.keep(boot(number, key=KEY if number % 2 else "other"))
    rig.written(5)
    assert [one.number for one in rig.asked(limit=2)] == [5, 3]


def test_the_latest_of_each_machine_is_read_and_the_last_of_all(start, monkeypatch):
    monkeypatch.setattr(database, "_MOST_RECENT", 2)
    rig = start()
    for number in range(1, 10):
        rig.store.keep(boot(number, key="old" if number < 5 else "new"))
    rig.store.close()
    assert [one.number for one in start().loaded.boots] == [9, 8, 4]


def test_no_number_is_given_twice_after_a_kill(start, tmp_path):
    """Boots of strangers are not written, but their numbers may stand in logs."""
    rig = start()
    rig.store.keep(boot(7))
    rig.written(7)
    with closing(sqlite3.connect(tmp_path / "state" / FILE)) as connection:
        loaded = database.load(connection)
    assert loaded.number == 8 + 100
    rig.store.close()


def test_old_boots_are_forgotten(start):
    rig = start(days=30)
    rig.store.keep(boot(1, began=NOW - 31 * DAY))
    rig.store.keep(boot(2, began=NOW - 29 * DAY))
    rig.store.close()
    assert [one.number for one in start(days=30).asked()] == [2]


def test_of_too_many_the_oldest_are_forgotten_and_strangers_sooner(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_PRUNED_AT_ONCE", 7)
    (tmp_path / "state").mkdir()
    with closing(database.connect(tmp_path / "state" / FILE)) as connection:
        listed = [database.Unsaved(boot(n), known=True).row for n in range(1, 101)]
        strange = [database.Unsaved(boot(n, "x"), known=False).row for n in range(101, 201)]
        database.write(connection, [*listed, *strange], {}, 201)
        database.prune(connection, Boots(kept=50), NOW)
    numbers = [number for number, _ in rows(tmp_path)]
    assert numbers == [*range(56, 101), *range(196, 201)]


def test_one_machine_pushes_out_no_boots_of_the_others(tmp_path):
    (tmp_path / "state").mkdir()
    with closing(database.connect(tmp_path / "state" / FILE)) as connection:
        others = [database.Unsaved(boot(n, f"node{n}"), known=True).row for n in range(1, 41)]
        endless = [database.Unsaved(boot(n), known=True).row for n in range(41, 241)]
        database.write(connection, [*others, *endless], {}, 241)
        database.prune(connection, Boots(kept=100), NOW)
    assert [number for number, _ in rows(tmp_path)] == [*range(1, 41), *range(181, 241)]


def test_a_machine_that_is_renamed_has_its_boots_under_the_new_name(start, tmp_path):
    rig = start()
    rig.store.keep(boot(1))
    rig.written(1)
    rig.store.rename(KEY, "node1")
    rig.store.keep(boot(2, key="node1"))
    rig.store.close()
    assert rows(tmp_path) == [(1, "node1"), (2, "node1")]
    assert {one.key for one in start().loaded.boots} == {"node1"}


def test_a_row_that_is_garbled_is_left_out(start, tmp_path):
    rig = start()
    rig.store.keep(boot(1))
    rig.store.keep(boot(2))
    rig.store.close()
    with closing(sqlite3.connect(tmp_path / "state" / FILE)) as connection, connection:
        connection.execute("UPDATE boot SET value = '{\"number\": 2}' WHERE number = 2")
    assert start().loaded.boots == [boot(1)]


# -- disks that fail ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rubbish", [b"not a database" * 100, os.urandom(20_000)], ids=["text", "bytes"]
)
def test_a_broken_file_is_set_aside_at_the_start(start, tmp_path, rubbish):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_bytes(rubbish)
    rig = start()
    assert rig.loaded.boots == []
    assert "is broken" in rig.warnings.get(timeout=10)
    assert (tmp_path / "state" / f"{FILE}.broken").read_bytes() == rubbish
    rig.store.keep(boot(1))
    assert rig.written(1) == boot(1)


def test_a_file_that_breaks_in_the_middle_is_set_aside(start, tmp_path):
    rig = start()
    file = tmp_path / "state" / FILE
    for number in range(1, 200):
        rig.store.keep(boot(number))
    rig.store.close()
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(file.stat().st_size - 4096))
    again = start()
    again.store.keep(boot(500))
    assert again.written(500) == boot(500)
    assert (tmp_path / "state" / f"{FILE}.broken").exists()


def test_a_file_of_a_newer_netbootd_is_set_aside_as_it_is(start, tmp_path):
    (tmp_path / "state").mkdir()
    with closing(sqlite3.connect(tmp_path / "state" / FILE)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = (tmp_path / "state" / FILE).read_bytes()
    rig = start()
    rig.store.keep(boot(1))
    assert rig.written(1) == boot(1)
    assert (tmp_path / "state" / f"{FILE}.broken").read_bytes() == before


def test_a_file_that_vanishes_while_the_daemon_runs_is_begun_anew(start, tmp_path):
    rig = start()
    rig.store.keep(boot(1))
    rig.written(1)
    (tmp_path / "state" / FILE).unlink()
    rig.store.keep(boot(2))
    assert "replaced" in rig.troubles.get(timeout=10)
    assert rig.renewals.get(timeout=10)
    assert rig.troubles.get(timeout=10) == ""
    assert rig.written(2) == boot(2)


FULL = """
import queue, resource, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.boots.test_store import Rig, boot
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rig = Rig(Path({folder!r}))
rig.store.keep(boot(1))
rig.written(1)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
for number in range(2, 400):
    rig.store.keep(boot(number))
trouble = rig.troubles.get(timeout=20)
assert trouble, "it was not told"
told = queue.Queue()
assert rig.troubles.empty(), "it is said once"
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert rig.troubles.get(timeout=20) == "", "it is well again"
rig.store.close()
print(trouble)
"""


def test_a_full_disk_costs_nothing_but_time(start, tmp_path):
    """A limit on the size of files is what a full disk is to SQLite: a write that fails."""
    folder = str(tmp_path / "state")
    root = str(store.__file__).partition("/netbootd/boots")[0]
    program = FULL.format(root=root, folder=folder)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert FILE in ended.stdout
    assert len(rows(tmp_path)) == 399


KILLED = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.boots.test_store import Rig, boot, rows
folder = Path({folder!r})
rig = Rig(folder)
number = written = 0
while written < 100:
    number += 1
    rig.store.keep(boot(number))
    if number % 50 == 0:
        written = len(rows(folder.parent))
    time.sleep(0.005)
print(written, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_nothing_that_was_written_and_leaves_no_hole(start, tmp_path):
    folder = str(tmp_path / "state")
    root = str(store.__file__).partition("/netbootd/boots")[0]
    program = KILLED.format(root=root, folder=folder)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == -9, ended.stderr
    numbers = [one.number for one in start().loaded.boots]
    assert max(numbers) >= int(ended.stdout)
    assert sorted(numbers) == list(range(1, max(numbers) + 1))


def test_what_cannot_be_written_has_an_end(start, monkeypatch):
    monkeypatch.setattr(store, "MOST_UNSAVED", 10)
    rig = start()
    rig.store.close()
    for number in range(100):
        rig.store.keep(boot(number))
    assert list(rig.store._unsaved) == list(range(90, 100))
