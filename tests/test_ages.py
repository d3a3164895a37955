"""What is thrown away for its age, and a wall clock that somebody sets."""

from __future__ import annotations

from netbootd.ages import WAIT_S, Ages

DAY = 86400.0
NOW = 1_800_000_000.0


class Clocks:
    def __init__(self, wall: float) -> None:
        self.wall, self.steady = wall, 5.0
        self.ages = Ages(lambda: self.wall, lambda: self.steady)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def now(self, newest: float = NOW) -> float:
        return self.ages.now(newest)


def test_a_clock_that_goes_is_believed():
    clocks = Clocks(NOW + 5 * DAY)
    assert clocks.now() == clocks.wall
    clocks.passes(60)
    assert clocks.now() == clocks.wall


def test_nothing_is_old_for_an_hour_after_a_leap():
    for leap in (3600, -3600, 3650 * DAY, -3650 * DAY):
        clocks = Clocks(NOW)
        clocks.now()
        clocks.wall += leap
        assert clocks.now() == 0.0
        clocks.passes(WAIT_S - 1)
        assert clocks.now() == 0.0
        clocks.passes(1)
        assert clocks.now() == clocks.wall


def test_a_leap_that_is_taken_back_costs_nothing():
    clocks = Clocks(NOW)
    clocks.now()
    clocks.wall += 3650 * DAY
    clocks.now()
    clocks.wall -= 3650 * DAY
    clocks.passes(60)
    assert clocks.now() == 0.0
    clocks.passes(WAIT_S)
    assert clocks.now() == clocks.wall


def test_a_start_years_behind_what_is_there_is_no_reason_to_throw_it_away():
    clocks = Clocks(NOW + 3650 * DAY)
    assert clocks.now() == 0.0
    clocks.passes(WAIT_S)
    assert clocks.now() == clocks.wall


def test_a_slewed_clock_is_no_leap():
    clocks = Clocks(NOW)
    clocks.now()
    for _ in range(100):
        clocks.passes(60)
        clocks.wall += 0.03
        assert clocks.now() == clocks.wall
