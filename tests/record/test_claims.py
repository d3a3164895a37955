"""Claims on the left, judgements on the right."""

from __future__ import annotations

import dataclasses

import pytest

from netbootd.mac import MAC
from netbootd.record import claims
from netbootd.record.claims import (
    Alarm,
    Claim,
    Contested,
    Give,
    Later,
    No,
    Rules,
    arrived,
    judge,
)
from netbootd.record.coding import decode, encode
from netbootd.record.record import Record
from netbootd.record.standing import FRESH, Armed, arms, begins, holds, released

CARD, SECOND, OTHER = (MAC.parse(f"52:54:00:00:00:0{n}") for n in (1, 2, 9))
RULES = Rules(cards=(CARD, SECOND), window=900.0)
BEGAN = 1000.0


def booted(*, armed=True, standing=FRESH, at=BEGAN):
    if armed:
        standing = arms(standing, Armed(target="install/a", order=7))
    return begins(standing, "install/a", armed=armed, mac=str(CARD), peer="192.0.2.9", now=at)


def claim(standing, **other):
    usual = Claim("install/node.cfg", standing.latest, "192.0.2.9", CARD)
    return dataclasses.replace(usual, **other)


def verdict(standing, now=BEGAN + 60, rules=RULES, **other):
    return judge(standing, claim(standing, **other), rules, now)


def given(standing, *, whole=True, **other):
    made = verdict(standing, **other)
    assert isinstance(made, Give)
    found = made.standing
    what = other.get("what", "install/node.cfg")
    return arrived(found, found.latest.number, what) if whole else found


@pytest.mark.parametrize(
    ("other", "kind", "says"),
    [
        ({}, Give, ""),
        ({"card": SECOND, "peer": "192.0.2.10"}, Give, ""),
        ({"attempt": None}, No, "missing or wrong"),
        ({"attempt": None, "card": OTHER}, No, "missing or wrong"),
        ({"card": OTHER, "peer": "192.0.2.66"}, Alarm, f"192.0.2.66, and is {OTHER}"),
        (
            {"card": None, "why": "it is behind the router 192.0.2.1", "peer": "192.0.2.66"},
            Alarm,
            "behind the router",
        ),
        ({"card": OTHER}, Contested, f"192.0.2.9, and is {OTHER}, where {CARD} or {SECOND} should"),
        ({"card": None, "why": "nobody has it"}, Contested, "192.0.2.9, and nobody has it"),
        ({"card": OTHER, "peer": "192.0.2.8"}, Contested, f"192.0.2.8, and is {OTHER}"),
        ({"under_way": True}, Later, "on its way already"),
        ({"under_way": True, "card": OTHER, "peer": "192.0.2.66"}, Alarm, "192.0.2.66"),
        ({"under_way": True, "attempt": None}, No, "missing or wrong"),
    ],
)
def test_the_first_to_ask(other, kind, says):
    found = verdict(booted(), rules=dataclasses.replace(RULES, address="192.0.2.8"), **other)
    assert type(found) is kind
    assert says in getattr(found, "reason", "")


@pytest.mark.parametrize(
    ("seconds", "kind"), [(0, Give), (900, Give), (901, No), (-900, Give), (-901, No)]
)
def test_the_window_holds_whichever_way_the_clock_goes(seconds, kind):
    standing = booted()
    assert isinstance(verdict(standing, BEGAN + seconds), kind)
    late = isinstance(verdict(standing, BEGAN + seconds, card=OTHER, peer="192.0.2.66"), No)
    assert late is (kind is No)


def test_only_a_boot_that_was_armed():
    standing = booted(armed=False)
    assert "not armed" in verdict(standing).reason
    assert isinstance(verdict(standing, rules=dataclasses.replace(RULES, armed=False)), Give)


def test_the_token_of_an_earlier_boot_is_worth_nothing():
    first = booted()
    second = booted(standing=first)
    assert "earlier boot" in verdict(second, attempt=first.latest).reason
    assert isinstance(verdict(second, attempt=first.latest, card=OTHER), No)


def test_once_it_has_arrived_whoever_asks_is_the_second():
    standing = given(booted())
    for other in ({}, {"card": SECOND}, {"card": OTHER}, {"card": OTHER, "peer": "192.0.2.66"}):
        assert isinstance(verdict(standing, **other), Alarm)
    assert str(OTHER) in verdict(standing, card=OTHER).reason
    assert "60 s after" not in verdict(standing, BEGAN + 61).reason
    assert "1 s after it was given to 192.0.2.9" in verdict(standing, BEGAN + 61).reason


def test_who_asked_twice_at_once_is_no_second_claimant():
    standing = given(booted())
    assert isinstance(verdict(standing, under_way=True), Later)
    for other in ({"card": SECOND}, {"peer": "192.0.2.8"}, {"card": OTHER}):
        assert isinstance(verdict(standing, under_way=True, **other), Alarm)


def test_each_thing_is_given_once():
    standing = given(booted())
    standing = given(standing, what="script")
    assert isinstance(verdict(standing, what="script"), Alarm)
    assert isinstance(verdict(standing, what="overlay"), Give)


def test_what_broke_off_may_be_begun_again_by_its_own_card_within_bounds():
    standing = booted()
    for _ in range(claims.MOST_BEGUN):
        standing = given(standing, whole=False)
    assert "20 times" in verdict(standing).reason
    assert isinstance(verdict(standing, card=OTHER, peer="192.0.2.66"), Alarm)


def test_who_forges_the_address_of_a_machine_has_it_neither_held_nor_robbed():
    standing = booted()
    for _ in range(3):
        assert isinstance(verdict(standing, card=OTHER), Contested)
    assert isinstance(verdict(standing), Give)
    assert isinstance(verdict(given(standing), card=OTHER), Alarm)


def test_one_that_reads_twice_gets_it_twice():
    rules = dataclasses.replace(RULES, times=2)
    standing = given(booted())
    found = verdict(standing, rules=rules)
    assert isinstance(found, Give)
    twice = arrived(found.standing, standing.latest.number, "install/node.cfg")
    assert isinstance(verdict(twice, rules=rules), Alarm)


def test_a_machine_that_is_held_gets_nothing_and_raises_no_second_alarm():
    standing = holds(given(booted()), "its secret has a second claimant")
    for other in ({}, {"card": OTHER}, {"what": "script"}):
        assert isinstance(verdict(standing, **other), No)
    assert isinstance(verdict(released(standing), what="script"), Give)
    assert isinstance(verdict(released(standing)), Alarm)  # to release it gives nothing again
    assert isinstance(verdict(booted(standing=released(standing))), Give)


def test_what_was_given_is_kept():
    standing = given(booted())
    assert decode(encode(standing)) == standing
    before = encode(booted()).replace('"given":[]', '"later":1')
    assert decode(before) == booted()


def test_no_arrival_is_noted_of_what_was_not_given():
    standing = booted()
    assert arrived(standing, standing.latest.number, "script") is standing
    assert arrived(standing, 99, "script") is standing


def test_what_opens_secrets_is_not_the_token_that_anybody_may_see():
    record = Record(lambda: BEGAN, secret=b"s" * 32)
    plain, proof = record.next_token("node"), record.next_proof("node")
    record.begin("node", "install/a", armed=False, mac=CARD, peer="192.0.2.9", listed=True)
    latest = record.of("node").latest
    assert proof == record.proof("node", latest) != plain == record.token("node", latest)
    assert record.proven("node", proof) is latest
    assert record.proven("node", plain) is None
    assert record.attempt_of("node", proof) is latest  # it tells /done whose it is all the same
    assert record.proven("other", proof) is None
