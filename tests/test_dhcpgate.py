"""Cards that are known are heard, whatever strangers do; and each of them, whatever others do."""

import random

import pytest

from netbootd.dhcpgate import MOST_OF_ONE, Gate, charge

COST_S = 0.0004


def test_one_machine_that_sends_without_end_is_heard_a_while():
    gate = Gate(0.0)
    heard = [gate.for_listed(b"card01", b"%d" % number, 0.001 * number) for number in range(900)]
    assert sum(one is not None for one in heard) == MOST_OF_ONE
    assert gate.for_listed(b"card02", b"1", 0.9)
    assert gate.for_listed(b"card01", b"1", 1.5)


def test_strangers_take_nothing_from_those_who_have_an_address():
    gate = Gate(0.0)
    gate.for_stranger(b"strang", 0.0).spend(100.0)
    assert gate.for_stranger(b"others", 1.0) is None
    gate.for_client(1.0).spend(100.0)
    assert gate.for_client(1.0) is None
    assert gate.for_listed(b"listed", b"1", 1.0)


def test_what_cannot_be_read_takes_nothing_from_anybody():
    gate = Gate(0.0)
    gate.for_broken(0.0).spend(100.0)
    assert gate.for_broken(1.0) is None
    assert gate.for_stranger(b"strang", 1.0)
    assert gate.for_listed(b"listed", b"1", 1.0)


def test_two_thousand_nodes_that_are_switched_on_together_are_all_heard():
    """Each asks four times within some seconds, and the queue is full meanwhile."""
    gate = Gate(0.0)
    for second in range(4):
        for number in range(2000):
            budget = gate.for_listed(b"card%d" % number, b"%d" % second, second + number / 10_000)
            assert budget is not None
            charge(budget, COST_S, crowded=True)


def transactions(kind, dice, number):
    """Of a flood's packet: made up, or one of those that are sent round and round."""
    return dice.randbytes(4) if kind == "made up" else b"%d" % (number % 10_000)


@pytest.mark.parametrize("kind", ["made up", "round and round"])
def test_a_listed_machine_is_heard_when_it_asks_again_in_a_flood_of_listed_ones(kind):
    """It floods in the name of all 10,000, of those that ask as well; 4000 a second."""
    gate, dice, worked, now = Gate(0.0), random.Random(1), 0.0, 0.0
    macs = [b"card%d" % number for number in range(10_000)]
    real, heard = {mac: b"xid" + mac for mac in macs[:50]}, set()
    for number in range(4000 * 60):
        now = number / 4000
        if budget := gate.for_listed(macs[number % 10_000], transactions(kind, dice, number), now):
            charge(budget, COST_S, crowded=True)
            worked += COST_S
        if number in (4000 * 40, 4000 * 44):  # the second time after four seconds
            for mac, xid in real.items():
                if budget := gate.for_listed(mac, xid, now):
                    charge(budget, COST_S, crowded=True)
                    heard.add(mac)
    assert len(heard) == 50
    assert worked < 0.55 * now + 4.5
