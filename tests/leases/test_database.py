"""The file of leases: what is written is read again, whatever the clocks did meanwhile."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from netbootd.leases import database
from netbootd.leases.database import FILE, Clock, Reading
from netbootd.leases.lease import State
from netbootd.mac import MAC

from .rig import Host, lease

HOUR = 3600.0
YEAR = 365 * 24 * HOUR
FULL = lease(
    1,
    mac=MAC.parse("52:54:00:00:00:01"),
    client_id="ff00",
    hostname="é",
    machine="node1",
    port="10.9.0.1 eth0/7",
    reserved=True,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / FILE


def keep(file, host: Host, *leases) -> None:
    with closing(database.connect(file)) as connection:
        database.settle(connection, host.read())
        database.write(connection, leases, host.read())


def load(file, host: Host):
    with closing(database.connect(file)) as connection:
        return database.load(connection, host.read())


def left(file, host: Host) -> list[float]:
    """Seconds that each lease has left."""
    return [one.until - host.boottime for one in load(file, host)]


def test_what_was_written_is_read_again_in_the_order_it_was_written(file):
    six = replace(FULL, address=IPv6Address("fd00::1"), mac=None, state=State.DECLINED)
    endless = lease(3, until=math.inf, key="hw:32:00")
    free = lease(2, state=State.FREE)
    keep(file, Host(), free, six, endless, FULL, replace(free, key="last"))
    assert load(file, Host()) == [six, endless, FULL, replace(free, key="last")]


def test_a_name_that_is_no_text_keeps_nothing_from_the_disk(file):
    keep(file, Host(), lease(1, hostname="a\udcff", port="\udc80"), lease(2))
    assert [one.hostname for one in load(file, Host())] == ["a?", ""]


def test_rows_that_are_garbled_are_left_out(file):
    keep(file, Host(), *(lease(number) for number in range(7)))
    with closing(sqlite3.connect(file)) as connection, connection:
        for number, (column, rubbish) in enumerate(
            [("address", "x"), ("state", "x"), ("since", "x"), ("until", b"x"), ("mac", b"x")]
        ):
            connection.execute(
                f"UPDATE lease SET {column} = ? WHERE address = ?", (rubbish, f"10.1.0.{number}")
            )
    assert load(file, Host()) == [lease(5), lease(6)]


# -- clocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [0, YEAR, -YEAR, 1, -1])
def test_a_wall_clock_that_jumps_ends_no_lease_while_the_host_runs(file, jump):
    host = Host()
    keep(file, host, lease(1, until=host.boottime + HOUR))
    host.passes(600)
    host.wall += jump
    assert left(file, host) == [HOUR - 600]
    host.passes(600)
    assert left(file, host) == [HOUR - 1200]


def test_after_a_boot_the_wall_clock_tells_what_has_passed(file):
    host = Host()
    keep(file, host, lease(1, until=host.boottime + HOUR))
    host.passes(600)
    host.reboots(after=300)
    assert left(file, host) == [HOUR - 900]
    host.passes(100)
    assert left(file, host) == [HOUR - 1000], "nothing is counted twice"
    host.reboots(after=50)
    assert left(file, host) == [HOUR - 1050]


@pytest.mark.parametrize("off", [-YEAR, -1e9, -61])
def test_after_a_boot_with_the_wall_clock_behind_nothing_has_more_left_than_it_had(file, off):
    host = Host()
    keep(file, host, lease(1, until=host.boottime + HOUR))
    host.reboots(after=60, wall_off=off)
    assert left(file, host) == [HOUR]
    host.passes(10)
    host.wall = 0.0
    assert left(file, host) == [HOUR - 10]
    host.reboots(after=60, wall_off=-1e9)
    assert left(file, host) == [HOUR - 10], "it does not begin anew with every boot"


def test_after_a_boot_with_the_wall_clock_ahead_leases_are_over(file):
    host = Host()
    keep(file, host, lease(1, until=host.boottime + HOUR))
    host.reboots(wall_off=YEAR)
    assert left(file, host) == [HOUR - 60 - YEAR]


def test_a_wall_clock_that_was_set_right_while_the_host_ran_counts_after_the_next_boot(file):
    """A board without a clock begins in 1970, and its leases are written then."""
    host = Host(wall=0.0)
    keep(file, host, lease(1, until=host.boottime + HOUR))
    host.wall = 1.7e9
    with closing(database.connect(file)) as connection:
        database.note(connection, host.read())
    host.reboots(after=60)
    assert left(file, host) == [HOUR - 60]


def test_a_lease_without_end_has_none_after_a_boot(file):
    host = Host()
    keep(file, host, lease(1, until=math.inf))
    host.reboots()
    assert left(file, host) == [math.inf]


def test_a_machine_put_back_to_a_snapshot_counts_as_booted(file):
    """Its own clock went back, so it cannot tell what has passed."""
    host = Host()
    keep(file, host, lease(1, until=host.boottime + HOUR))
    host.boottime -= 500
    host.wall += 100
    assert left(file, host) == [HOUR - 100]


def test_without_a_boot_id_every_start_is_after_a_boot():
    one, later = Reading("", 10, 100), Reading("", 20, 130)
    assert not one.same_boot(later)
    assert one.shift(later) == -20


def test_the_clock_of_this_host_goes_on():
    clock = Clock.of_host()
    one, later = clock.read(), clock.read()
    assert one.same_boot(later)
    assert later.boottime >= one.boottime


def test_where_proc_is_hidden_the_unit_tells_the_boot(monkeypatch, tmp_path):
    here = Clock.of_host().boot_id
    assert len(here) == 32
    monkeypatch.setattr(database, "_BOOT_ID", tmp_path / "hidden")
    assert Clock.of_host().boot_id == ""
    monkeypatch.setenv("NETBOOTD_BOOT_ID", here)
    assert Clock.of_host().boot_id == here


# -- what cannot be written --------------------------------------------------------------------


def test_a_file_that_cannot_be_written_is_read_with_what_is_not_yet_in_its_place(file, tmp_path):
    """SQLite has the last transactions beside the file (WAL)."""
    host = Host()
    with closing(database.connect(file)) as connection:
        database.settle(connection, host.read())
        database.write(connection, [lease(1)], host.read())
        before = file.read_bytes()
        assert file.with_name(f"{FILE}-wal").stat().st_size
        assert database.read(file, host.read()) == [lease(1)]
        assert file.read_bytes() == before


def test_of_too_many_rows_the_oldest_free_ones_go(file, monkeypatch):
    monkeypatch.setattr(database, "MOST_LEASES", 3)
    keep(file, Host(), lease(1), *(lease(number, state=State.FREE) for number in (5, 4, 3, 2)))
    with closing(database.connect(file)) as connection:
        database.prune(connection)
    assert [str(one.address) for one in load(file, Host())] == ["10.1.0.1", "10.1.0.3", "10.1.0.2"]
