"""Whose lease it is: the card, else what the client says of itself."""

from __future__ import annotations

import pytest

from netbootd.leases.identity import key
from netbootd.mac import MAC

CARD = MAC.parse("52:54:00:12:34:56")
ETHERNET = (1, bytes(CARD))
DUID = bytes.fromhex("ff00000001000100011234567852540012")
GUID = b"\0" + bytes(range(16))


@pytest.mark.parametrize("said", [b"", b"\x01" + CARD, DUID, GUID, b"x"])
def test_firmware_ipxe_and_system_of_a_card_are_one(said):
    assert key(CARD, said, ETHERNET) == "52:54:00:12:34:56"


def test_another_client_id_is_somebody_else_where_that_is_wanted():
    assert key(CARD, DUID, ETHERNET, True) == f"id:{DUID.hex()}"
    assert key(CARD, b"\x01" + CARD, ETHERNET, True) == str(CARD)
    assert key(CARD, b"", ETHERNET, True) == str(CARD)
    assert key(CARD, b"x", ETHERNET, True) == str(CARD), "too short to be one"


def test_infiniband_is_known_by_its_client_id():
    assert key(None, DUID, (32, b"")) == f"id:{DUID.hex()}"


def test_another_card_is_known_by_its_address():
    assert key(None, b"", (32, bytes(range(16)))) == f"hw:32:{bytes(range(16)).hex()}"


def test_who_cannot_be_told_from_others_has_no_key():
    assert key(None, b"", (32, b"")) == ""
    assert key(None, b"\0", (6, bytes(8))) == ""
    assert key(MAC(bytes(6)), b"", (1, bytes(6))) == ""
    assert key(MAC(b"\xff" * 6), b"", (1, b"\xff" * 6)) == ""


def test_a_card_of_zeros_may_say_who_it_is():
    assert key(MAC(bytes(6)), DUID, (1, bytes(6))) == f"id:{DUID.hex()}"


def test_a_long_client_id_gives_no_long_key_and_the_end_counts():
    one, other = key(None, b"a" * 1400), key(None, b"a" * 1399 + b"b")
    assert one != other
    assert len(one) < 100
