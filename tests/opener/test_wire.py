"""What is asked of the opener, as bytes: all of it and nothing else."""

from __future__ import annotations

import contextlib
import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netbootd.errors import WireError
from netbootd.opener.wire import (
    REQUEST_SIZE,
    Answer,
    Ask,
    Request,
    decode,
    decode_answer,
    encode,
    encode_answer,
)

PORTS, NUMBERS = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
BINDS = st.one_of(
    st.builds(
        lambda address, port: Request(Ask.BIND, socket.AF_INET, str(address), port),
        NUMBERS.map(IPv4Address),
        PORTS,
    ),
    st.builds(
        lambda address, *more: Request(Ask.BIND, socket.AF_INET6, str(address), *more),
        st.integers(0, 2**128 - 1).map(IPv6Address),
        PORTS,
        NUMBERS,
    ),
)
REQUESTS = BINDS | st.sampled_from([Request(one) for one in Ask if one is not Ask.BIND])


@given(REQUESTS)
def test_what_is_asked_is_understood(request):
    got = decode(encode(request))
    assert got._replace(address="") == request._replace(address="")
    if request.address:
        packed = [socket.inet_pton(one.family, one.address) for one in (got, request)]
        assert packed[0] == packed[1]


@given(
    st.binary(max_size=2 * REQUEST_SIZE) | st.binary(min_size=REQUEST_SIZE, max_size=REQUEST_SIZE)
)
@example(b"")
@example(bytes(REQUEST_SIZE))
@example(bytes([2]) + bytes(REQUEST_SIZE - 1))
def test_bytes_are_a_request_or_nothing(data):
    """Each request has one spelling."""
    try:
        request = decode(data)
    except WireError:
        return
    assert encode(request) == data


@given(REQUESTS, st.integers(0, REQUEST_SIZE - 1), st.integers(1, 255))
def test_a_changed_byte_is_another_request_or_nothing(request, at, change):
    data = bytearray(encode(request))
    data[at] ^= change
    with contextlib.suppress(WireError):
        assert decode(bytes(data)) != request


@pytest.mark.parametrize(
    "data",
    [
        bytes([1, socket.AF_INET, 0, 67]) + bytes(4) + bytes(15) + b"\1",  # more than an address
        bytes([1, socket.AF_INET, 0, 67, 0, 0, 0, 1]) + bytes(16),  # a scope, which IPv4 has not
        bytes([1, socket.AF_UNIX, 0, 67]) + bytes(20),
        bytes([2, 0, 0, 67]) + bytes(20),  # a packet socket, with a port
        bytes([5]) + bytes(23),
    ],
)
def test_what_has_no_meaning_is_nothing(data):
    assert len(data) == REQUEST_SIZE
    with pytest.raises(WireError):
        decode(data)


@given(st.builds(Answer, st.integers(-(2**31), 2**31 - 1), NUMBERS), st.binary(max_size=20))
def test_answers_too(answer, data):
    assert decode_answer(encode_answer(answer)) == answer
    if len(data) != len(encode_answer(answer)):
        with pytest.raises(WireError):
            decode_answer(data)
