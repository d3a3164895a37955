"""Strict JSON and nothing else; and what is left of the relaxed kind."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from netbootd.relaxedjson import decode
from netbootd.vms.strict import NotStrict, parse, strictly

from .descriptions import texts


@settings(deadline=None)
@given(texts)
def test_every_strict_object_is_read(text):
    value = parse(text, "x").value
    assert value.keys() == json.loads(text, parse_int=str, parse_float=str).keys()


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (b"", 1, 1, "empty"),
        (b"[]", 1, 1, "an array"),
        (b'"x"', 1, 1, "a string"),
        (b'{"a": 1,}', 1, 8, "comma after the last"),
        (b'{"a": [1,\n ]}', 1, 9, "comma after the last"),
        (b'{\n  # why\n "a": 1}', 2, 3, "comments"),
        (b'{"a": "x # y"} # z', 1, 16, "comments"),
        (b'{"a": "x\ty"}', 1, 9, "TAB"),
        (b'\xef\xbb\xbf{"a": 1}', 1, 1, "byte-order mark"),
        (b'{"a": NaN}', 1, 7, "no such number"),
        (b'{"a": -Infinity}', 1, 8, "digit expected"),
        (b"{'a': 1}", 1, 2, "double quotes"),
        (b'{"a": 1} {"b": 2}', 1, 10, "text after"),
        (b'{"a": "\xff"}', 1, 8, "UTF-8"),
        (b'{"a": "\\ud800"}', 1, 8, "surrogate"),
        (b'{"a":\n' + b"[" * 10_000, 2, 512, "512 levels"),
    ],
)
def test_anything_else_is_refused_with_its_place(text, line, column, words):
    with pytest.raises(NotStrict, match="x:") as caught:
        parse(text, "x")
    assert words in caught.value.text
    assert (caught.value.place.line, caught.value.place.column) == (line, column)


def test_comments_and_spare_commas_go_and_all_else_stays():
    text = """{ "vms" : {
       "web" : { # a web server
          "b" : 512.0,   "a" : 1e999, "big" : 123456789012345678901234567890,
          "note" : "# no comment, } ]",   # but this
          "tab" : "x\ty",
          "list" : [ 1, 2, # two
          ],
          "a" : "\\u00e9",
       },
    } }"""
    value = decode(text.encode(), "c.json").value["vms"]["web"]
    made = strictly(value)
    assert '"b" : 512.0,   "a" : 1e999, "big" : 123456789012345678901234567890,' in made
    assert '"# no comment, } ]",\n' in made
    assert "but this" not in made
    pairs = json.loads(made, object_pairs_hook=list, parse_float=str)
    assert pairs == [
        ("b", "512.0"),
        ("a", "1e999"),
        ("big", 123456789012345678901234567890),
        ("note", "# no comment, } ]"),
        ("tab", "x\ty"),
        ("list", [1, 2]),
        ("a", "é"),
    ]


@settings(deadline=None)
@given(texts)
def test_what_is_strict_already_stays_as_it_is(text):
    assert strictly(decode(text, "x").value) == text.decode().strip(" \t\r\n")


def test_a_mebibyte_of_blanks_is_read_in_no_time():
    text = b'{"a":' + b" \t" * (1 << 19) + b"1}"
    assert parse(text, "x").value == {"a": 1}
