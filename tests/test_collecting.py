"""When circles are looked for: in a quiet moment, or after a long time without one."""

from __future__ import annotations

import gc

import pytest
from twisted.internet.task import Clock

from netbootd import collecting
from netbootd.collecting import Collector


class Rig:
    def __init__(self) -> None:
        self.clock, self.spent, self.walks = Clock(), 0.0, 0
        self.collector = Collector(self.clock, lambda: self.spent, self.walk)
        self.collector.start()

    def walk(self) -> None:
        self.walks += 1

    def passes(self, seconds: float, *, busy: float) -> None:
        """In steps of a second, *busy* for that part of each."""
        for _ in range(int(seconds)):
            self.spent += busy
            self.clock.advance(1)


@pytest.fixture
def rig(monkeypatch):
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(collecting, "_WORTH", 10**9)  # whatever the tests before have made
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


def test_many_new_objects_are_worth_a_walk(rig, monkeypatch):
    monkeypatch.setattr(collecting, "_WORTH", 0)
    rig.passes(10, busy=0.0)
    assert rig.walks == 1
