"""The queue of a boot storm, as a table of questions and answers; and what holds for any storm."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netbootd.boot.pace import AGAIN_S, LOST_S, MOST, Queue, Rules


def asked(queue: Queue, *keys: str, now: float = 0.0) -> list[int]:
    """The places that they are told, 0 for who may go."""
    return [queue.ask(key, now, key=key).position for key in keys]


def test_as_many_as_the_rules_say_go_and_the_rest_wait_in_the_order_in_which_they_came():
    queue = Queue(Rules(at_once=2))
    assert asked(queue, *"abcde") == [0, 0, 1, 2, 3]
    assert queue.loading == {"a", "b"}
    assert asked(queue, *"edc") == [3, 2, 1]


def test_who_comes_next_goes_when_somebody_is_done_and_nobody_before_him():
    queue = Queue(Rules(at_once=1))
    asked(queue, *"abc")
    queue.over("a", 1.0)
    assert asked(queue, "c", now=1.0) == [2]
    assert asked(queue, "b", now=1.0) == [0]
    assert asked(queue, "c", now=1.1) == [1]


def test_two_places_that_are_free_are_two_turns_whoever_asks_first():
    queue = Queue(Rules(at_once=2))
    asked(queue, *"abcde")
    queue.over("a", 1.0)
    queue.over("b", 1.0)
    assert asked(queue, *"edc", now=1.0) == [3, 0, 0]


def test_a_higher_priority_goes_first_and_of_the_same_who_came_first():
    queue = Queue(Rules(at_once=1))
    queue.ask("a", 0.0)
    for key, priority in (("low", -10), ("b", 0), ("high", 10), ("c", 0), ("high2", 10)):
        queue.ask(key, 0.0, priority)
    assert [place.peer for place in queue.places(0.0)] == ["high", "high2", "b", "c", "low"]
    queue.over("a", 1.0)
    assert queue.ask("b", 1.0).waits
    assert not queue.ask("high", 1.0, 10).waits


def test_a_priority_that_is_changed_counts_from_the_next_question_on():
    queue = Queue(Rules(at_once=1))
    asked(queue, *"abc")
    queue.ask("c", 1.0, 5)
    assert [place.peer for place in queue.places(1.0)] == ["c", "b"]


def test_of_a_limited_group_no_more_go_and_they_keep_nobody_else_from_going():
    queue = Queue(Rules(at_once=3, groups={"rack": 1}))
    assert not queue.ask("a", 0.0, groups=("rack",)).waits
    turn = queue.ask("b", 0.0, groups=("rack", "other"))
    assert turn.waits
    assert turn.why == "1 of group rack load already"
    assert not queue.ask("c", 0.0).waits
    assert not queue.ask("d", 0.0, groups=("other",)).waits
    assert queue.ask("e", 0.0).waits
    queue.over("a", 1.0)
    assert queue.ask("e", 1.0).waits  # b is before it
    assert not queue.ask("b", 1.0, groups=("rack",)).waits


def test_a_group_that_is_limited_anew_counts_those_who_load_and_wait_already():
    queue = Queue(Rules(at_once=2))
    for key in "abcd":
        queue.ask(key, 0.0, groups=("rack",) if key != "d" else ())
    queue.rules = Rules(at_once=3, groups={"rack": 2})
    assert queue.ask("c", 1.0, groups=("rack",)).why == "2 of group rack load already"
    assert not queue.ask("d", 1.0).waits
    queue.rules = Rules(at_once=4)
    assert not queue.ask("c", 2.0, groups=("rack",)).waits
    assert queue._by_group == {"rack": 3}
    assert queue._line == []
    assert queue._lines == {}


def test_one_that_is_late_is_passed_over_and_keeps_its_place():
    queue = Queue(Rules(at_once=1))
    asked(queue, *"abc")
    queue.over("a", 5.0)
    queue.tick(0, (), 5.0)
    assert asked(queue, "c", now=5.0) == [0]
    assert asked(queue, "d", "b", now=6.0) == [1, 1]


def test_a_place_is_lost_by_who_stays_away():
    queue = Queue(Rules(at_once=1))
    asked(queue, *"ab")
    queue.tick(0, (), LOST_S + 30)
    assert queue.waiting == set()


def test_who_loads_and_shows_no_sign_gives_way():
    queue = Queue(Rules(at_once=1))
    asked(queue, *"ab")
    queue.tick(0, (), 29.0)
    assert queue.loading == {"a"}
    queue.tick(0, ("a",), 29.5)
    queue.tick(0, (), 31.0)
    assert queue.loading == {"a"}
    queue.fetched("a", 31.0)
    queue.tick(0, (), 36.5)
    assert queue.loading == set()


def test_who_was_let_go_and_comes_again_has_been_reset_and_does_not_wait_twice():
    queue = Queue(Rules(at_once=1))
    asked(queue, *"ab")
    queue.over("a", 10.0)
    assert asked(queue, "b", "a", now=10.0) == [0, 0]
    queue.over("a", 20.0)
    queue.tick(0, (), 10.0 + AGAIN_S)
    queue.loads("b", 10.0 + AGAIN_S)
    assert asked(queue, "a", now=10.0 + AGAIN_S) == [1]


def test_who_comes_again_takes_no_room_before_it_loads():
    queue = Queue(Rules(at_once=1))
    asked(queue, "a")
    queue.tick(0, (), 31.0)
    assert asked(queue, "a", "b", now=31.0) == [0, 0]
    assert queue.loading == {"b"}
    queue.loads("a", 32.0)
    queue.over("b", 33.0)
    assert asked(queue, "c", now=33.0) == [1]


def test_who_asks_again_and_again_and_loads_nothing_gives_way():
    queue = Queue(Rules(at_once=1))
    for second in range(40):
        asked(queue, "a", now=float(second))
        queue.tick(0, (), float(second))
    assert queue.loading == set()


def test_one_that_says_it_is_many_has_one_place_and_uses_one_order_up():
    queue = Queue(Rules(at_once=1))
    asked(queue, "a")
    keys = [f"node{number}" for number in range(5)]
    assert [queue.ask("liar", 0.0, key=key).position for key in keys] == [1] * 5
    assert [(place.peer, place.key) for place in queue.places(0.0)] == [("liar", "node4")]
    for key in keys:
        queue.let_go(key, 1.0)
    assert not any(queue.ask("liar", 1.0, key=key).waits for key in keys)
    assert asked(queue, "node0", *keys[1:], now=1.0) == [1, 0, 0, 0, 0]


def test_who_is_up_waits_at_its_next_boot():
    queue = Queue(Rules(at_once=1))
    asked(queue, "a")
    queue.over("a", 10.0, up=True)
    assert asked(queue, "b", "a", now=11.0) == [0, 1]


def test_an_operator_lets_one_go_and_stops_them_all():
    queue = Queue(Rules(at_once=1))
    asked(queue, *"abc")
    queue.let_go("c", 1.0)
    assert asked(queue, *"bc", now=1.0) == [1, 0]
    queue.pause(paused=True)
    queue.over("a", 2.0)
    queue.over("c", 2.0)
    turn = queue.ask("b", 2.0)
    assert (turn.waits, turn.why) == (True, "paused by an operator")
    queue.pause(paused=False)
    assert asked(queue, "b", now=3.0) == [0]


def test_bodies_of_machines_that_never_asked_take_room_too():
    queue = Queue(Rules(at_once=1))
    queue.loads("grub", 0.0)
    assert asked(queue, "a") == [1]


def test_the_estimate_is_of_what_was_done_lately():
    queue = Queue(Rules(at_once=1))
    assert queue.ask("a", 0.0).seconds is None
    for second in range(1, 11):
        queue.ask(f"m{second}", float(second))
        queue.over("a" if second == 1 else f"m{second - 1}", float(second))
        queue.ask(f"m{second}", float(second))
    waiting = [queue.ask(f"w{number}", 10.0) for number in range(20)]
    assert waiting[0].seconds == pytest.approx(1, rel=0.2)
    assert waiting[19].seconds == pytest.approx(20, rel=0.2)
    assert waiting[0].again < waiting[19].again <= 30


def test_nothing_is_estimated_while_nobody_is_through():
    queue = Queue(Rules(at_once=2))
    asked(queue, *"abcd")
    queue.over("a", 10.0)
    assert asked(queue, "c", now=10.0) == [0]
    queue.over("b", 12.0)
    queue.over("c", 14.0)
    asked(queue, *"ef", now=14.0)
    told = [queue.ask("g", now).seconds for now in (14.0, 60.0, 75.0)]
    assert told == [4.0, 4.0, None]
    later = 15.0 + AGAIN_S  # another storm
    queue.over("e", later)
    assert asked(queue, "f", now=later) == [0]
    queue.over("f", later + 3)
    assert next(queue.places(later + 3)).seconds == 3.0


def test_one_that_is_late_stands_in_nobodys_way():
    queue = Queue(Rules(at_once=1))
    asked(queue, *"abc")
    queue.tick(0, (), 5.0)
    asked(queue, "c", now=5.0)
    assert [(place.peer, place.position, place.late) for place in queue.places(5.0)] == [
        ("b", 1, True),
        ("c", 1, False),
    ]
    assert queue.ask("c", 6.0).told.startswith("number 1 of 1")


def test_who_came_together_does_not_ask_together():
    queue = Queue(Rules(at_once=1))
    pauses = {round(queue.ask(f"node{number}", 0.0).again, 2) for number in range(2000)}
    assert len(pauses) > 500


def test_a_crowd_that_somebody_makes_up_ends_somewhere():
    queue = Queue(Rules(at_once=1))
    for number in range(MOST + 2):
        queue.ask(f"node{number}", 0.0)
    assert len(queue.waiting) == MOST


def test_a_restart_in_the_middle_changes_no_place():
    before = Queue(Rules(at_once=2, groups={"rack": 1}))
    before.ask("high", 0.0, 10)
    before.ask("a", 0.0, groups=("rack",))
    for key, priority in (("b", 0), ("c", 0), ("d", 10), ("e", -10)):
        before.ask(key, 1.0, priority, ("rack",) if key == "c" else ())
    before.let_go("e", 1.0)
    before.pause(paused=True)
    kept = json.loads(json.dumps(before.state(2.0)))
    after = Queue(Rules(at_once=2, groups={"rack": 1}))
    after.restore(kept, 1002.0, 7.0)
    assert after.paused
    assert after.loading == {"high", "a"}
    assert [place.peer for place in after.places(1002.0)] == ["d", "b", "c", "e"]
    assert next(after.places(1002.0)).since == pytest.approx(1002 - 7 - 1)
    assert asked(after, "a", "e", now=1003.0) == [0, 0]
    after.pause(paused=False)
    for key in ("a", "high", "e"):
        after.over(key, 1003.0)
    assert asked(after, "c", "b", "d", now=1003.0) == [3, 0, 0]


def test_a_question_costs_no_more_where_many_wait_for_a_full_group(monkeypatch):
    looked_at, fits = [], Queue._fits
    monkeypatch.setattr(Queue, "_fits", lambda *of: looked_at.append(1) or fits(*of))
    costs = []
    for waiting in (10, 1000):
        queue = Queue(Rules(at_once=64, groups={"rack": 8}))
        for number in range(waiting + 8):
            queue.ask(f"{number:04}", 0.0, 0, ("rack",))
        looked_at.clear()
        assert queue.ask("last", 0.0, 0, ("rack",)).waits
        assert not queue.ask("other", 0.0).waits
        costs.append(len(looked_at))
    assert costs[0] == costs[1]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30), st.data())
def test_whoever_stands_behind_a_full_group_goes_as_if_it_were_not_there(nodes, data):
    """The rule as it is told: all in order, each who fits takes a place, until it is one's turn."""
    groups = [(), ("a",), ("b",), ("a", "b")]
    rules = Rules(at_once=data.draw(st.integers(1, 12)), groups={"a": 2, "b": 3})
    queue = Queue(rules)
    queue.pause(paused=True)
    for number, (group, priority) in enumerate(nodes):
        queue.ask(str(number), 0.0, priority, groups[group])
    queue.pause(paused=False)
    for number in data.draw(st.permutations(range(len(nodes)))):
        free, taken, told = rules.at_once - len(queue.loading), dict(queue._by_group), False
        for place in list(queue.places(0.0)):
            names = groups[nodes[int(place.peer)][0]]
            fits = free > 0 and all(taken.get(name, 0) < rules.groups[name] for name in names)
            if place.peer == str(number):
                told = fits
                break
            if fits:
                free -= 1
                taken |= {name: taken.get(name, 0) + 1 for name in names}
        group, priority = nodes[number]
        assert queue.ask(str(number), 0.0, priority, groups[group]).waits is not told


INFINITE = {"paused": 0, "at_once": float("inf")}


@pytest.mark.parametrize("kept", [{}, {"paused": 1}, {"paused": 0, "at_once": "x"}, [], INFINITE])
def test_what_is_no_state_is_none(kept):
    with pytest.raises((KeyError, TypeError, ValueError, OverflowError)):
        Queue().restore(kept, 0.0, 0.0)


# -- any storm -------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("asks"), st.integers(0, 19)),
        st.tuples(st.just("over"), st.integers(0, 19)),
        st.tuples(st.just("away"), st.integers(0, 19)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(1, 5), st.integers(0, 3))
def test_in_any_storm_no_more_load_than_may_and_nobody_waits_for_ever(steps, most, limited):
    """Machines of even numbers are in a group of which *limited* may load (0: no such rule)."""
    rules = Rules(at_once=most, groups={"even": limited} if limited else {})
    queue, now, gone = Queue(rules), 0.0, set()

    def asks(key: str) -> bool:
        number = int(key)
        was = key in queue.loading
        groups = () if number % 2 else ("even",)
        free = len(queue.loading) < most
        again = key in queue._went
        waits = queue.ask(key, now, number % 3, groups).waits
        if not waits and not was and not again:
            assert free
            evens = [one for one in queue.loading if not int(one) % 2]
            assert not limited or number % 2 or len(evens) <= limited or again
        return waits

    for what, number in steps:
        now += 0.3
        if what == "asks":
            gone.discard(str(number))
            asks(str(number))
        elif what == "over":
            queue.over(str(number), now, up=True)
        elif what == "away":
            gone.add(str(number))
        else:
            kept = json.loads(json.dumps(queue.state(now)))
            queue = Queue(rules)
            queue.restore(kept, now, 0.5)
        queue.tick(0, tuple(queue.loading), now)

    # From here on those that are not gone ask as they are told, and who loads is done in 3 s.
    due = {key: now for key in queue.waiting if key not in gone}
    ends = dict.fromkeys(queue.loading, now + 3)
    until = now + 400
    while due and now < until:
        now += 0.5
        for key in [key for key, end in ends.items() if end <= now]:
            del ends[key]
            queue.over(key, now, up=True)
        for key in [key for key, at in due.items() if at <= now]:
            number = int(key)
            turn = queue.ask(key, now, number % 3, () if number % 2 else ("even",))
            if turn.waits:
                due[key] = now + turn.again
            else:
                del due[key]
                ends[key] = now + 3
        queue.tick(0, tuple(ends), now)
    assert due == {}
