"""What is asked on the left, what is granted on the right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netbootd.errors import OptionRefused
from netbootd.tftp import wire
from netbootd.tftp.options import PLAIN, Bounds, Grant, negotiate

CAPTURES = json.loads((Path(__file__).parents[1] / "captures" / "tftp-requests.json").read_text())
ETHERNET = Bounds(size=74_213, mtu=1500, windowsize=64)


def answer(asked, bounds=ETHERNET):
    return dict(negotiate(asked, bounds).answer)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ({}, {}),
        ({"blksize": "8"}, {"blksize": "8"}),
        ({"blksize": "512"}, {"blksize": "512"}),
        ({"blksize": "1468"}, {"blksize": "1468"}),
        ({"blksize": "1469"}, {"blksize": "1468"}),
        ({"blksize": "65464"}, {"blksize": "1468"}),
        ({"blksize": "0512"}, {"blksize": "512"}),
        ({"tsize": "0"}, {"tsize": "74213"}),
        ({"tsize": "999"}, {"tsize": "74213"}),
        ({"timeout": "1"}, {"timeout": "1"}),
        ({"timeout": "255"}, {"timeout": "255"}),
        ({"windowsize": "1"}, {"windowsize": "1"}),
        ({"windowsize": "4"}, {"windowsize": "4"}),
        ({"windowsize": "65535"}, {"windowsize": "64"}),
        ({"multicast": ""}, {}),
        ({"rollover": "1", "utimeout": "x"}, {}),
        ({"blksize": "1024", "multicast": "", "tsize": "0"}, {"blksize": "1024", "tsize": "74213"}),
    ],
)
def test_what_is_asked_is_granted_within_bounds(asked, granted):
    assert answer(asked) == granted


@pytest.mark.parametrize(
    "asked",
    [
        {"blksize": value}
        for value in ("7", "0", "-1", "65465", "65536", "x", "", "1 468", "٣٢٠٠", "9" * 99)
    ]
    + [{"timeout": value} for value in ("0", "256", "1.5")]
    + [{"windowsize": value} for value in ("0", "65536", "four")]
    + [{"tsize": value} for value in ("-1", "big", "")],
    ids=str,
)
def test_a_bad_value_is_refused(asked):
    with pytest.raises(OptionRefused):
        answer(asked)


def test_the_order_of_the_request_is_kept():
    asked = {"windowsize": "4", "tsize": "0", "blksize": "1468", "timeout": "5"}
    assert list(answer(asked)) == list(asked)


def test_a_grant_says_how_to_send():
    grant = negotiate({"blksize": "1468", "windowsize": "4", "timeout": "5"}, ETHERNET)
    assert (grant.blksize, grant.windowsize, grant.timeout_s) == (1468, 4, 5)


def test_nothing_asked_is_a_transfer_without_options():
    assert negotiate({}, ETHERNET) == PLAIN == Grant(512, 1, None, {})


def test_jumbo_frames_take_larger_blocks():
    assert answer({"blksize": "65464"}, Bounds(1, 9000, 64)) == {"blksize": "8968"}
    assert answer({"blksize": "65464"}, Bounds(1, 65536, 64)) == {"blksize": "65464"}


@pytest.mark.parametrize(
    ("blksize", "windowsize"),
    [("512", "64"), ("1468", "64"), ("4096", "32"), ("8968", "14"), ("65464", "2")],
)
def test_a_window_fits_the_send_buffer(blksize, windowsize):
    """212,992 bytes by default, in which the kernel counts what surrounds a packet as well."""
    for asked in (
        {"blksize": blksize, "windowsize": "64"},
        {"windowsize": "64", "blksize": blksize},
    ):
        grant = negotiate(asked, Bounds(1, 65_536, 64))
        assert grant.answer == {"blksize": blksize, "windowsize": windowsize}
        assert list(grant.answer) == list(asked)
        assert str(grant.windowsize) == windowsize


def test_an_unknown_size_is_not_told():
    assert answer({"tsize": "0", "blksize": "600"}, Bounds(None, 1500, 1)) == {"blksize": "600"}


def test_a_window_never_spans_half_of_the_block_numbers():
    """Of the smallest blocks no more would fit in the send buffer anyhow."""
    asked = {"blksize": "8", "windowsize": "65535"}
    assert int(answer(asked, Bounds(1, 1500, 65535))["windowsize"]) < 32_768


@pytest.mark.parametrize(
    "capture", [each for each in CAPTURES if each["op"] == "RRQ"], ids=lambda each: each["loader"]
)
def test_real_firmware_gets_exactly_what_it_asked(capture):
    request = wire.decode(bytes.fromhex(capture["hex"]))
    granted = answer(request.options)
    assert granted == {
        **request.options,
        **({"tsize": "74213"} if "tsize" in request.options else {}),
    }
