"""Variables that may be written in several ways, and what is no line of a file."""

from __future__ import annotations

import pytest

from netbootd import forms


@pytest.mark.parametrize(
    ("written", "lines"),
    [("a", ["a"]), (["a", " b\t c\n"], ["a", "b\t c"]), ([], []), (7, ["7"]), (("a",), ["a"])],
)
def test_one_or_several(written, lines):
    assert forms.lines(written) == lines


@pytest.mark.parametrize(
    "written", ["a\nb", "a\rb", "a\0b", ["a", "b\n\nc"], {"a": 1}, [["a"]], [None]]
)
def test_what_is_no_line_is_refused(written):
    with pytest.raises(ValueError, match=r"line end|no text"):
        forms.lines(written)


@pytest.mark.parametrize("written", ["k1", ["k1"], {"root": "k1", "bob": ["k2"]}, {"root": ["k1"]}])
def test_keys_of_root(written):
    assert forms.keys_of(written, "root") == ["k1"]


def test_keys_of_others():
    assert forms.keys_of({"bob": ["k1", "k2"]}, "bob") == ["k1", "k2"]
    assert forms.keys_of({"bob": ["k1", "k2"]}, "root") == []
    assert forms.keys_of("k1", "bob") == []
