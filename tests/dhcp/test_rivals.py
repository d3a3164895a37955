"""Other DHCP servers: told of once, remembered for a while, and never more than a few."""

from netbootd.dhcp.rivals import REMEMBERED_S, Rivals
from netbootd.mac import MAC

CARD = MAC.parse("52:54:00:aa:00:01")


def same(seconds: float) -> float:
    return seconds


def test_a_server_is_told_of_once_in_a_while():
    rivals = Rivals()
    event = rivals.note("192.0.2.9", "eth0", 5.0, mac=CARD, address="192.0.2.50")
    assert str(event) == (f"{CARD} was given 192.0.2.50 by another DHCP server, 192.0.2.9, on eth0")
    assert rivals.note("192.0.2.9", "eth0", 6.0) is None
    assert rivals.note("192.0.2.9", "eth0", 6.0 + REMEMBERED_S) is not None


def test_it_counts_on_its_interface_as_long_as_it_is_heard():
    rivals = Rivals()
    rivals.note("192.0.2.9", "eth0", 0.0)
    rivals.note("192.0.2.9", "eth0", 500.0)
    assert rivals.any("eth0", 500.0 + REMEMBERED_S - 1)
    assert not rivals.any("eth1", 500.0)
    assert not rivals.any("eth0", 500.0 + REMEMBERED_S)


def test_what_is_remembered_is_when_and_how_often_and_the_last_address():
    rivals = Rivals()
    rivals.note("192.0.2.9", "eth0", 0.0, address="192.0.2.50")
    rivals.note("192.0.2.9", "eth0", 9.0)
    [one] = rivals.all(9.0, lambda seconds: seconds + 100)
    assert (one.server, one.first, one.last, one.times) == ("192.0.2.9", 100.0, 109.0, 2)
    assert one.address == "192.0.2.50"


def test_made_up_servers_fill_no_memory():
    rivals = Rivals()
    for number in range(5000):
        rivals.note(f"10.0.{number // 256}.{number % 256}", "eth0", 0.0)
    assert len(rivals.all(0.0, same)) <= 64
