"""Round trips on the left, waits on the right."""

from __future__ import annotations

import pytest

from netbootd.tftp.pace import Pace


def waits(pace, count=9):
    return [round(pace.back_off(), 3) for _ in range(count)]


def test_the_first_wait_is_half_a_second():
    assert Pace(None).wait_s == 0.5


@pytest.mark.parametrize(
    ("trips", "wait"),
    [([0.0001], 0.02), ([0.01], 0.04), ([0.1], 0.4), ([5.0], 4.0), ([0.1] * 50 + [0.9], 0.8)],
)
def test_the_wait_is_four_smoothed_round_trips_within_bounds(trips, wait):
    pace = Pace(None)
    for trip in trips:
        pace.sample(trip)
    assert pace.wait_s == pytest.approx(wait)


def test_it_forgets_a_slow_moment():
    pace = Pace(None)
    for trip in [0.2] + [0.001] * 60:
        pace.sample(trip)
    assert pace.wait_s == 0.02
    assert pace.shortest_trip_s == 0.001


def test_the_waits_double_and_then_pause():
    pace = Pace(None)
    pace.sample(0.0001)
    assert waits(pace) == [0.04, 0.08, 0.16, 0.32, 0.64, 6.0, 6.0, 6.0, 6.0]


def test_a_wait_that_has_grown_stays_until_a_sample_comes():
    """Karn: what was sent twice says nothing of the round trip."""
    pace = Pace(None)
    pace.sample(0.0001)
    waits(pace, 3)
    pace.answered()
    assert pace.wait_s == 0.16
    pace.sample(0.0001)
    assert pace.wait_s == 0.02


def test_settling_without_a_sample_changes_nothing():
    pace = Pace(None)
    pace.settle()
    assert pace.wait_s == 0.5


@pytest.mark.parametrize(
    ("timeout_s", "longest", "pause"), [(1, 1, 2), (2, 2, 3), (5, 4, 6), (255, 4, 6), (None, 4, 6)]
)
def test_the_timeout_of_the_client_bounds_the_waits_and_the_pause_outlasts_it(
    timeout_s, longest, pause
):
    pace = Pace(timeout_s)
    pace.sample(10.0)
    assert [pace.wait_s, *waits(pace, 7)] == [longest] * 6 + [pause] * 2
