"""How many at once fill an uplink, found by trying: lines that are simulated, and what is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netbootd.boot.uplink import FIRST, Uplink


def found(bytes_of: Callable[[int], float], seconds: int, uplink: Uplink | None = None) -> Uplink:
    """After *seconds* on a line that carries ``bytes_of(n)`` a second for *n* nodes at once."""
    uplink, total = uplink or Uplink(), 0.0
    for now in range(seconds):
        uplink.sample(int(total), float(now), crowded=True)
        total += bytes_of(uplink.limit)
    return uplink


@pytest.mark.parametrize("needed", [3, 16, 20, 63, 200])
def test_as_many_as_fill_the_line_and_not_many_more(needed):
    limit = found(lambda count: min(count, needed) * 50e6, 120).limit
    assert 0.85 * min(needed, FIRST) <= limit <= max(2 * needed, FIRST)
    assert limit >= 0.85 * needed


def test_a_disk_that_seeks_between_its_readers_gets_fewer():
    limit = found(lambda count: 200e6 / (1 + (count - 1) / 10), 200).limit
    assert limit <= 4


def test_no_more_than_was_granted_of_the_line():
    uplink = found(lambda count: count * 50e6, 200, Uplink(line=500e6))
    assert uplink.rate <= 550e6
    assert 7 <= uplink.limit <= 10


def test_what_is_measured_while_nobody_waits_changes_nothing():
    uplink = Uplink()
    for now in range(60):
        uplink.sample(now * 1000, float(now), crowded=False)
    assert uplink.limit == FIRST
    assert uplink.rate == 1000


def test_a_count_that_begins_anew_is_no_measurement():
    uplink = Uplink()
    for now, total in enumerate((0, 1000, 2000, 10, 1010)):
        uplink.sample(total, float(now), crowded=False)
    assert uplink.rate == 1000
