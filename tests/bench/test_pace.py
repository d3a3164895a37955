"""What the manual says of pacing holds in the simulation: half the time for half of the nodes."""

from __future__ import annotations

import pytest

from netbootd.boot.pace import Rules

from .pace import GBIT, MIB, Storm, run, spinning


@pytest.mark.parametrize(
    "storm",
    [Storm(100, 500 * MIB, GBIT), Storm(300, 500 * MIB, 10 * GBIT), Storm(500, 40 * MIB, GBIT)],
    ids=lambda storm: f"{storm.nodes}x{storm.size / MIB:.0f}",
)
def test_half_of_the_nodes_are_up_in_little_more_than_half_of_the_time(storm):
    together, paced = run(storm, None), run(storm, Rules())
    assert together.median > 0.95 * together.last
    assert paced.median < 0.62 * together.median
    assert paced.last < 1.1 * together.last


def test_too_few_at_once_are_worse_than_no_pacing():
    storm = Storm(100, 500 * MIB, 10 * GBIT)
    assert run(storm, Rules(at_once=4)).median > run(storm, None).last


def test_readers_of_a_disk_that_seeks_are_up_sooner_all_of_them():
    storm = Storm(50, 500 * MIB, 10 * GBIT, disk=spinning)
    together, few = run(storm, None), run(storm, Rules(at_once=4))
    assert few.last < 0.5 * together.last


def test_a_simulation_comes_out_the_same_each_time():
    storm = Storm(50, 100 * MIB, GBIT)
    assert run(storm, Rules()) == run(storm, Rules())
    assert run(storm, Rules(), seed=2) != run(storm, Rules())
