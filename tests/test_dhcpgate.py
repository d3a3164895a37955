"""Cards that are known are heard, whatever strangers do."""

from netbootd.dhcp.budget import MOST_OF_ONE, Gate


def test_one_machine_that_sends_without_end_is_heard_a_while():
    gate = Gate(0.0)
    heard = [gate.lets_in(b"card01", 0.001 * number) for number in range(900)]
    assert heard.count(True) == MOST_OF_ONE
    assert gate.lets_in(b"card02", 0.9)
    assert gate.lets_in(b"card01", 1.5)


def test_strangers_take_nothing_from_those_who_have_an_address():
    gate = Gate(0.0)
    gate.budget_of(b"strang", False, 0.0).spend(100.0)
    assert gate.budget_of(b"others", False, 1.0) is None
    assert gate.budget_of(b"client", True, 1.0) is gate.clients
    gate.clients.spend(100.0)
    assert gate.budget_of(b"client", True, 1.0) is None
