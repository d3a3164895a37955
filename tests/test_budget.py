"""Strangers have a share of our time, and those who come again go before those who do not."""

import random

from netbootd.budget import Budget, Rates, Strangers

SHARE = 0.5


def test_a_quiet_network_is_never_turned_away():
    budget = Budget(SHARE, 0.0)
    for second in range(100):
        assert budget.affords(float(second))
        budget.spend(SHARE / 2)


def test_a_flood_gets_its_share_and_no_more():
    budget, now, worked = Budget(SHARE, 0.0), 0.0, 0.0
    while now < 100.0:
        if budget.affords(now):
            budget.spend(0.001)
            worked += 0.001
            now += 0.001
        now += 0.0001
    assert SHARE * 100 - 1 < worked < SHARE * 100 + 2


def test_a_pause_saves_up_no_more_than_one_burst():
    budget = Budget(SHARE, 0.0)
    assert budget.affords(1_000_000.0)
    budget.spend(1.5)
    assert not budget.affords(1_000_000.0)


def test_a_clock_that_stands_still_or_goes_back_grants_nothing():
    budget = Budget(SHARE, 10.0)
    budget.spend(2.0)
    assert not budget.affords(10.0)
    assert not budget.affords(5.0)


def test_a_flood_gets_a_quarter_of_it_where_others_wait_behind_it():
    budget, now, worked = Budget(SHARE, 0.0), 0.0, 0.0
    while now < 100.0:
        if budget.affords(now):
            budget.spend(0.001, crowded=True)
            worked += 0.001
            now += 0.001
        now += 0.0001
    assert SHARE * 100 / 4 - 1 < worked < SHARE * 100 / 4 + 1


def test_it_has_its_share_again_once_nobody_waits():
    budget = Budget(SHARE, 0.0)
    budget.spend(0.6, crowded=True)
    assert not budget.affords(0.5)
    assert budget.affords(1.0)
    budget.spend(0.5)
    assert not budget.affords(1.0)
    assert budget.affords(2.0)


def test_a_rack_that_is_switched_on_within_a_moment_is_not_turned_away():
    """It fills a queue as a flood does, and asks for less than was saved."""
    budget = Budget(SHARE, 0.0)
    for number in range(900):
        assert budget.affords(number / 100_000)
        budget.spend(0.0005, crowded=True)


# -- who comes again ---------------------------------------------------------------------------


def flooded(seconds: float, strangers: Strangers, begin: float = 0.0) -> float:
    """After 10,000 a second, each from an address of its own, of which each would cost 0.5 ms."""
    dice, now = random.Random(begin), begin
    while now < begin + seconds:
        now += 0.0001
        if budget := strangers.budget_of(dice.randbytes(6), now):
            budget.spend(0.0005)
    return now


def test_in_a_flood_from_ever_new_addresses_whoever_asks_again_is_heard():
    strangers = Strangers(0.1, 0.1, 0.0)
    now = flooded(10.0, strangers)
    real = [bytes((2, 0, 0, 0, 0, number)) for number in range(50)]
    heard = set()
    for _ in range(2):
        for card in real:
            if budget := strangers.budget_of(card, now):
                budget.spend(0.001)
                heard.add(card)
        now = flooded(4.0, strangers, now)
    assert heard == set(real)


def test_who_was_turned_away_long_ago_is_a_stranger_again():
    strangers = Strangers(0.001, 1.0, 0.0)
    strangers.budget_of("one", 0.0).spend(100.0)
    assert strangers.budget_of("one", 1.0) is None
    assert strangers.budget_of("one", 5.0) is not None
    assert strangers.budget_of("two", 70.0) is None
    assert strangers.budget_of("one", 70.0) is None


def test_those_who_come_again_have_no_more_than_their_share_either():
    strangers = Strangers(0.1, 0.1, 0.0)
    now, worked = 0.0, 0.0
    while now < 100.0:
        if budget := strangers.budget_of("the same", now):
            budget.spend(0.001)
            worked += 0.001
        now += 0.0005
    assert 18 < worked < 22


# -- rates -------------------------------------------------------------------------------------


def test_one_sender_has_a_burst_and_then_its_rate():
    rates = Rates(burst=5, rate=2)
    assert [rates.takes("one", 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert rates.takes("other", 0.0)
    assert [rates.takes("one", 1.0) for _ in range(3)] == [True, True, False]


def test_the_senders_that_are_remembered_are_bounded():
    rates = Rates(burst=1, rate=1, most=100)
    for number in range(1000):
        assert rates.takes(number, 0.0)
    assert len(rates) == 100
    assert not rates.takes(999, 0.0)


def test_several_are_taken_together_or_not_at_all():
    rates = Rates(10, 1)
    assert rates.takes("one", 0.0, 8)
    assert not rates.takes("one", 0.0, 3)
    assert rates.takes("one", 0.0, 2)
    assert rates.takes("one", 4.0, 4)
    assert not rates.takes("one", 4.0)


def test_more_can_be_saved_up():
    budget = Budget(SHARE, 0.0, most=3.0)
    budget.spend(2.9)
    assert budget.affords(0.0)
    budget.spend(0.2)
    assert not budget.affords(0.0)
    budget.spend(0.0)
    assert budget.affords(1_000_000.0)
    budget.spend(2.9)
    assert budget.affords(1_000_000.0)
    budget.spend(0.2)
    assert not budget.affords(1_000_000.0)
