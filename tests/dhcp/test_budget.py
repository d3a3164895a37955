"""Strangers have a share of our time, and cards that are known have the rest."""

from netbootd.dhcp.budget import MOST_OF_ONE, Budget, Gate

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


def test_one_machine_that_sends_without_end_is_heard_a_while():
    gate = Gate(0.0)
    heard = [gate.lets_in(b"card01", 0.001 * number) for number in range(900)]
    assert heard.count(True) == MOST_OF_ONE
    assert gate.lets_in(b"card02", 0.9)
    assert gate.lets_in(b"card01", 1.5)
