"""A short soak: each fault once, and what is left behind."""

from __future__ import annotations

import time

import pytest

from tests.end_to_end.conftest import lab
from tests.end_to_end.lab import Lab
from tests.soak.run import Soak
from tests.soak.sampling import Sample, slope, table

__all__ = ["lab"]


@pytest.mark.e2e
def test_every_fault_once_costs_no_boot_and_leaves_no_descriptor(lab: Lab) -> None:
    said: list[str] = []
    soak = Soak(lab, seed=3, nodes=6, say=said.append)
    try:
        sampler = soak.sampler()
        soak.phase("quiet")
        before = sampler.take()
        for name in soak.phases:
            soak.phase(name)
        deadline = time.monotonic() + 120  # until what was left open by others is closed
        while (after := sampler.take()).descriptors > before.descriptors + 8:
            assert time.monotonic() < deadline, after
            time.sleep(1)
        soak.phase("killed")
        tally = soak.tally
        assert (tally.failed, tally.broken, tally.twice) == (0, 0, 0), (tally.reasons, said)
        assert tally.tried == tally.first + tally.later > 6 * len(soak.phases) - 12
        assert tally.leases > 0
        assert "Traceback" not in soak.ended + soak.place.daemon.text
    finally:
        soak.close()


def a_sample(second: float, own: int) -> Sample:
    return Sample(second, own, own, own, 1, 1, 0, 0, 0, 0)


def test_a_slope_is_in_a_minute() -> None:
    rises = [a_sample(10 * number, 1000 + 5 * number) for number in range(60)]
    assert slope(rises, "own") == pytest.approx(30)
    assert slope([a_sample(number, 7) for number in range(9)], "own") == 0
    assert slope(rises[:1], "own") == 0


def test_a_table_ends_with_the_last_sample() -> None:
    lines = table([a_sample(number, number) for number in range(100)], 10).splitlines()
    assert len(lines) == 12
    assert lines[-1].split()[0] == "99"
