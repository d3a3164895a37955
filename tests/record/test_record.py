"""The record in memory: tokens, addresses, and a bound for machines that anybody can make up."""

from __future__ import annotations

from netbootd.mac import MAC
from netbootd.record import record as module
from netbootd.record.record import Record
from netbootd.record.standing import FRESH, Standing, holds

NODE = MAC.parse("00:25:90:27:db:b4")
KEY = str(NODE)


def made(**more) -> Record:
    return Record(lambda: 1000.0, **more)


def begin(record: Record, key=KEY, *, peer="192.0.2.100", listed=True) -> None:
    record.begin(key, "install/a", armed=False, mac=MAC.parse(key), peer=peer, listed=listed)


def test_a_token_is_that_of_the_attempt_it_was_made_for():
    record = made()
    promised = record.next_token(KEY)
    begin(record)
    assert record.attempt_of(KEY, promised).number == 1
    assert record.token(KEY, record.of(KEY).latest) == promised
    assert record.next_token(KEY) != promised


def test_a_token_is_good_for_one_machine_and_one_server_only():
    record = made()
    begin(record)
    begin(record, "00:25:90:27:db:b5")
    token = record.token(KEY, record.of(KEY).latest)
    assert record.attempt_of("00:25:90:27:db:b5", token) is None
    other = made()
    begin(other)
    assert other.attempt_of(KEY, token) is None


def test_any_text_may_come_as_a_token():
    record = made()
    begin(record)
    for text in ("", "é", "\udc80", "x" * 10_000):
        assert record.attempt_of(KEY, text) is None


def test_a_token_outlives_a_look_at_the_script():
    record = made()
    begin(record)
    token = record.token(KEY, record.of(KEY).latest)
    begin(record, peer="192.0.2.7")
    assert record.attempt_of(KEY, token).peer == "192.0.2.100"


def test_who_booted_from_an_address():
    record = made()
    assert record.at("192.0.2.100") == ("", None)
    begin(record)
    assert record.at("192.0.2.100") == (KEY, NODE)
    begin(record, "00:25:90:27:db:b5")
    assert record.at("192.0.2.100") == ("00:25:90:27:db:b5", MAC.parse("00:25:90:27:db:b5"))


def test_addresses_of_attempts_that_are_forgotten_are_forgotten():
    """Or a listed machine whose script is asked for from ever new ones would fill the memory."""
    record = made()
    for number in range(1000):
        begin(record, peer=f"198.18.{number >> 8}.{number & 255}")
    assert record.at("198.18.3.231")[0] == KEY
    assert record.at("198.18.0.0") == ("", None)
    assert len(record._at) == len(record.of(KEY).attempts)


def test_addresses_are_known_again_after_a_restart():
    kept: dict[str, Standing] = {}
    record = made(keep=kept.__setitem__)
    begin(record)
    again = made(standings=kept)
    assert again.at("192.0.2.100") == (KEY, NODE)


def test_strangers_are_bounded_and_those_that_matter_stay(monkeypatch):
    monkeypatch.setattr(module, "MOST_STRANGERS", 10)
    kept: dict[str, Standing | None] = {}
    record = made(keep=kept.__setitem__)
    first = "02:00:00:00:00:00"
    begin(record, first, listed=False)
    record.put(first, holds(record.of(first), "why"), listed=False)
    begin(record)
    for number in range(1, 60):
        begin(record, f"02:00:00:00:00:{number:02x}", peer=f"192.0.2.{number}", listed=False)
    assert record.of(first).held
    assert record.of(KEY) is not FRESH
    assert len(record.items()) == 11
    assert record.of("02:00:00:00:00:01") is FRESH
    assert kept["02:00:00:00:00:01"] is None
    assert record.at("192.0.2.1") == ("", None)
