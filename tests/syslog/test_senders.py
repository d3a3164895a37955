from __future__ import annotations

from ipaddress import IPv4Network

from netbootd.syslog.senders import Senders


def taken(senders, peer, number, now):
    return sum(senders.takes(peer, now) for _ in range(number))


def test_a_burst_of_five_seconds_is_taken_and_then_the_rate():
    senders = Senders(rate=100)
    assert taken(senders, "a", 1000, 0.0) == 500
    assert taken(senders, "a", 1000, 1.0) == 100
    assert taken(senders, "b", 10, 1.0) == 10
    assert senders.over == 500 + 900


def test_a_flood_is_told_when_it_begins_and_when_it_is_over():
    senders = Senders(rate=100)
    taken(senders, "a", 700, 10.0)
    assert [(one.peer, one.began) for one in senders.floods(10.0)] == [("a", True)]
    taken(senders, "a", 150, 11.0)
    assert senders.floods(11.0) == []
    (over,) = senders.floods(14.0)
    assert (over.began, over.refused, over.seconds) == (False, 250, 4.0)
    assert senders.floods(20.0) == []


def test_only_the_networks_that_are_allowed_may_send():
    senders = Senders([IPv4Network("192.0.2.0/24")])
    assert senders.takes("192.0.2.9", 0.0)
    assert not senders.takes("198.51.100.1", 0.0)
    assert not senders.allows("198.51.100.1")
    assert not senders.takes("::1", 0.0)
    assert (senders.refused, senders.over) == (2, 0)


def test_other_networks_count_after_a_reload():
    senders = Senders([IPv4Network("192.0.2.0/24")])
    senders.takes("192.0.2.9", 0.0)
    senders.configure([IPv4Network("198.51.100.0/24")], 10)
    assert not senders.takes("192.0.2.9", 0.0)
    assert senders.takes("198.51.100.1", 0.0)


def test_forged_addresses_cost_a_bounded_memory():
    senders = Senders(rate=1)
    taken(senders, "flood", 10, 0.0)
    for number in range(50_000):
        senders.takes(str(number), 0.0)
    assert len(senders._senders) <= 16_384
    assert [one.began for one in senders.floods(0.0)] == [True, False]
