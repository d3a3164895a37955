"""A UUID is read without the standard library's class, and means what that makes of it."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.registry import marks

SPELLINGS = [str, lambda uuid: uuid.hex, lambda uuid: str(uuid).upper(), lambda uuid: uuid.urn]


@given(st.uuids(), st.sampled_from(SPELLINGS))
def test_both_orders_of_a_uuid_are_one_mark_however_it_is_written(uuid, spelling):
    expected = min(str(uuid), str(UUID(bytes_le=uuid.bytes)))
    tells_apart = len(set(uuid.bytes)) > 1
    assert marks.normal("uuid", spelling(uuid)) == (expected if tells_apart else "")


@pytest.mark.parametrize(
    "text",
    [
        "00112233-4455-6677-8899-aabbccddeef",
        "0011223x-4455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-aabbccdd eff",
        "00112233_4455_6677_8899_aabbccddeeff",
    ],
)
def test_what_is_no_uuid_is_no_mark(text):
    with pytest.raises(ValueError, match="is no UUID"):
        marks.parse("uuid", text)


@pytest.mark.parametrize("order", ["bytes_le", "bytes"])
def test_the_serial_number_of_a_pi_is_found_in_either_order(order):
    uuid = UUID(**{order: b"RPi4" + bytes(8) + b"\x01\x02\x03\x04"})
    assert marks.pi_serials(str(uuid)) == ("01020304", "04030201")
