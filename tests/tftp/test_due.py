"""Deadlines that move, and who is found when they have come."""

from __future__ import annotations

import random
from dataclasses import dataclass

from netbootd.tftp.due import GONE, Due


@dataclass(eq=False)
class Waiting:
    deadline: float
    looked_at: float = GONE


def test_each_is_found_once_when_its_deadline_has_come():
    due = Due()
    those = [Waiting(deadline) for deadline in (0.5, 0.501, 0.52, 3.0)]
    for one in those:
        due.put(one)
    assert list(due.take(0.49)) == []
    assert list(due.take(0.5)) == those[:1]
    assert list(due.take(0.6)) == those[1:3]
    assert list(due.take(0.6)) == []
    assert list(due.take(5.0)) == those[3:]


def test_one_that_moves_on_is_found_later():
    due, one = Due(), Waiting(0.5)
    due.put(one)
    one.deadline = 0.8
    assert list(due.take(0.6)) == []
    assert list(due.take(0.8)) == [one]


def test_one_that_comes_sooner_is_found_once():
    due, one = Due(), Waiting(5.0)
    due.put(one)
    one.deadline = 0.1
    assert one.deadline < one.looked_at
    due.put(one)
    assert list(due.take(0.1)) == [one]
    assert list(due.take(10.0)) == []


def test_what_has_ended_is_not_found():
    due, one = Due(), Waiting(0.5)
    due.put(one)
    one.looked_at = GONE
    assert list(due.take(1.0)) == []


def test_after_a_long_rest_nothing_is_walked_through():
    due, one = Due(), Waiting(1e9)
    assert list(due.take(1e9 - 10)) == []
    due.put(one)
    assert list(due.take(1e9)) == [one]


def test_as_a_walk_over_all_would_find_them():
    chance = random.Random(1)
    due = Due()
    those = [Waiting(chance.random()) for _ in range(200)]
    for one in those:
        due.put(one)
    now = 0.0
    while now < 3.0:
        now += 0.01
        for one in chance.sample(those, 20):  # an answer came
            one.deadline = now + chance.choice((0.02, 0.5, 4.0))
            if one.deadline < one.looked_at:
                due.put(one)
        expected = {id(one) for one in those if one.deadline <= now}
        found = list(due.take(now))
        assert {id(one) for one in found} == expected
        assert len(found) == len(expected)
        for one in found:
            one.deadline = now + 0.1
            due.put(one)
