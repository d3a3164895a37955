"""The store of leases: a real thread, real SQLite, disks that fail and daemons that are killed."""

from __future__ import annotations

import os
import queue
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from netbootd.leases import store
from netbootd.leases.database import FILE
from netbootd.leases.lease import State
from netbootd.leases.store import NoLeases

from .rig import Host, Rig, lease, rows

ROOT = str(Path(__file__).parents[2])
MOUNTS = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare (util-linux)"
)


@pytest.fixture
def start(tmp_path):
    rigs = []

    def start(*arguments, **more) -> Rig:
        rigs.append(Rig(tmp_path / "state", *arguments, **more))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.store.close()


def test_what_is_confirmed_is_there_after_a_restart(start):
    rig = start()
    assert rig.written(lease(1), lease(2))
    assert rig.written(lease(1, state=State.FREE))
    rig.store.close()
    assert start().leases == [lease(2), lease(1, state=State.FREE)]


def test_offers_are_not_written(start, tmp_path):
    rig = start()
    assert rig.written(lease(1, state=State.OFFERED), lease(2))
    assert rows(tmp_path / "state") == [("10.1.0.2", lease(2).key)]


def test_only_its_owner_may_read_the_file(start, tmp_path):
    start()
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600


def test_everybody_is_told_in_the_order_of_writing(start, tmp_path):
    rig = start()
    told: list[int] = []
    for number in range(3000):
        rig.store.write([lease(number % 7, key=str(number))], lambda ok, n=number: told.append(n))
    assert rig.written()
    assert told == list(range(3000))
    assert rows(tmp_path / "state") == [
        (f"10.1.0.{number % 7}", str(number)) for number in range(2993, 3000)
    ]


def test_what_waits_is_written_before_the_end(start, tmp_path):
    rig = start()
    told: queue.Queue[bool] = queue.Queue()
    for number in range(2000):
        rig.store.write([lease(number)], told.put)
    rig.store.close()
    assert all(told.get_nowait() for _ in range(2000))
    assert len(rows(tmp_path / "state")) == 2000


@pytest.mark.fast_path("together")
def test_one_call_tells_of_all_that_was_written_together(tmp_path):
    calls: queue.Queue[tuple[int, bool]] = queue.Queue()
    one = store.Store(
        tmp_path,
        Host().clock,
        troubled=print,
        warned=print,
        found=print,
        renewed=print,
        told=lambda thens, ok: calls.put((len(thens), ok)),
    )
    one.load()
    for number in range(100):
        one.write([lease(number)], print)
    one.start()
    one.close()
    assert calls.get_nowait() == (100, True)


KILLED = """
import os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, {root!r})
from netbootd.leases.database import Clock
from tests.leases.rig import Rig, lease
rig = Rig(Path({folder!r}), Clock.of_host())
slots = threading.Semaphore(64)
def told(ok, number):
    assert ok
    os.write(1, b"%d\\n" % number)
    slots.release()
number = 0
while True:
    slots.acquire()
    number += 1
    rig.store.write([lease(number % 5000, key=str(number))], lambda ok, n=number: told(ok, n))
"""


@pytest.mark.parametrize("confirmed", [1, 700, 3000, 9000])
def test_a_kill_in_the_middle_loses_nothing_that_was_confirmed(start, tmp_path, confirmed):
    """The child writes at full speed and is killed when it has said so many."""
    folder = tmp_path / "state"
    program = KILLED.format(root=ROOT, folder=str(folder))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        heard = [child.stdout.readline() for _ in range(confirmed)]
        child.kill()
        heard += child.stdout.readlines()
    last = max(int(line) for line in heard if line.endswith(b"\n"))
    found = {str(one.address): int(one.key) for one in start().leases}
    for number in range(max(1, last - 4999), last + 1):
        assert found[str(lease(number % 5000).address)] >= number
    with closing(sqlite3.connect(folder / FILE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def mounted(*words: str) -> str:
    """Run a program with mounts of its own."""
    command = ["unshare", "--mount", "--propagation", "private", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


FULL = """
import subprocess, sys
from pathlib import Path
sys.path.insert(0, {root!r})
folder = Path({folder!r})
folder.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", str(folder)], check=True)
from tests.leases.rig import Host, Rig, lease, rows
rig = Rig(folder)
confirmed = 0
while rig.written(*(lease(number) for number in range(confirmed, confirmed + 50))):
    confirmed += 50
trouble = rig.troubles.get(timeout=20)
assert confirmed > 100, confirmed
assert not rig.written(lease(60000)), "it is refused at once"
assert len(rows(folder)) == confirmed
subprocess.run(["mount", "-o", "remount,size=20m", str(folder)], check=True)
assert rig.renewals.get(timeout=20)
rig.until_written(*(lease(number) for number in range(confirmed + 50)))
while rig.troubles.get(timeout=20):
    pass
assert not rig.store.trouble, "it is well again"
rig.store.close()
assert len(Rig(folder).leases) == confirmed + 50
print(trouble)
"""


@MOUNTS
def test_a_full_disk_says_no_and_loses_nothing(tmp_path):
    program = FULL.format(root=ROOT, folder=str(tmp_path / "state"))
    said = mounted(sys.executable, "-c", program)
    assert said.strip().endswith(f"{FILE}: database or disk is full")


READ_ONLY = """
import subprocess, sys
from pathlib import Path
sys.path.insert(0, {root!r})
folder = Path({folder!r})
def mount(*words):
    subprocess.run(["mount", *words, str(folder)], check=True)
mount("--bind", str(folder))
mount("-o", "remount,bind,ro")
from tests.leases.rig import Host, Rig, lease, rows
host = Host()
host.reboots(after=600)
rig = Rig(folder, host.clock)
print(rig.troubles.get(timeout=20))
assert [one.until - host.boottime for one in rig.leases] == [3000.0] * {number}, rig.leases
assert not rig.written(lease(1))
mount("-o", "remount,bind,rw")
assert rig.renewals.get(timeout=20)
rig.until_written(lease(77, key="new"))
while rig.store.trouble:
    rig.troubles.get(timeout=20)
rig.store.close()
found = Rig(folder, host.clock).leases
assert [one.until - host.boottime for one in found[:-1]] == [3000.0] * {number}, "as it was shifted"
assert found[-1].key == "new"
"""


@MOUNTS
@pytest.mark.parametrize("closed", [True, False])
def test_a_folder_that_is_read_only_is_read_and_said(start, tmp_path, closed):
    """Also where a daemon was killed before SQLite had everything in its place."""
    folder = tmp_path / "state"
    rig = start()
    assert rig.written(*(lease(number) for number in range(5)))
    if closed:
        rig.store.close()
    else:
        shutil.copytree(folder, tmp_path / "copy")
        folder = tmp_path / "copy"
    program = READ_ONLY.format(root=ROOT, folder=str(folder), number=5)
    assert str(folder / FILE) in mounted(sys.executable, "-c", program)


def test_a_folder_that_cannot_be_made_is_a_trouble_and_later_is_none(start, tmp_path):
    (tmp_path / "state").write_text("a file is in the way")
    rig = start(load=False)
    with pytest.raises(NoLeases):
        rig.store.load()
    assert not rig.written(lease(1))
    (tmp_path / "state").unlink()
    assert rig.finds.get(timeout=20) == []
    rig.until_written(lease(1))


@pytest.mark.parametrize(
    "rubbish", [b"not a database" * 100, os.urandom(20_000)], ids=["text", "bytes"]
)
def test_a_broken_file_is_set_aside_at_the_start(start, tmp_path, rubbish):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_bytes(rubbish)
    rig = start()
    assert rig.leases == []
    assert "is broken" in rig.warnings.get(timeout=10)
    assert (tmp_path / "state" / f"{FILE}.broken").read_bytes() == rubbish
    assert rig.written(lease(1))


def test_a_file_that_breaks_while_the_daemon_runs_is_written_anew(start, tmp_path):
    rig = start()
    file = tmp_path / "state" / FILE
    assert rig.written(*(lease(number) for number in range(2000)))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(file.stat().st_size - 4096))
    told = [rig.written(lease(number)) for number in range(2000, 2100)]
    assert not all(told)
    assert rig.renewals.get(timeout=20)
    rig.until_written(*(lease(number) for number in range(2000)))
    assert "is broken" in rig.warnings.get(timeout=20)
    rig.store.close()
    assert len(start().leases) >= 2000


def test_a_file_of_a_newer_netbootd_is_set_aside_as_it_is(start, tmp_path):
    (tmp_path / "state").mkdir()
    with closing(sqlite3.connect(tmp_path / "state" / FILE)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = (tmp_path / "state" / FILE).read_bytes()
    rig = start()
    assert "newer netbootd" in rig.warnings.get(timeout=20)
    assert rig.written(lease(1))
    assert (tmp_path / "state" / f"{FILE}.broken").read_bytes() == before


def test_a_file_that_vanishes_while_the_daemon_runs_is_written_anew(start, tmp_path):
    rig = start()
    assert rig.written(lease(1))
    (tmp_path / "state" / FILE).unlink()
    assert not rig.written(lease(2))
    assert "replaced" in rig.troubles.get(timeout=20)
    assert rig.renewals.get(timeout=20)
    rig.until_written(lease(1), lease(2))
    rig.store.close()
    assert start().leases == [lease(1), lease(2)]


def test_a_wall_clock_that_was_set_is_written_down_in_quiet_times(start, monkeypatch):
    monkeypatch.setattr(store, "_LOOK_S", 0.01)
    host = Host(wall=0.0)
    rig = start(host.clock)
    assert rig.written(lease(1, until=host.boottime + 3600))
    host.wall = 1.7e9
    deadline = time.monotonic() + 20
    while rig.store._noted.wall == 0.0:
        assert time.monotonic() < deadline, "it is not noted"
        time.sleep(0.01)
    rig.store.close()
    host.reboots(after=60)
    assert [one.until - host.boottime for one in start(host.clock).leases] == [3540.0]


def test_the_newest_word_of_an_address_in_one_commit_counts(start):
    rig = start()
    assert rig.written(lease(1), replace(lease(1), key="other"), lease(1))
    rig.store.close()
    assert start().leases == [lease(1)]
