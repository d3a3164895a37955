"""Line ends on the wire, also where a block ends in the middle of one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.tftp.netascii import Netascii, translate


def reader(octets):
    return Netascii(lambda offset, count: octets[offset : offset + count], len(octets))


@pytest.mark.parametrize(
    ("octets", "travels"),
    [
        (b"", b""),
        (b"plain", b"plain"),
        (b"a\nb", b"a\r\nb"),
        (b"a\rb", b"a\r\0b"),
        (b"a\r\nb", b"a\r\0\r\nb"),
        (b"\n\n", b"\r\n\r\n"),
        (bytes(range(9, 15)), b"\t\r\n\v\f\r\0\x0e"),
    ],
)
def test_line_ends_are_translated(octets, travels):
    assert translate(octets) == travels
    assert reader(octets).read(0, 100) == travels


def test_a_line_end_may_be_cut_by_the_end_of_a_block():
    text = reader(b"x" * 7 + b"\ny\rz")
    assert [text.read(at, 8) for at in (0, 8, 16)] == [b"x" * 7 + b"\r", b"\ny\r\0z", b""]


@given(st.binary(max_size=300), st.integers(1, 40))
def test_blocks_join_to_the_translation(octets, blksize):
    text, whole = reader(octets), translate(octets)
    blocks = [text.read(at, blksize) for at in range(0, len(whole) + 1, blksize)]
    assert b"".join(blocks) == whole
    assert len(blocks[-1]) < blksize


@given(st.binary(max_size=200), st.lists(st.integers(0, 30), max_size=20))
def test_a_block_may_be_read_again(octets, blocks):
    text, whole = reader(octets), translate(octets)
    for block in blocks:
        assert text.read(block * 16, 16) == whole[block * 16 : block * 16 + 16]


def test_a_long_text_is_read_in_pieces():
    octets = b"line\n" * 20_000
    largest = 0

    def read(offset, count):
        nonlocal largest
        largest = max(largest, count)
        return octets[offset : offset + count]

    text, whole = Netascii(read, len(octets)), translate(octets)
    assert b"".join(text.read(at, 512) for at in range(0, len(whole), 512)) == whole
    assert largest <= 16_384


def test_a_text_that_shrank_is_noticed():
    with pytest.raises(EOFError):
        Netascii(lambda offset, count: b"short", 100).read(0, 512)
