"""Where a mistyped MAC went wrong."""

from __future__ import annotations

import pytest

from netbootd.macslips import pointed, resembles_mac, slip


@pytest.mark.parametrize(
    "text",
    ["00:25:90:27:db:b4", "00-25-90-27-DB-B4", "002590.27dbb4", "00259027dbb4", "0:5:9:7:b:4"],
)
def test_what_is_a_mac_has_no_slip(text):
    assert slip(text.replace("002590.27dbb4", "0025.9027.dbb4")) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("00:25:90:27:db:g4", "column 16: 'g' is no hexadecimal digit"),
        ("00:25:9O:27:db:b4", "column 8: 'O' is no hexadecimal digit; did you mean '0'?"),
        ("00:25:90:27:db", "column 15: 5 parts, a MAC has 6"),
        ("00:25:90:27:db:b4:11", "column 19: 7 parts, a MAC has 6"),
        ("00:25:90:27:dbb:4", "column 15: part 5 is 'dbb', which is too long"),
        ("00:25::90:27:db:b4", "column 7: nothing between two ':'"),
        ("00:25:90-27:db:b4", "column 9: '-', but ':' before"),
        ("00259027dbb", "11 digits: a MAC has 12"),
        ("0025.9027.dbb", "column 11: part 3 is 'dbb', which is too short"),
        ("00:25:90:27:db:b4 ", ""),
        ("00:25 90:27:db:b4", "column 6: a blank"),
        ("00:25:90:27:db:\x1b4", "column 16: a character that cannot be seen"),
        ("ff:ff:ff:ff:ff:ff", "it is the broadcast address"),
        ("01:25:90:27:db:b4", "it is a multicast address"),
    ],
)
def test_a_slip_is_told_with_its_column(text, told):
    assert slip(text).startswith(told)
    assert bool(slip(text)) == bool(told)


def test_the_place_is_pointed_at():
    assert pointed("00:25:90:27:db:g4").splitlines()[1:] == [
        "  00:25:90:27:db:g4",
        "                 ^",
    ]


@pytest.mark.parametrize("text", ["", "\x1b[2J", "x" * 5000, ":" * 99, "é:" * 6, "0" * 13])
def test_any_text_can_be_shown(text):
    told = pointed(text)
    assert told
    assert len(told) < 400
    assert all(line.isprintable() for line in told.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        *("00:25:90:27:dg:b4", "00:25:90:27:db", "00-25-9O-27-db-b4", "00259027dgb4"),
        *("0025.9027.dgb4", "00:25:90:27:dbb4", "00:25:90;27:db:b4", "00:25:90:27: db:b4"),
        *("00_25_90_27_db_b4", "00:25:9g:*", "00:25:*:*", "00259g*", "00:25:90:27:db:b4:g0"),
    ],
)
def test_a_mac_with_a_slip_resembles_one(text):
    assert resembles_mac(text)


@pytest.mark.parametrize(
    "text",
    [
        "node1",
        "node-0001-a12",
        "compute-1-2",
        "rack1.example.com",
        "1-a-node-of-b-c",
        "",
        "node*",
        "web*",
        "pc*",
        "*",
        "00:25:90:27:db:b4 off",
        "00:25:90:27:db:b4_old",
        "00:25:90:27:db:b4-off",
    ],
)
def test_a_name_does_not_resemble_a_mac(text):
    assert not resembles_mac(text)
