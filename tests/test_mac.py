"""Every spelling of one MAC, and what is none."""

import pytest

from netbootd.mac import MAC

SAME = MAC(bytes.fromhex("00259027dbb4"))


@pytest.mark.parametrize(
    "text",
    [
        "00:25:90:27:db:b4",
        "00:25:90:27:DB:B4",
        "00%3A25%3A90%3A27%3Adb%3Ab4",
        "00%3a25%3a90%3a27%3adb%3ab4",
        "00-25-90-27-db-b4",
        "01-00-25-90-27-db-b4",
        "01:00:25:90:27:db:b4",
        "0100259027DBB4",
        "00259027dbb4",
        "0025.9027.dbb4",
        "0:25:90:27:db:b4",
        "mac=00:25:90:27:db:b4",
        "  00:25:90:27:db:b4\t",
    ],
)
def test_every_spelling_is_the_same_machine(text):
    assert MAC.parse(text) == SAME
    assert hash(MAC.parse(text)) == hash(SAME)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "default",
        "00:25:90:27:db",
        "00:25:90:27:db:b4:00",
        "00:25:90:27:db:b4x",
        "00:25-90:27:db:b4",
        "00:25:90:27:db:g4",
        "00:25:90:27:dbb:4",
        "100259027dbb4",
        "02-00-25-90-27-db-b4",
        "00::25:90:27:db",
        "0025:9027:dbb4",
        "٠٠:25:90:27:db:b4",
    ],
)
def test_what_is_no_mac_is_refused(text):
    assert MAC.maybe(text) is None
    with pytest.raises(ValueError, match="MAC"):
        MAC.parse(text)


def test_it_prints_as_the_field_writes_it():
    assert (str(SAME), SAME.dashed, SAME.raw) == (
        "00:25:90:27:db:b4",
        "00-25-90-27-db-b4",
        "00259027dbb4",
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("00:00:00:00:00:00", "zero"),
        ("ff:ff:ff:ff:ff:ff", "broadcast"),
        ("01:00:5e:00:00:01", "multicast"),
    ],
)
def test_addresses_that_no_machine_can_have_are_named(text, word):
    assert word in MAC.parse(text).reserved


def test_an_ordinary_address_is_not_reserved():
    assert SAME.reserved is None


def test_made_up_addresses_are_known_and_could_be_a_machines():
    made = {MAC.make_up() for _ in range(3)}
    assert len(made) > 1
    assert all(one.is_made_up and one.reserved is None for one in made)
    assert not SAME.is_made_up


def test_a_mac_has_six_octets():
    with pytest.raises(ValueError, match="6 octets"):
        MAC(b"12345")
