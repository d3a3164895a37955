"""When circles are looked for: in a quiet moment, or after a long time without one."""

from __future__ import annotations

import gc

import pytest
from twisted.internet.task import Clock

from netbootd import collecting
from netbootd.collecting import Collector


class Rig:
    def __init__(self) -> None:
        self.clock, self.spent, self.walks, self.glances = Clock(), 0.0, 0, 0
        self.collector = Collector(self.clock, lambda: self.spent, self.walk)
        self.collector.start()

    def walk(self, generation: int = 2) -> None:
        if generation == 2:
            self.walks += 1
        else:
            self.glances += 1

    def passes(self, seconds: float, *, busy: float) -> None:
        """In steps of a second, *busy* for that part of each."""
        for _ in range(int(seconds)):
            self.spent += busy
            self.clock.advance(1)


@pytest.fixture
def rig(monkeypatch):
    monkeypatch.setattr(gc, "freeze", lambda: None)
    return Rig()


def test_nothing_is_walked_where_there_is_nothing_to_find(rig):
    rig.passes(3600, busy=0.0)
    assert rig.walks == 0


def test_what_a_reload_left_is_found_once_in_the_next_quiet_moment(rig):
    rig.collector.soon()
    rig.passes(60, busy=0.9)
    assert rig.walks == 0
    rig.passes(60, busy=0.01)
    assert rig.walks == 1


def test_after_ten_minutes_without_a_quiet_moment_it_is_found_all_the_same(rig):
    rig.collector.soon()
    rig.passes(590, busy=0.9)
    assert rig.walks == 0
    rig.passes(20, busy=0.9)
    assert rig.walks == 1


def test_work_is_worth_a_walk(rig):
    rig.passes(9, busy=0.9)
    rig.passes(61, busy=0.0)
    assert rig.walks == 1


def test_the_newest_are_looked_at_now_and_then_while_packets_come(rig):
    for _ in range(100):
        rig.clock.advance(0.01)
        rig.collector.glance()
    assert rig.glances == pytest.approx(20, abs=4)


def test_the_newest_are_looked_at_by_the_clock_too():
    """Python counts those that are gone off from those that came, and may never look."""
    clock, kept = Clock(), []
    collecting.begin()
    collector = Collector(clock)
    try:
        collector.start()
        kept.extend([[] for _ in range(20_000)])
        old = [[] for _ in range(20_000)]
        gc.collect(0)
        for number in range(len(old)):  # a new one for each that is dropped
            old[number] = []
        assert len(gc.get_objects(0)) > 10_000
        clock.advance(0.05)
        collector.glance()
        assert len(gc.get_objects(0)) < 1_000
    finally:
        gc.unfreeze()
        gc.set_threshold(700, 10, 10)
