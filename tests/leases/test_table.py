"""The table of leases, beside a slow one that walks through all it has."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from netbootd.addressing import Range
from netbootd.leases import table
from netbootd.leases.lease import Lease, State
from netbootd.leases.table import Leases

NET = int(IPv4Address("10.1.0.0"))
POOL = Range(IPv4Address("10.1.0.10"), IPv4Address("10.1.0.19"))


def at(number: int) -> IPv4Address:
    return IPv4Address(NET + number)


def lease(number: int, key: str = "a", state: State = State.LEASED, until: float = 100, **more):
    return Lease(
        address=at(number), key=key, state=state, since=more.pop("since", 0), until=until, **more
    )


def all_may(_address) -> bool:
    return True


def take(leases: Leases, span=POOL, now: float = 0.0, may=all_may, **more) -> int | None:
    """The number of the address that is given next; it is leased from then on."""
    address = leases.free(span, may, now, **more)
    if address is None:
        return None
    leases.put(lease(int(address) - NET, key=str(address), until=now + 100))
    return int(address) - NET


def test_what_was_put_is_found_by_address_and_by_key():
    leases = Leases([lease(1, "a"), lease(2, "b")])
    assert leases.at(at(1)) == lease(1, "a")
    assert leases.at(at(3)) is None
    assert leases.of("b") == (lease(2, "b"),)
    assert leases.of("c") == ()
    assert sorted(one.key for one in leases) == ["a", "b"]
    assert len(leases) == 2


def test_the_newest_of_a_key_comes_first():
    leases = Leases([lease(1), lease(2)])
    assert [one.address for one in leases.of("a")] == [at(2), at(1)]
    leases.put(lease(1, until=200))
    assert [one.address for one in leases.of("a")] == [at(1), at(2)]
    leases.put(lease(1, "b"))
    assert [one.address for one in leases.of("a")] == [at(2)]
    leases.drop(at(2))
    assert leases.of("a") == ()


def test_put_and_drop_return_what_was_there():
    leases = Leases()
    assert leases.put(lease(1)) is None
    assert leases.put(lease(1, "b")) == lease(1)
    assert leases.drop(at(1)) == lease(1, "b")
    assert leases.drop(at(1)) is None


def test_what_a_client_declined_is_not_its_own():
    leases = Leases([lease(1, state=State.DECLINED)])
    assert leases.of("a") == ()


def test_who_had_many_addresses_costs_no_more_than_others():
    leases = Leases([lease(number, state=State.FREE) for number in range(1000)])
    assert len(leases.of("a")) == 16


def test_addresses_that_were_never_given_come_first_then_the_longest_free():
    leases = Leases()
    assert [take(leases, now=n) for n in range(10)] == list(range(10, 20))
    assert take(leases, now=10) is None
    for number, now in ((15, 20), (12, 21), (18, 22)):
        leases.put(lease(number, "x", State.FREE, now))
    assert [take(leases, now=30) for _ in range(4)] == [15, 12, 18, None]


def test_an_address_that_is_free_is_given_after_it_was_loaded():
    """The one that ended first is the longest free, in whatever order they were read."""
    held = [lease(number, f"k{number}") for number in range(10, 20)]
    held[3] = replace(held[3], state=State.FREE, until=9)
    held[7] = replace(held[7], state=State.FREE, until=5)
    leases = Leases(held)
    assert [take(leases, now=30) for _ in range(3)] == [17, 13, None]


def test_the_same_address_is_offered_until_somebody_has_it():
    leases = Leases()
    assert leases.free(POOL, all_may, 0) == leases.free(POOL, all_may, 0) == at(10)


def test_addresses_that_are_refused_are_passed_over():
    leases = Leases()
    odd = lambda address: int(address) % 2 == 1  # noqa: E731
    assert [take(leases, may=odd) for _ in range(6)] == [11, 13, 15, 17, 19, None]


def test_what_was_refused_is_looked_at_again_with_another_registry_or_in_need():
    leases = Leases()
    assert take(leases, may=lambda address: address == at(19)) == 19
    assert take(leases) is None
    assert take(leases, now=59) is None
    assert take(leases, now=60) == 10
    assert take(leases, may=lambda address: address == at(18), now=61) == 18
    assert take(leases, now=62) is None
    assert take(leases, now=62, generation=1) == 11


def test_next_free_addresses_can_be_seen_ahead():
    leases = Leases([lease(11), lease(13, "f", State.FREE, 50), lease(14, "g", State.FREE, 40)])
    ahead = leases.ahead(POOL, all_may, 60, 3)
    assert ahead == [at(10), at(12), at(15)]
    assert leases.ahead(POOL, all_may, 60, 99)[-2:] == [at(14), at(13)]
    assert leases.free(POOL, all_may, 60) == at(10)


def test_a_huge_range_full_of_holes_is_walked_once():
    everything = Range(IPv4Address("10.0.0.0"), IPv4Address("10.255.255.255"))
    asked = []

    def may(address) -> bool:
        asked.append(address)
        return address >= IPv4Address("10.0.40.0")

    leases = Leases()
    for _ in range(50):
        address = leases.free(everything, may, 0)
        assert address is not None
        leases.put(Lease(address=address, key="k", state=State.LEASED, since=0, until=9))
    assert len(asked) == 40 * 256 + 50


def test_ranges_may_overlap():
    inner = Range(at(12), at(13))
    outer = Range(at(10), at(20))
    leases = Leases()
    assert [take(leases, outer) for _ in range(3)] == [10, 11, 12]
    assert [take(leases, inner) for _ in range(2)] == [13, None]
    assert take(leases, outer) == 14
    leases.put(lease(13, "x", State.FREE, 5))
    assert leases.usage(inner, 6) == (1, 0, 0)
    assert take(leases, inner, now=6) == 13
    leases.put(lease(12, "x", State.FREE, 5))
    assert [take(leases, outer, now=6) for _ in range(7)] == [*range(15, 21), 12]


def test_an_offer_that_nobody_took_is_free_again():
    leases = Leases()
    for number in range(10, 20):
        leases.put(lease(number, f"k{number}", State.OFFERED, until=60))
    assert leases.free(POOL, all_may, 59) is None
    assert leases.free(POOL, all_may, 60) is not None
    assert len(leases) == 0


def test_an_offer_to_another_is_no_end_of_the_memory():
    """Who had the address gets it again, if the other did not take it."""
    leases = Leases([lease(10, "old", State.FREE, 5)])
    leases.put(lease(10, "new", State.OFFERED, 70))
    leases.put(lease(10, "newer", State.OFFERED, 80))
    assert leases.of("old") == ()
    assert leases.expire(80) == []
    assert leases.of("old") == (lease(10, "old", State.FREE, 5),)
    leases.put(lease(10, "new", State.OFFERED, 170))
    leases.put(lease(10, "new", State.LEASED, 170))
    leases.drop(at(10))
    assert len(leases) == 0


def test_what_was_declined_is_given_last():
    leases = Leases()
    for number in range(10, 20):
        leases.put(lease(number, f"k{number}", State.FREE, until=number))
    assert take(leases, now=30) == 10
    leases.put(lease(11, "x", State.DECLINED, until=900))
    assert [take(leases, now=40) for _ in range(9)] == [*range(12, 20), None]
    assert take(leases, now=900) == 11


def test_expiry_returns_what_has_to_be_written():
    leases = Leases(
        [
            lease(10, "a", until=5),
            lease(11, "b", until=6),
            lease(12, "c", until=7),
            lease(13, "d", State.DECLINED, until=6),
            lease(14, "e", State.OFFERED, until=6),
            lease(15, "f", until=float("inf")),
        ]
    )
    assert leases.expire(4.9) == []
    assert leases.expire(6) == [
        lease(10, "a", State.FREE, until=5),
        lease(11, "b", State.FREE, until=6),
    ]
    assert leases.expire(6) == []
    assert [int(one.address) - NET for one in leases] == [12, 15, 10, 11]
    assert len(leases.expire(1e9)) == 1


def test_expiry_does_a_part_at_a_time():
    leases = Leases([lease(number, str(number), until=number) for number in range(10)])
    assert [len(leases.expire(100, limit=4)) for _ in range(4)] == [4, 4, 2, 0]


def test_a_lease_that_was_renewed_does_not_expire():
    leases = Leases([lease(10, until=5)])
    leases.put(lease(10, until=50))
    assert leases.expire(49) == []
    assert leases.expire(50) == [lease(10, state=State.FREE, until=50)]


def test_renewals_without_end_need_no_memory():
    leases = Leases()
    for n in range(5000):
        leases.put(lease(10, until=1e6 + n))
        leases.put(lease(11, state=State.OFFERED, until=1e6 + n))
    assert len(leases._ending) + len(leases._passing) < 200


def test_the_oldest_offer_is_taken_first_from_the_same_port():
    leases = Leases()
    assert leases.oldest_offer(POOL, 0) is None
    for number, port in ((13, "p"), (11, "q"), (12, "p")):
        leases.put(lease(number, str(number), State.OFFERED, 60, port=port))
    leases.put(lease(30, "outside", State.OFFERED, 60, port="q"))
    assert leases.oldest_offer(POOL, 1).address == at(13)
    assert leases.oldest_offer(POOL, 1, "q").address == at(11)
    assert leases.oldest_offer(POOL, 1, "elsewhere") is None
    leases.put(lease(13, "13", State.OFFERED, 61, port="p"))
    assert leases.oldest_offer(POOL, 1).address == at(11)
    assert leases.oldest_offer(POOL, 61) is None


def test_addresses_are_counted_by_port():
    leases = Leases()
    leases.put(lease(10, "a", port="p"))
    leases.put(lease(11, "b", State.OFFERED, port="p"))
    leases.put(lease(12, "c", port="p", machine="node1"))
    leases.put(lease(13, "d", State.FREE, port="p"))
    leases.put(lease(14, "e", State.DECLINED, port="p"))
    leases.put(lease(15, "f", port="q"))
    assert (leases.count("p"), leases.count("q"), leases.count("r")) == (2, 1, 0)
    leases.put(lease(10, "a", port="q"))
    leases.drop(at(11))
    assert (leases.count("p"), leases.count("q")) == (0, 2)


def test_usage_tells_what_is_leased_offered_and_declined():
    leases = Leases([lease(10), lease(11, "b"), lease(12, "c", State.DECLINED, 50)])
    leases.put(lease(13, "d", State.OFFERED, 40))
    leases.put(lease(14, "e", State.FREE, 40))
    assert leases.usage(POOL, 0) == (2, 1, 1)
    assert leases.usage(POOL, 40) == (2, 0, 1)
    assert leases.usage(POOL, 50) == (2, 0, 0)


def test_ipv6_works_as_well_and_is_not_taken_for_ipv4():
    class Six:
        first = IPv6Address("fd00::1:0")
        last = IPv6Address("fd00::ffff:ffff:ffff:ffff")

    leases = Leases()
    assert leases.free(Six(), all_may, 0) == IPv6Address("fd00::1:0")
    low = replace(lease(1), address=IPv6Address(NET + 1), key="six")
    leases.put(low)
    assert leases.at(at(1)) is None
    assert leases.at(IPv6Address(NET + 1)) == low
    leases.put(replace(low, address=IPv6Address("fd00::1:0")))
    assert leases.free(Six(), all_may, 0) == IPv6Address("fd00::1:1")
    assert leases.usage(Six(), 0) == (1, 0, 0)


def test_a_table_that_is_full_forgets_the_longest_free_and_gives_no_more(monkeypatch):
    monkeypatch.setattr(table, "MOST_LEASES", 4)
    leases = Leases([lease(n, str(n), State.FREE, n) for n in (10, 11)])
    assert [take(leases) for _ in range(5)] == [12, 13, 14, 15, None]
    assert len(leases) == 4


def test_a_client_that_comes_and_goes_costs_no_memory():
    leases = Leases([lease(n, str(n), State.FREE, 1) for n in range(10, 20)])
    take(leases)
    for n in range(2000):
        leases.put(lease(15, "x", State.LEASED, 100 + n))
        leases.put(lease(15, "x", State.FREE, 100 + n))
    (stretch,) = leases._sorted
    assert len(stretch.free) == 9


@pytest.mark.parametrize("seed", range(20))
def test_random_changes_agree_with_a_slow_table(seed):
    """Ranges that overlap, clients that come and go; what is free is what the slow one says."""
    chance = random.Random(seed)
    leases, slow = Leases(), {}
    now = 0.0
    spans = [Range(at(a), at(a + chance.randrange(12))) for a in (0, 3, 8, 8, 15, 40)]
    for _ in range(400):
        now += chance.random() * 3
        number = chance.randrange(30)
        verb = chance.random()
        if verb < 0.6:
            state = chance.choice(list(State))
            until = now if state is State.FREE else now + chance.randrange(1, 30)
            one = lease(number, chance.choice("abcdef"), state, until, port=chance.choice("pq"))
            assert leases.put(one) == slow.get(one.address)
            slow[one.address] = one
        elif verb < 0.7:
            assert leases.drop(at(number)) == slow.pop(at(number), None)
        elif verb < 0.8:
            leases.expire(now)
        slow = {one.address: one for one in leases} if verb < 0.8 else slow
        span = chance.choice(spans)
        address = leases.free(span, all_may, now)
        slow = {one.address: one for one in leases}
        inside = {at for at in slow if at in span}
        free = {one.address for one in slow.values() if one.state is State.FREE} & inside
        never = {at(n) for n in range(60) if at(n) in span} - inside
        assert (address is None) == (not free and not never)
        assert address is None or address in never | free
        counted = [
            sum(1 for at in inside if slow[at].state is state)
            for state in (State.LEASED, State.OFFERED, State.DECLINED)
        ]
        assert leases.usage(span, now) == tuple(counted)
        offers = [one for one in slow.values() if one.state is State.OFFERED]
        found = leases.oldest_offer(span, now, "p")
        mine = [one for one in offers if one.port == "p" and one.address in span]
        assert found in mine if mine else found is None
        assert (leases.oldest_offer(span, now) is None) == (
            not any(one.address in span for one in offers)
        )
        for port in "pq":
            held = (State.LEASED, State.OFFERED)
            counts = [one for one in slow.values() if one.port == port and one.state in held]
            assert leases.count(port) == len(counts)
        for key in "abcdef":
            mine = {one.address for one in slow.values() if one.key == key}
            declined = {one.address for one in slow.values() if one.state is State.DECLINED}
            assert leases.declined(key) == len(mine & declined)
            found = {one.address for one in leases.of(key)}
            assert found <= mine - declined
            assert len(found) == min(16, len(mine - declined))


def test_a_range_of_65536_is_given_out_in_no_time_that_a_client_would_see():
    """Not a measure, only that nothing walks: each address would cost 65,536 steps then."""
    span = Range(IPv4Address("10.0.0.0"), IPv4Address("10.0.255.255"))
    leases = Leases()
    began = time.monotonic()
    for n in range(20_000):
        address = leases.free(span, all_may, 0)
        leases.put(Lease(address=address, key=str(n), state=State.LEASED, since=0, until=n))
    leases.expire(1e9, limit=10**6)
    for n in range(20_000):
        address = leases.free(span, all_may, 0)
        leases.put(Lease(address=address, key=str(n), state=State.LEASED, since=0, until=n))
    print(f"{(time.monotonic() - began) / 40_000 * 1e6:.1f} µs each")
