"""Leasing: what is promised is on disk, what could not be written never was, and time ends leases."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from twisted.internet.task import Clock as TwistedClock

from netbootd.events.lease import LeaseEnded, NoAddress
from netbootd.events.witness import Overheard
from netbootd.leases.database import FILE, Clock
from netbootd.leases.lease import Lease, State
from netbootd.leasing import MOST_WAITING, WANTING_S, Leasing
from netbootd.mac import MAC
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load

LAN, LAN6 = "192.0.2.0/24", "2001:db8:1::/64"
FIRST, SECOND = IPv4Address("192.0.2.100"), IPv4Address("192.0.2.101")
ONE, OTHER = MAC.parse("52:54:00:aa:00:01"), MAC.parse("52:54:00:aa:00:02")
CONFIG = {
    "targets": {"localboot": {"disk": {}}},
    "machines": {str(ONE): {"type": "localboot", "name": "disk", "ip": "192.0.2.50"}},
    "subnets": {
        LAN: {
            "dhcp": "server",
            "pools": ["192.0.2.100-192.0.2.109", "192.0.2.105-192.0.2.119"],
            "exclude": ["192.0.2.110-192.0.2.112"],
        },
        "198.51.100.0/24": {"dhcp": "proxy"},
        LAN6: {"dhcp": "server", "pools": [LAN6]},
    },
    "netbootd": {"state": "state"},
}


class Reactor(TwistedClock):
    """A clock that does at once what a thread asks for."""

    def callFromThread(self, work, *arguments):
        self.callLater(0, work, *arguments)


class Rig:
    """*now* is the leases' clock; the wall clock is 1,000,000 ahead."""

    def __init__(self, folder, live) -> None:
        self.reactor, self.now = Reactor(), 100.0
        self.events: list[object] = []
        self.told: list[Lease] = []
        self.changes = 0
        self.leasing = Leasing(
            self.reactor,
            folder,
            live,
            self.events.append,
            self._changed,
            Clock(lambda: self.now, lambda: self.now + 1_000_000, "boot"),
        )
        self.leasing.subscribe(self.told.append)
        self.leasing.serve(["eth0"], ["192.0.2.1"])

    def _changed(self) -> None:
        self.changes += 1

    def until(self, condition) -> None:
        for _ in range(400):
            self.reactor.advance(0)
            if condition():
                return
            time.sleep(0.025)
        raise AssertionError("it does not come")

    def commit(self, *rows: Lease) -> bool:
        """Give *rows*, as the edge does; whether they were written."""
        told: list[bool] = []
        before = [self.leasing.leases.put(row) for row in rows]
        self.leasing.commit(rows, before, told.append)
        self.until(lambda: told)
        return told[0]


def lease(address=FIRST, mac=ONE, *, until=3700.0, state=State.LEASED) -> Lease:
    return Lease(address=address, key=str(mac), state=state, since=100.0, until=until, mac=mac)


@pytest.fixture
def live(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(CONFIG))
    return LiveRegistry(load(tmp_path / "c.json"))


@pytest.fixture
def start(tmp_path, live):
    rigs = []

    def make(folder=None) -> Rig:
        rigs.append(Rig(folder or tmp_path / "state", live))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.leasing.stop()


@pytest.fixture
def broken(tmp_path):
    """A state folder that cannot be one."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


# -- the disk ----------------------------------------------------------------------------------


def test_what_was_written_is_there_after_a_restart(start):
    rig = start()
    assert rig.commit(lease())
    assert rig.told == [lease()]
    rig.leasing.stop()
    again = start()
    assert again.leasing.leases.at(FIRST) == lease()
    assert again.told == [lease()]


def test_the_file_is_not_opened_where_we_are_no_server(tmp_path, live):
    leasing = Leasing(Reactor(), tmp_path / "state", live, lambda _: None, lambda: None)
    leasing.serve([], [])
    leasing.stop()
    assert not (tmp_path / "state" / FILE).exists()
    assert not leasing.saving


def test_what_could_not_be_written_was_never_given(start, broken):
    rig = start(broken)
    assert not rig.commit(lease())
    assert rig.leasing.leases.at(FIRST) is None
    assert not rig.leasing.saving
    assert str(broken) in rig.leasing.trouble
    assert rig.leasing.trouble in rig.leasing.troubles


def test_the_lease_before_comes_back_where_a_new_one_could_not_be_written(start, broken):
    rig = start(broken)
    free = lease(state=State.FREE)
    rig.leasing.leases.put(free)
    assert not rig.commit(lease(mac=OTHER))
    assert rig.leasing.leases.at(FIRST) == free


def test_of_two_writes_on_their_way_that_fail_nothing_is_left(start, broken):
    rig = start(broken)
    told: list[bool] = []
    first, second = lease(), lease(until=9000.0)
    for row in (first, second):
        rig.leasing.commit([row], [rig.leasing.leases.put(row)], told.append)
    rig.until(lambda: len(told) == 2)
    assert told == [False, False]
    assert rig.leasing.leases.at(FIRST) is None


def test_a_reply_that_only_repeats_waits_for_the_write_it_repeats(start):
    rig = start()
    told: list[str] = []
    rig.leasing.commit([lease()], [None], lambda saved: told.append(f"first {saved}"))
    assert rig.leasing.follow(FIRST, lambda saved: told.append(f"again {saved}"))
    assert not rig.leasing.follow(SECOND, lambda saved: told.append("wrong"))
    assert told == []
    rig.until(lambda: len(told) == 2)
    assert told == ["first True", "again True"]
    assert not rig.leasing.follow(FIRST, lambda saved: told.append("late"))


def test_replies_that_wait_for_the_disk_are_bounded(start):
    rig = start()
    told: list[bool] = []
    for _ in range(MOST_WAITING + 5):
        rig.leasing.commit([lease()], [None], told.append)
    assert told == [False] * 5
    rig.until(lambda: len(told) == MOST_WAITING + 5)
    assert told.count(True) == MOST_WAITING


def test_a_disk_that_is_well_again_gets_what_it_missed(start, tmp_path, broken):
    rig = start(broken)
    reserved = lease(IPv4Address("192.0.2.50"))
    rig.leasing.leases.put(replace(reserved, reserved=True))
    broken.unlink()
    rig.until(lambda: rig.leasing.saving)
    rig.until(lambda: rig.told)
    rig.leasing.stop()
    with sqlite3.connect(broken / FILE) as connection:
        assert connection.execute("SELECT address FROM lease").fetchall() == [("192.0.2.50",)]


# -- time --------------------------------------------------------------------------------------


def test_a_lease_that_is_over_ends_and_is_told(start):
    rig = start()
    rig.commit(lease(until=200.0))
    rig.now = 201.0
    rig.reactor.advance(1.0)
    assert rig.events == [LeaseEnded(mac=ONE, address=str(FIRST), how="expired", key=str(ONE))]
    assert rig.leasing.leases.at(FIRST).state is State.FREE
    assert rig.told[-1].state is State.FREE


def test_one_that_ended_while_nobody_looked_is_told_at_the_start(start):
    rig = start()
    rig.commit(lease(until=200.0))
    rig.leasing.stop()
    again = start()
    again.now = 300.0
    again.reactor.advance(1.0)
    assert [event.how for event in again.events] == ["expired"]


def test_an_operator_ends_a_lease(start):
    rig = start()
    rig.commit(lease())
    fired = []
    rig.leasing.release(FIRST, "ops").addCallback(fired.append)
    rig.until(lambda: fired)
    assert fired == [lease()]
    assert rig.leasing.leases.at(FIRST).state is State.FREE
    assert [event.how for event in rig.events] == ["released"]
    rig.leasing.release(SECOND, "ops").addCallback(fired.append)
    assert fired[1:] == [None]


def test_an_operator_is_told_where_it_cannot_be_written(start, broken):
    rig = start(broken)
    rig.leasing.leases.put(lease())
    failed = []
    rig.leasing.release(FIRST, "ops").addErrback(lambda failure: failed.append(failure.value))
    rig.until(lambda: failed)
    assert isinstance(failed[0], OSError)
    assert rig.leasing.leases.at(FIRST) == lease()
    assert rig.events == []


# -- what others know --------------------------------------------------------------------------


def test_usage_counts_each_address_of_pools_that_overlap_once(start):
    rig = start()
    rig.commit(lease())
    rig.leasing.leases.put(lease(SECOND, OTHER, state=State.OFFERED))
    [usage] = rig.leasing.usage()
    assert (usage.subnet, usage.size, usage.reserved) == (LAN, 17, 1)
    assert (usage.leased, usage.offered, usage.declined) == (1, 1, 0)
    assert usage.ranges == ("192.0.2.100-192.0.2.109", "192.0.2.105-192.0.2.119")


def test_an_address_in_two_pools_counts_once(start):
    rig = start()
    rig.commit(lease(IPv4Address("192.0.2.107")))
    assert rig.leasing.usage()[0].leased == 1


def test_an_empty_pool_is_a_trouble_for_a_while(start):
    rig = start()
    rig.leasing(NoAddress(mac=ONE, reason="all are taken", code="exhausted", subnet=LAN))
    assert rig.changes == 1
    assert LAN in rig.leasing.troubles[0]
    assert rig.leasing.usage()[0].wanting == 1_000_100.0
    rig.leasing(NoAddress(mac=ONE, reason="all are taken", code="exhausted", subnet=LAN))
    assert rig.changes == 1
    rig.now += WANTING_S + 1
    assert rig.leasing.troubles == []


def wants(rig, mac=ONE, subnet=LAN) -> None:
    event = NoAddress(mac=mac, reason="all are taken", code="exhausted", subnet=subnet)
    rig.leasing(event)


def test_an_empty_pool_is_one_trouble_whoever_asks(start):
    rig = start()
    wants(rig)
    told = rig.leasing.troubles
    wants(rig, OTHER)
    assert rig.leasing.troubles == told == rig.leasing.wants
    assert str(ONE) not in told[0]
    assert rig.leasing.usage()[0].wanted_by == str(OTHER)


def test_an_empty_pool_is_no_trouble_when_an_address_is_free_again(start):
    rig = start()
    rig.commit(lease(until=160.0))
    wants(rig)
    rig.reactor.advance(1.0)
    assert (len(rig.leasing.troubles), rig.changes) == (1, 1)
    rig.now = 161.0
    rig.reactor.advance(1.0)
    assert (rig.leasing.troubles, rig.changes) == ([], 2)
    assert rig.leasing.usage()[0].wanting


def test_a_pool_of_ipv6_is_told_of_and_its_trouble_goes_with_its_subnet(start):
    rig = start()
    rig.leasing.serve6(["eth0"])
    first = IPv6Address("2001:db8:1::5")
    rig.commit(lease(first))
    by_subnet = {one.subnet: one for one in rig.leasing.usage()}
    assert (by_subnet[LAN6].leased, by_subnet[LAN6].size) == (1, 1 << 64)
    wants(rig, subnet=LAN6)
    assert LAN6 in rig.leasing.troubles[0]
    rig.leasing.serve6([])
    assert rig.leasing.troubles == []


def test_another_server_is_a_trouble_where_we_are_one(start):
    rig = start()

    def offer(server="192.0.2.9", interface="eth0", **more):
        rig.leasing(Overheard(mac=ONE, message="offer", server=server, interface=interface, **more))

    offer(address="192.0.2.7", interface="eth1")
    offer(address="192.0.2.7", server="192.0.2.1")
    offer(proxy=True)
    assert not rig.leasing.rivaled("eth0")
    offer(address="192.0.2.7")
    offer(address="192.0.2.7")
    assert rig.leasing.rivaled("eth0")
    assert [event.kind for event in rig.events] == ["foreignserver"]
    assert [one.server for one in rig.leasing.foreign()] == ["192.0.2.9"]
    assert "192.0.2.9" in rig.leasing.troubles[0]


def test_each_end_of_a_lease_is_one_line(start):
    rig = start()
    rig.commit(lease(until=160.0), lease(SECOND, OTHER))
    rig.now = 161.0
    rig.reactor.advance(1.0)
    done = []
    rig.leasing.release(SECOND, "the API").addCallback(done.append)
    rig.until(lambda: done)
    ends = [event for event in rig.events if isinstance(event, LeaseEnded)]
    assert [event.level for event in ends] == ["info", "info"]
    assert str(ends[0]) == f"{ONE} has 192.0.2.100 no more: expired"
    assert str(ends[1]) == f"{OTHER} has 192.0.2.101 no more: released by the API"
