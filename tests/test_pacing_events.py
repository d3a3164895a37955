"""What moves the queue on, as events; in memory, with a clock that stands still until it is told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from netbootd import pacing
from netbootd.events.event import Reported, Served, TransferFailed, Transferred
from netbootd.events.progress import Progress, Started
from netbootd.mac import MAC
from netbootd.pacing import LARGE, Pacing
from netbootd.record.record import Record
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load

NODES = [MAC.parse(f"52:54:00:00:00:0{number}") for number in range(1, 5)]
KERNEL, INITRD = "images/vmlinuz", "images/initrd"


class Storm:
    """Four machines, of which *at_once* may load; ``moves`` is what is on its way."""

    def __init__(self, folder, pace) -> None:
        linux = {"kernel": KERNEL, "initrd": INITRD}
        settings = {"files": str(folder), "firmware": [], "state": str(folder), "pace": pace}
        config = {
            "targets": {"linux": {"one": linux}},
            "groups": {"rack": {}},
            "machines": {
                str(mac): {"type": "linux", "name": "one", "group": "rack"} for mac in NODES
            },
            "netbootd": settings,
        }
        (folder / "c.json").write_text(json.dumps(config))
        self.clock, self.moves = Clock(), []
        self.record = Record(self.clock.seconds)
        self.live = LiveRegistry(load(folder / "c.json"), self.record)
        self.pacing = Pacing(self.clock, folder, self.live, lambda: self.moves, lambda: 1000.0)
        self.pacing.start()

    def waits(self, node: int) -> bool:
        """It asks; who need not wait has its boot in the record, as the page of scripts does it."""
        machine = self.live.snapshot.machines[NODES[node]]
        waits = self.pacing.turn(peer(node), machine).waits
        if not waits:
            self.record.begin(
                machine.key, "linux/one", armed=False, mac=NODES[node], peer=peer(node), listed=True
            )
        return waits

    def starts(self, node: int, size: int) -> None:
        event = Started(peer=peer(node), mac=NODES[node], protocol="TFTP", path="x", size=size)
        self.pacing(event)

    def serves(self, node: int, path: str, size: int = 1000, sent: int | None = None) -> None:
        sent = size if sent is None else sent
        self.pacing(
            Served(
                peer=peer(node), path=path, status=200, size=size, count=size, sent=sent, seconds=1
            )
        )


def peer(node: int) -> str:
    return f"192.0.2.{node}"


@pytest.fixture
def storm(tmp_path):
    return Storm(tmp_path, {"enabled": True, "at_once": 1})


def test_the_last_byte_of_the_last_file_ends_a_turn_at_once(storm):
    assert [storm.waits(node) for node in (0, 1)] == [False, True]
    storm.serves(0, f"/{KERNEL}")
    assert storm.waits(1)
    storm.serves(0, f"/{INITRD}", sent=999)
    assert storm.waits(1)
    storm.serves(0, f"/{INITRD}")
    assert not storm.waits(1)


def test_the_last_file_asked_for_in_the_name_of_the_machine_is_the_same(storm):
    assert [storm.waits(node) for node in (0, 1)] == [False, True]
    storm.serves(0, f"/{NODES[0]}/{INITRD}")
    assert not storm.waits(1)


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_a_report_ends_a_turn(storm, outcome):
    assert [storm.waits(node) for node in (0, 1)] == [False, True]
    storm.pacing(Reported(mac=NODES[0], peer=peer(0), outcome=outcome))
    assert not storm.waits(1)


def test_who_is_silent_for_long_loses_its_turn_unless_bytes_are_on_their_way(storm):
    assert [storm.waits(node) for node in (0, 1)] == [False, True]
    one = Progress(protocol="HTTP", path="x", peer=peer(0), mac=None, size=LARGE, sent=0, began=0.0)
    storm.moves = [one]
    for _ in range(60):
        storm.clock.advance(1)
    assert storm.waits(1)
    storm.moves = []
    for _ in range(6):
        storm.clock.advance(1)
    assert not storm.waits(1)


def test_large_bodies_of_those_who_never_asked_take_room_and_small_ones_do_not(storm):
    storm.starts(2, LARGE - 1)
    assert not storm.waits(0)
    storm.pacing(Reported(mac=NODES[0], peer=peer(0), outcome="done"))
    storm.starts(2, LARGE)
    assert storm.waits(1)


def test_a_limited_group_counts_those_as_well(tmp_path):
    storm = Storm(tmp_path, {"enabled": True, "at_once": 4, "groups": {"rack": 1}})
    storm.starts(2, LARGE)
    assert storm.waits(1)


def test_the_rate_is_of_all_that_leaves(storm):
    storm.clock.advance(1)
    storm.serves(0, "/a", size=1_000_000)
    storm.pacing(Transferred(peer=peer(1), path="b", size=2_000_000, seconds=1.0))
    failed = TransferFailed(peer=peer(1), path="c", reason="gone", size=9_000_000, acked=3_000_000)
    storm.pacing(failed)
    storm.clock.advance(1)
    assert storm.pacing.summary()["rate"] == 6_000_000


def test_switched_off_it_learns_nothing_and_no_timer_runs(tmp_path):
    storm = Storm(tmp_path, False)
    storm.starts(0, LARGE)
    storm.serves(0, "/a")
    assert storm.clock.getDelayedCalls() == []
    assert storm.pacing.summary()["loading"] == 0
    assert storm.pacing.places == {}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[1]", '{"at": "x"}', '{"at": 1000, "paused": 1}', "\0", "[" * 100_000),
        '{"at": 1000, "paused": 0, "at_once": 1e999}',
    ],
)
def test_what_is_kept_and_garbled_is_a_new_beginning(tmp_path, text):
    (tmp_path / "pace.json").write_text(text)
    storm = Storm(tmp_path, True)
    assert not storm.waits(0)


def test_what_is_kept_is_forgotten_when_it_is_switched_off(storm, tmp_path, monkeypatch):
    monkeypatch.setattr(pacing, "deferToThread", lambda write: succeed(write()))
    storm.waits(0)
    storm.pacing.pause("somebody", paused=True)
    storm.clock.advance(pacing.KEEP_S)
    assert json.loads((tmp_path / "pace.json").read_text())["paused"]
    off = storm.live.snapshot.config
    off = replace(off, pace=replace(off.pace, enabled=False))
    storm.live.swap(replace(storm.live.snapshot, config=off))
    storm.pacing.configured()
    storm.clock.advance(pacing.KEEP_S)
    kept = json.loads((tmp_path / "pace.json").read_text())
    assert (kept["paused"], kept["loading"]) == (False, [])


def test_of_those_whose_turn_is_over_nothing_stays(storm):
    for node in range(4):
        assert not storm.waits(node)
        for _ in range(40):  # and it fetches nothing
            storm.clock.advance(1)
    assert storm.pacing.summary()["loading"] == 0
    assert storm.pacing._last == {}
