"""Bytes in several places are read as if they lay in one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netbootd.pieces import Pieces

SOME = st.lists(
    st.integers(0, 3000).map(lambda size: bytes(i % 251 for i in range(size))), max_size=8
)
NUMBERS = st.integers(0, 30_000)


@given(SOME, NUMBERS, NUMBERS)
def test_any_part_is_that_of_the_whole(pieces, offset, count):
    made, whole = Pieces(pieces), b"".join(pieces)

    assert (bytes(made), len(made)) == (whole, len(whole))
    assert made[offset : offset + count] == whole[offset : offset + count]


@given(SOME, NUMBERS)
def test_looking_at_one_place_after_another_comes_to_the_end(pieces, count):
    made, found = Pieces(pieces), b""
    while part := made.view(len(found), count + 1):
        found += part

    assert found == b"".join(pieces)


def test_a_long_one_is_not_copied():
    long = bytes(5000)

    assert any(piece is long for piece in Pieces([b"head", long, b"", b"tail"]))
