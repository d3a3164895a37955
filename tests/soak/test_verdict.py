"""A leak must fail the verdict, and the noise of a process that has none must not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.soak.__main__ import arguments_of
from tests.soak.run import Tally
from tests.soak.sampling import Sample
from tests.soak.verdict import faults

NOISE_KIB = 300
GOOD = Sample(0, 100_000, 90_000, 1_000_000, 60, 13, 0, 0, 0, 0)


def an_hour(leak: float, *, seed: int = 0, since: float = 0) -> list[Sample]:
    """A sample in 10 s of a process that loses *leak* KiB a minute *since* that minute."""
    chance = random.Random(seed)
    return [
        replace(
            GOOD,
            second=10 * number,
            own=round(90_000 + chance.gauss(0, NOISE_KIB) + leak * max(0, number / 6 - since)),
        )
        for number in range(360)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_noise_of_an_hour_is_no_leak(seed: int) -> None:
    assert faults(Tally(), an_hour(0, seed=seed), GOOD, 0) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("since", [0, 30])
def test_thirty_kib_a_minute_are_one(seed: int, since: float) -> None:
    (found,) = faults(Tally(), an_hour(30, seed=seed, since=since), GOOD, 0)
    assert found.startswith("memory grows by ")


def test_what_is_taken_once_in_the_first_half_is_none() -> None:
    samples = [replace(one, own=one.own + 20_000 * (one.second > 600)) for one in an_hour(0)]
    assert faults(Tally(), samples, GOOD, 0) == []


@pytest.mark.parametrize("name", ["failed", "broken", "twice"])
def test_one_that_went_wrong_is_enough(name: str) -> None:
    assert len(faults(replace(Tally(), **{name: 1}), an_hour(0), GOOD, 0)) == 1


def test_a_traceback_is_enough() -> None:
    assert faults(Tally(), an_hour(0), GOOD, 1) == ["1 tracebacks"]


def test_descriptors_that_are_left_open_are_counted() -> None:
    assert faults(Tally(), an_hour(0), replace(GOOD, descriptors=68), 0) == []
    left = replace(GOOD, descriptors=69)
    assert faults(Tally(), an_hour(0), left, 0) == ["9 descriptors left open"]


def test_objects_that_are_left_behind_are_a_leak_though_the_heap_has_room_for_them() -> None:
    assert faults(Tally(), an_hour(0), replace(GOOD, blocks=1_019_000), 0) == []
    left = replace(GOOD, blocks=1_030_000)
    assert faults(Tally(), an_hour(0), left, 0) == ["3.0% more blocks of objects"]


def test_the_help_says_what_it_is_and_what_it_adds():
    told = " ".join(arguments_of().format_help().split())
    assert "hours of mixed load" in told
    assert "about ten minutes more" in told
