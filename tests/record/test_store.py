"""The record on disk: real SQLite files, real threads, and disks that fail."""

from __future__ import annotations

import os
import pwd
import queue
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd import sqlitefile
from netbootd.record import database, outside, store
from netbootd.record.coding import decode, encode
from netbootd.record.database import NoRecord
from netbootd.record.outside import Order
from netbootd.record.standing import Armed, Attempt, Outcome, Standing
from netbootd.record.store import Store
from netbootd.record.styles import Worked

ME = f"{pwd.getpwuid(os.getuid()).pw_name} (user {os.getuid()})"
KEY = "00:25:90:27:db:b4"
SOME = Standing(
    attempts=(Attempt(number=7, target="install/a", began=1.5, mac=KEY, outcome=Outcome.DONE),),
    armed=Armed(target="biosupdate/b", times=2, until=99.0),
    completed=("install/a",),
    held="why",
    output="é\n",
)


class Rig:
    """A store that is running, and what it says."""

    def __init__(self, folder) -> None:
        self.orders: queue.Queue[Order] = queue.Queue()
        self.troubles: queue.Queue[str] = queue.Queue()
        self.found: queue.Queue[object] = queue.Queue()
        self.warnings: list[str] = []
        self.store = Store(
            folder, self._ordered, self.troubles.put, self.found.put, self.warnings.append
        )
        self.loaded = self.store.load()
        self.store.start()

    def _ordered(self, orders) -> None:
        for order in orders:
            self.orders.put(order)


@pytest.fixture
def running(tmp_path):
    rigs = []

    def start() -> Rig:
        rigs.append(Rig(tmp_path / "state"))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.store.close()


texts = st.text(max_size=20)
times = st.floats(min_value=0, max_value=4e9)
attempts = st.builds(
    Attempt,
    number=st.integers(1, 1 << 40),
    target=texts,
    began=times,
    mac=texts,
    peer=texts,
    order=st.integers(0, 1 << 40),
    fetched=st.booleans(),
    outcome=st.sampled_from(Outcome),
    ended=times,
)
standings = st.builds(
    Standing,
    attempts=st.lists(attempts, max_size=3).map(tuple),
    armed=st.none() | st.builds(Armed, target=texts, times=st.integers(1, 9), until=times),
    completed=st.lists(texts, max_size=3).map(tuple),
    held=texts,
    output=texts,
)


@given(standings)
def test_what_is_written_is_read(standing):
    assert decode(encode(standing)) == standing


def test_what_a_later_version_added_is_left_out():
    text = encode(SOME).replace('"number":7', '"number":7,"colour":"red"')
    assert decode(text) == SOME


def test_standings_and_secret_survive_a_restart(running):
    first = running()
    first.store.keep(KEY, SOME)
    first.store.keep("gone", SOME)
    first.store.keep("gone", None)
    first.store.close()
    second = running()
    assert second.loaded.standings == {KEY: SOME}
    assert second.loaded.secret == first.loaded.secret
    assert len(first.loaded.secret) == 32


def test_a_garbled_row_costs_only_itself(running, tmp_path):
    first = running()
    first.store.keep(KEY, SOME)
    first.store.close()
    with closing(sqlite3.connect(tmp_path / "state" / database.FILE)) as db:
        db.execute("INSERT INTO standing VALUES ('x', '{\"attempts\":[{}]}'), ('y', 'no')")
        db.commit()
    assert running().loaded.standings == {KEY: SOME}


def test_the_file_is_for_its_owner_alone(running, tmp_path):
    running()
    assert (tmp_path / "state" / database.FILE).stat().st_mode & 0o777 == 0o600


def test_an_order_reaches_a_running_daemon_and_waits_until_taken(running, tmp_path):
    rig = running()
    number = outside.give(tmp_path / "state", "next", KEY, Armed(target="biosupdate/b"))
    order = rig.orders.get(timeout=10)
    assert order == Order(number, "next", KEY, Armed(target="biosupdate/b", order=number), ME)
    assert outside.waits(tmp_path / "state", number)
    rig.store.keep(KEY, SOME)
    rig.store.taken(order)
    rig.store.close()
    assert not outside.waits(tmp_path / "state", number)
    assert outside.read(tmp_path / "state") == {KEY: SOME}


def test_an_order_waits_for_a_daemon_to_start(running, tmp_path):
    (tmp_path / "state").mkdir()
    outside.give(tmp_path / "state", "release", KEY)
    assert running().orders.get(timeout=10)[1:] == ("release", KEY, None, ME)


def test_an_order_that_was_not_taken_comes_again_after_a_crash(running, tmp_path):
    first = running()
    outside.give(tmp_path / "state", "release", KEY)
    first.orders.get(timeout=10)
    first.store.close()
    assert running().orders.get(timeout=10).key == KEY


def test_no_folder_is_no_record(tmp_path):
    assert outside.read(tmp_path / "nowhere") == {}
    (tmp_path / "file").write_text("")
    for folder in ("file", "nowhere"):
        with pytest.raises(NoRecord, match="no such folder"):
            outside.give(tmp_path / folder, "release", KEY)


def test_settled_is_on_disk(running, tmp_path):
    rig = running()
    rig.store.keep(KEY, SOME)
    assert rig.store.settle()
    assert outside.read(tmp_path / "state") == {KEY: SOME}


def test_a_file_that_is_replaced_is_told_and_filled_anew(running, tmp_path):
    rig = running()
    rig.store.keep(KEY, SOME)
    assert rig.store.settle()
    (tmp_path / "state").rename(tmp_path / "old")
    assert "was replaced" in rig.troubles.get(timeout=10)
    assert rig.found.get(timeout=10) is None
    rig.store.keep(KEY, SOME)
    assert rig.store.settle()
    assert outside.read(tmp_path / "state") == {KEY: SOME}
    outside.give(tmp_path / "state", "release", KEY)
    assert rig.orders.get(timeout=10).key == KEY


def test_what_could_not_be_read_at_the_start_is_found_later_and_nothing_is_lost(running, tmp_path):
    first = running()
    first.store.keep(KEY, SOME)
    first.store.close()
    state, away = tmp_path / "state", tmp_path / "away"
    state.rename(away)
    state.touch()
    found: queue.Queue[object] = queue.Queue()
    second = Store(tmp_path / "state", lambda _: None, lambda _: None, found.put, print)
    with pytest.raises(NoRecord):
        second.load()
    second.start()
    state.unlink()
    away.rename(state)
    loaded = found.get(timeout=10)
    second.close()
    assert loaded.standings == {KEY: SOME}
    assert loaded.secret == first.loaded.secret


def test_a_file_that_breaks_while_the_daemon_runs_is_written_anew_and_nothing_is_lost(
    running, tmp_path
):
    rig = running()
    file = tmp_path / "state" / database.FILE
    for number in range(500):
        rig.store.keep(f"key {number}", SOME)
    assert rig.store.settle()
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(file.stat().st_size - 4096))
    for number in range(500):
        rig.store.keep(f"key {number}", None)
    assert rig.found.get(timeout=20) is None
    rig.store.keep(KEY, SOME)
    assert rig.store.settle()
    assert outside.read(tmp_path / "state") == {KEY: SOME}
    assert file.with_name(f"{database.FILE}.broken").exists()
    assert not (tmp_path / "state" / database.LOST).exists()
    assert len(rig.warnings) == 1
    # It was a trouble once, and then none.
    told = [rig.troubles.get(timeout=10) for _ in range(2)]
    assert told[0]
    assert told[1] == ""
    assert rig.troubles.empty()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / database.FILE)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(NoRecord, match="newer netbootd"):
        outside.give(tmp_path, "release", KEY)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / database.FILE).write_bytes(b"x" * 5000)
    with pytest.raises(NoRecord, match="not a database"):
        outside.read(tmp_path)


def test_a_full_disk_is_told_and_what_was_kept_is_written_when_there_is_room(tmp_path):
    """A file system of 1 MiB in a mount namespace of its own: a real ENOSPC."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    code = """
import os, queue, sys, time
from tests.record.test_store import KEY, Rig, SOME, outside
from pathlib import Path
folder = Path(sys.argv[1])
rig = Rig(folder)
ballast = folder / "ballast"
fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
try:
    while True:
        os.write(fd, bytes(4096))
except OSError:
    os.close(fd)
for number in range(200):
    rig.store.keep(f"key {number}", SOME)
print(rig.troubles.get(timeout=20))
ballast.unlink()
assert rig.troubles.get(timeout=20) == ""
rig.store.close()
assert len(outside.read(folder)) == 200
print("all there")
"""
    script = f"mount -t tmpfs -o size=1m none {tmp_path} && exec {sys.executable} - {tmp_path}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        input=code, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "full" in done.stdout
    assert "all there" in done.stdout


def test_while_the_disk_stands_still_no_more_waits_than_is_remembered(running, monkeypatch):
    """Another process holds the file's lock: machines boot again and again, strangers come and go."""
    monkeypatch.setattr(sqlitefile, "_BUSY_S", 0.2)
    monkeypatch.setattr(store, "_PATIENCE_S", 60.0)
    rig = running()
    rig.store.keep("gone", SOME)
    assert rig.store.settle()
    listed = [f"key {number}" for number in range(10)]
    file = rig.store._folder / database.FILE
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(20_000):
            rig.store.keep(listed[number % 10], replace(SOME, output=str(number)))
            rig.store.keep_style(KIND, replace(LEARNED, times=number))
            rig.store.keep(f"stranger {number}", SOME)
            rig.store.keep(f"stranger {number}", None)
            if number == 10_000:  # the thread has tried to write by then, and holds what it took
                assert "locked" in rig.troubles.get(timeout=20)
        rig.store.keep("gone", None)
        # What was taken to be written, a stranger of that moment with it, and what came since.
        assert len(rig.store._waiting) <= 2 * (len(listed) + 3)
        monkeypatch.setattr(store, "_PATIENCE_S", 0.01)
        assert not rig.store.settle()
        other.execute("ROLLBACK")
    monkeypatch.setattr(store, "_PATIENCE_S", 60.0)
    assert rig.store.settle()
    assert len(rig.store._waiting) == 0
    assert outside.read(rig.store._folder) == {
        key: replace(SOME, output=str(19_990 + at)) for at, key in enumerate(listed)
    }
    assert outside.read_styles(rig.store._folder) == {KIND: replace(LEARNED, times=19_999)}


def test_root_leaves_files_that_the_owner_of_the_folder_can_use(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("changing owners needs root")
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    outside.give(folder, "release", KEY)
    assert {path.stat().st_uid for path in folder.iterdir()} == {65534}
    assert os.geteuid() == 0


# -- reply styles ------------------------------------------------------------------------------

KIND = "00:25:90 7 PXEClient:Arch:00007:UNDI:003016"
LEARNED = Worked(style="direct", first="boot-server", times=3, mac=KEY, when=1.5)


def test_what_was_learned_of_styles_is_there_after_a_restart(tmp_path, running):
    first = running()
    first.store.keep_style(KIND, LEARNED)
    first.store.keep_style("other", LEARNED)
    first.store.keep_style("other", None)
    first.store.keep(KIND, SOME)  # a machine may have the same name
    assert first.store.settle()
    assert outside.read_styles(tmp_path / "state") == {KIND: LEARNED}
    first.store.close()
    again = running()
    assert again.loaded.styles == {KIND: LEARNED}
    assert again.loaded.standings == {KIND: SOME}


def test_a_file_from_before_styles_gets_their_table(tmp_path):
    with closing(sqlite3.connect(tmp_path / database.FILE)) as db:
        db.executescript(
            "CREATE TABLE standing (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, value TEXT NOT NULL);"
            "CREATE TABLE secret (value BLOB NOT NULL);"
            "PRAGMA user_version = 1;"
        )
        db.execute("INSERT INTO standing VALUES (?, ?)", (KEY, encode(SOME)))
        db.commit()
    assert outside.read_styles(tmp_path) == {}
    assert outside.read(tmp_path) == {KEY: SOME}


@pytest.mark.parametrize("value", ["", "[]", "7", '{"when": "soon"}', "null"])
def test_a_garbled_style_is_passed_over(tmp_path, running, value):
    rig = running()
    rig.store.keep_style(KIND, LEARNED)
    assert rig.store.settle()
    with closing(sqlite3.connect(tmp_path / "state" / database.FILE, timeout=5)) as db:
        db.execute("INSERT OR REPLACE INTO style VALUES ('bad', ?)", (value,))
        db.commit()
    assert outside.read_styles(tmp_path / "state") == {KIND: LEARNED}
