"""Several initrds as one file."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.content import Content
from netbootd.errors import Changed
from netbootd.tftp.joined import Joined


def whole(parts):
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


@given(
    st.lists(st.binary(max_size=9), min_size=1, max_size=4),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_any_piece_of_it_is_that_of_the_whole(parts, offset, count):
    joined = Joined("x", [Content("p", held=part) for part in parts])
    assert joined.size == len(whole(parts))
    assert joined.read(offset, count) == whole(parts)[offset : offset + count]


def test_a_part_that_shrank_ends_it(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"a" * 8)
    with file.open("rb") as opened:
        part = Content("a", fd=os.dup(opened.fileno()), status=file.stat())
    joined = Joined("x", [part, Content("b", held=b"bbbb")])
    file.write_bytes(b"aaa")
    with pytest.raises(Changed, match="has become shorter"):
        joined.read(0, 12)
    joined.close()
    assert part.fd == -1
