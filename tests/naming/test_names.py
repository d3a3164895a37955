"""Who is called what."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.mac import MAC
from netbootd.naming.names import Holder, Named, Names, hosts, in_full, label, own_name

A, B, C = (f"52:54:00:00:00:0{number}" for number in "abc")


def holder(last, key=A, said="", own="", domain="example.org"):
    address = ip_address(f"192.0.2.{last}" if isinstance(last, int) else last)
    return Holder(address=address, key=key, said=said, own=own, domain=domain, identity=key)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Laptop", "laptop"),
        ("laptop.example.org.", "laptop"),
        ("3com", "3com"),
        ("a" * 63, "a" * 63),
        ("a" * 64, ""),
        ("-a", ""),
        ("a-", ""),
        ("a_b", ""),
        ("a b", ""),
        ("é", ""),
        ("", ""),
        (".", ""),
        (".example.org", ""),
        ("*", ""),
        ("a\nb", ""),
        ("localhost", ""),
        ("WPAD", ""),
        ("isatap.example.org", ""),
    ],
)
def test_a_client_is_called_as_it_says_where_that_is_a_name(said, name):
    assert label(said) == name


@given(st.text())
def test_whatever_a_client_says_becomes_a_name_or_none(said):
    assert label(said) == "" or label(label(said)) == label(said)


def test_an_admins_name_may_have_dots():
    assert own_name("N1.cluster.example.") == "n1.cluster.example"
    assert own_name("n1..example") == own_name("n_1") == own_name("a." * 127 + "a") == ""
    assert in_full("n1.cluster.example", "x.org") == "n1.cluster.example"
    assert (in_full("n1", "X.org."), in_full("n1", "")) == ("n1.x.org", "n1")


def test_who_came_first_keeps_the_name():
    names = Names()
    names.take(holder(1, A, "laptop"))
    assert names.take(holder(2, B, "laptop")) == []
    assert names.name_at(ip_address("192.0.2.2")) == ""
    names.end(ip_address("192.0.2.1"))
    (named,) = names.take(holder(2, B, "laptop"))
    assert (named.name, named.identity) == ("laptop.example.org", B)


def test_the_same_name_in_another_domain_is_another():
    names = Names()
    names.take(holder(1, A, "laptop"))
    (named,) = names.take(holder(2, B, "laptop", domain="example.net"))
    assert named.name == "laptop.example.net"


def test_a_stranger_never_gets_the_name_of_a_listed_machine():
    names = Names()
    names.reserved = frozenset({"n1"})
    assert names.take(holder(1, A, "N1.example.net")) == []
    (named,) = names.take(holder(2, B, own="n1"))
    assert (named.name, named.listed) == ("n1.example.org", True)


def test_a_name_that_becomes_a_listed_machines_is_taken_back():
    names = Names()
    names.take(holder(1, A, "n1"))
    names.reserved = frozenset({"n1"})
    (gone,) = names.take(holder(1, A, "n1"))
    assert gone == Named(name="n1.example.org", identity=A)


def test_a_listed_machine_has_its_name_at_each_of_its_addresses():
    names = Names()
    names.take(holder(1, A, own="n1"))
    (named,) = names.take(holder("2001:db8::1", B, own="n1"))
    assert list(map(str, named.addresses)) == ["192.0.2.1", "2001:db8::1"]
    (named,) = names.end(ip_address("192.0.2.1"))
    assert list(map(str, named.addresses)) == ["2001:db8::1"]


def test_a_client_that_moves_takes_its_name_along():
    names = Names()
    names.take(holder(1, A, "laptop"))
    names.take(holder(2, A, "laptop"))
    (named,) = names.end(ip_address("192.0.2.1"))
    assert [*map(str, named.addresses)] == ["192.0.2.2"]


def test_one_card_has_its_name_in_both_families():
    names, card = Names(), MAC.parse(A)
    names.take(replace(holder(1, A, "laptop"), mac=card))
    (named,) = names.take(replace(holder("2001:db8::1", "duid:00", "laptop"), mac=card))
    assert len(named.addresses) == 2


def test_a_renewal_changes_nothing():
    names = Names()
    assert names.take(holder(1, A, "laptop"))
    assert names.take(holder(1, A, "laptop")) == []


def test_an_address_that_is_anothers_now_loses_the_name_of_the_one_before():
    names = Names()
    names.take(holder(1, A, "laptop"))
    gone, new = names.take(holder(1, B, "phone"))
    assert gone == Named(name="laptop.example.org", identity=A)
    assert (new.name, new.identity) == ("phone.example.org", B)


def test_what_nobody_had_ends_without_a_word():
    assert Names().end(ip_address("192.0.2.1")) == []


def test_a_hosts_file_has_the_names_by_their_addresses():
    names = Names()
    names.take(holder(10, A, own="n1"))
    names.take(holder(9, B, "laptop", domain=""))
    names.take(holder("2001:db8::1", A, own="n1"))
    comment, *lines = hosts(names).splitlines()
    assert comment.startswith("# ")
    assert lines == [
        "192.0.2.9\tlaptop",
        "192.0.2.10\tn1.example.org n1",
        "2001:db8::1\tn1.example.org n1",
    ]


KEYS, ADDRESSES = st.sampled_from([A, B, C]), st.integers(1, 4)
STEPS = st.tuples(ADDRESSES, KEYS, st.sampled_from(["", "x", "y", "n1"]), st.booleans())


@given(st.lists(STEPS, max_size=40))
def test_no_two_strangers_share_a_name_and_what_is_told_is_how_it_is(steps):
    names, told = Names(), {}
    names.reserved = frozenset({"n1"})
    for last, key, said, over in steps:
        one = holder(last, key, said)
        for named in names.end(one.address) if over else names.take(one):
            told[named.name] = named.addresses
        for named in names:
            keys = {who.key for who in names.holders() if who.address in named.addresses}
            assert len(keys) == 1
            assert named.short != "n1"
    assert {name: addresses for name, addresses in told.items() if addresses} == {
        named.name: named.addresses for named in names
    }


def test_a_name_that_is_too_long_in_its_domain_is_none():
    domain = ".".join(["d" * 60] * 4)
    assert in_full("a" * 9, domain) == f"{'a' * 9}.{domain}"
    assert in_full("a" * 10, domain) == ""
    names = Names()
    assert names.take(holder(7, said="a" * 63, domain=domain)) == []
    assert names.name_at(ip_address("192.0.2.7")) == ""
