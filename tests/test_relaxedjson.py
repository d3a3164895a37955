"""
The grammar of relaxed JSON, rule by rule; where an error stands; and JSON::XS as the referee.

Offsets in the table of errors are those that JSON::XS reports: bytes from 0.
"""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.relaxedjson import MAX_DEPTH, Array, Object, decode, kind, path_of

SAMPLES = Path(__file__).parent / "samples"
TIBURON = (SAMPLES / "tiburon.json").read_bytes()


def value_of(text: str | bytes) -> object:
    return decode(text if isinstance(text, bytes) else text.encode(), "t.json").value


def error_of(text: str | bytes) -> Finding:
    """The one finding that refuses *text*."""
    with pytest.raises(ConfigErrors) as caught:
        value_of(text)
    (finding,) = caught.value.findings
    assert finding.level is Level.ERROR
    return finding


def warnings_of(text: str | bytes) -> list[Finding]:
    findings = decode(text if isinstance(text, bytes) else text.encode(), "t.json").findings
    assert all(finding.level is Level.WARNING for finding in findings)
    return list(findings)


def where(place: Place) -> str:
    return f"{place.line}:{place.column}"


# --- what is accepted ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ("[]", []),
        (' \t\r\n{ "a" : [ 1 , { } ] } \n', {"a": [1, {}]}),
        ('[true, false, null, -0, 12, -3.25, 1e2, 1E+2, 25e-1, "x"]',
         [True, False, None, 0, 12, -3.25, 100.0, 100.0, 2.5, "x"]),
        # a comment may stand wherever white space may, and ends at LF, CRLF, CR or the end
        ("# a\n# b\r\n# c\r{}# d", {}),
        ('{# a\n"k"# b\n:# c\n1# d\n,# e\n"l"# f\n:[# g\n2# h\n]# i\n}# j\n', {"k": 1, "l": [2]}),
        ("[1, # one\r2]", [1, 2]),
        ("[#####\n##\n]", []),
        ("[1#,2\n]", [1]),
        # and is an ordinary character in a string
        ('{"a#b" : "#c"}', {"a#b": "#c"}),
        # one comma may follow the last element
        ('{"a":1,}', {"a": 1}),
        ('{"a":{"b":1,},}', {"a": {"b": 1}}),
        ("[1,]", [1]),
        ("[[],[1,],]", [[], [1]]),
        ("[1 # one\n , # none\n]", [1]),
        # a raw TAB in a string means itself; U+007F and all that is not ASCII as well
        ('["a\tb\x7fc\xa0d\u2028e😀"]', ["a\tb\x7fc\xa0d\u2028e😀"]),
        ('{"a\tb":1}', {"a\tb": 1}),
        # escapes
        (r'["\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC"]', ['"\\/\b\f\n\r\tAé€']),
        (r'["\ud83d\ude00\uD83D\uDE00x"]', ["😀😀x"]),
        (r'["\u0000"]', ["\0"]),
        ('["\t\\u0041"]', ["\tA"]),
        (r'{"\u0061\n":1}', {"a\n": 1}),
        # the empty key
        ('{"":1}', {"": 1}),
        # any value is a document; what to do with it is for others to say
        ("null", None),
        ('"x"', "x"),
        ("# c\n 12 # d", 12),
    ],
)  # fmt: skip
def test_text_means_value(text, value):
    assert value_of(text) == value
    assert not warnings_of(text)


def test_booleans_and_numbers_keep_their_types():
    found = value_of("[true, 1, 1.0, 1e0]")
    assert [type(value) for value in found] == [bool, int, float, float]


def test_an_integer_too_big_for_a_word_keeps_its_digits():
    assert value_of("[123456789012345678901234567890, -18446744073709551616]") == [
        123456789012345678901234567890,
        -18446744073709551616,
    ]


def test_a_number_python_cannot_hold_stays_text():
    digits = "9" * 5000
    assert value_of(f"[{digits}, -{digits}]") == [digits, f"-{digits}"]
    assert value_of("[1e999, -1e999, 1e-999]") == ["1e999", "-1e999", 0.0]


def test_all_of_the_sample_is_read():
    found = value_of(TIBURON)
    assert list(found) == ["boot_servers", "targets", "machines"]
    assert list(found["targets"]) == ["nfs", "install", "biosupdate"]
    assert found["targets"]["install"]["Centos6.2_x64"]["kernel"].endswith("/vmlinuz ")
    assert found["machines"]["default"]["name"] == "Centos6.2_x64"
    assert found["machines"]["00:25:90:27:db:b4"] == {"type": "nfs", "name": "Centos6.2_x64"}


@pytest.mark.parametrize("name", ["tiburon.json", "tiburon-2018.json", "tiburon-2020.json"])
def test_samples_have_no_warnings(name):
    assert not warnings_of((SAMPLES / name).read_bytes())


# --- what is refused, and where ------------------------------------------------------------------

#: text, byte offset of JSON::XS, our line:column, and what the message says
REFUSED = [
    ('{"a":1 "b":2}', 7, "1:8", "`,` or `}` expected"),
    ('{\n "a" : 1\n "b" : 2\n}', 12, "3:2", "comma is missing at the end of line 2 (2:9)"),
    ("[1,,2]", 3, "1:4", "value expected"),
    ("[,1]", 1, "1:2", "value or `]` expected"),
    ("{,}", 1, "1:2", '`"` or `}` expected'),
    ("{'a':1}", 1, "1:2", "double quotes only"),
    ("{a:1}", 1, "1:2", "keys stand in double quotes"),
    ("{1:2}", 1, "1:2", '`"` or `}` expected'),
    ('{"a":x}', 5, "1:6", "value expected"),
    ('{"a":01}', 6, "1:7", "digit after a leading zero"),
    ('{"a":+1}', 5, "1:6", "value expected"),
    ('{"a":.5}', 5, "1:6", "value expected"),
    ('{"a":1.}', 7, "1:8", "digit expected after the point"),
    (r'{"a":"\x"}', 6, "1:7", "unknown escape"),
    ('{"a":"x\ny"}', 7, "1:8", "control character in a string"),
    ('{"a":"x\x01y"}', 7, "1:8", "control character in a string"),
    ('{"a":1} x', 8, "1:9", "text after the document"),
    ('{"a":1},', 7, "1:8", "text after the document"),
    ("", 0, "1:1", "the file is empty"),
    ("# c\n", 4, "2:1", "only comments, no document"),
    ('{"a":1', 6, "1:7", "found end of file; the `{` at 1:1 is still open"),
    ('{"a":"x', 7, "1:6", "string not closed"),
    ('{\n"a": {\n...\n', 9, "3:1", '`"` or `}` expected, found `...`'),
    ('// c\n{"a":1}', 0, "1:1", "only `#` starts a comment"),
    ('{"a":1;}', 6, "1:7", "`,` or `}` expected"),
    ('{"a"=1}', 4, "1:5", "`:` expected"),
    ('{"a":[1,2}', 9, "1:10", "`,` or `]` expected"),
    ('{"a":{"b":1]', 11, "1:12", "`,` or `}` expected"),
    ('{"kéy":1 x}', 10, "1:10", "`,` or `}` expected"),
    # commas
    ("{,", 1, "1:2", "one comma too many"),
    ("[,]", 1, "1:2", "one comma too many"),
    ("[1,,]", 3, "1:4", "one comma too many"),
    ('{"a":1,,}', 7, "1:8", "one comma too many"),
    # white space and comments
    ("  ", 2, "1:3", "white space only"),
    ("\v{}", 0, "1:1", "only SPACE, TAB, LF and CR"),
    ("[1,\f2]", 3, "1:4", "only SPACE, TAB, LF and CR"),
    ("[1,\u00a02]", 3, "1:4", "only SPACE, TAB, LF and CR"),
    ("[1,\ufeff2]", 3, "1:4", "found `\\ufeff2]`"),
    ('{"a": /* c */ 1}', 6, "1:7", "only `#` starts a comment"),
    ('{"a" // c\n:1}', 5, "1:6", "only `#` starts a comment"),
    ("{}\n// c", 3, "2:1", "only `#` starts a comment"),
    # keys and strings
    ("{“a”:1}", 1, "1:2", "straight"),
    ("{null:1}", 1, "1:2", "keys stand in double quotes"),
    ('{"a', 3, "1:2", "string not closed"),
    ('["a\\', 3, "1:2", "string not closed"),
    ('["a\x00"]', 3, "1:4", "control character in a string: `\\x00"),
    (r'["\u12G4"]', 4, "1:5", "four hexadecimal digits expected"),
    (r'["\ud800"]', 8, "1:3", "half a surrogate pair"),
    (r'["\ud800\u0041"]', 14, "1:3", "half a surrogate pair"),
    (r'["x\udc00"]', 9, "1:4", "half a surrogate pair"),
    ("['a']", 1, "1:2", "double quotes only"),
    # numbers and words
    ("[-]", 2, "1:3", "digit expected after the minus"),
    ("[-01]", 3, "1:4", "digit after a leading zero"),
    ("[1e]", 3, "1:4", "digit expected in the exponent"),
    ("[1.5e+]", 6, "1:7", "digit expected in the exponent"),
    ("[1.e3]", 3, "1:4", "digit expected after the point"),
    ("[0x10]", 2, "1:3", "`,` or `]` expected"),
    ("[1.5.3]", 4, "1:5", "`,` or `]` expected"),
    ("[True]", 1, "1:2", "in lower case"),
    ("[None]", 1, "1:2", "in lower case"),
    ("[NaN]", 1, "1:2", "no such number"),
    ("[tru]", 1, "1:2", "value or `]` expected"),
    ("[truex]", 5, "1:6", "`,` or `]` expected"),
    # ends
    ("[1", 2, "1:3", "the `[` at 1:1 is still open"),
    ('{"a"', 4, "1:5", "`:` expected, found end of file"),
    ('{"a":', 5, "1:6", "value expected, found end of file"),
    ('{"a":{\n', 7, "2:1", "the `{` at 1:6 is still open"),
    ("{}}", 2, "1:3", "no opening one"),
    ("{} {}", 3, "1:4", "text after the document"),
    ("]", 0, "1:1", "value expected"),
]


@pytest.mark.parametrize(("text", "offset", "place", "says"), REFUSED)
def test_an_error_says_what_and_where(text, offset, place, says):
    finding = error_of(text)
    assert finding.code == "json-syntax"
    assert where(finding.place) == place
    assert finding.place.file == "t.json"
    assert says in finding.text


def test_at_most_twenty_characters_are_repeated_and_of_one_line_only():
    assert "found `abcdefghijklmnopqrst`" in error_of("[abcdefghijklmnopqrstuvwxyz]").text
    assert "found `abc`" in error_of("[abc\ndef]").text


@pytest.mark.parametrize(
    "text",
    [
        '{ "vlan : 20, "hostname" : "x" }',
        '{ "hostname : "n1", "ip" : "10.1.0.7" }',
        '{ "name" : "a, "ip" : "10.1.0.7" }',
        '{ "type" : "nfs, "name" : "a" }',
        '{ "k" : [ "a, "b" ] }',
        '{"a:1,"b":2}',
    ],
)
def test_a_quote_that_was_forgotten_is_hinted_at(text):
    assert error_of(text).text.endswith('; a `"` is missing before it in this line')


@pytest.mark.parametrize("text", ['{ "00:25:90:27:db:b4" { } }', '{ "a" : "" "b" : 1 }', "{a:1}"])
def test_where_no_quote_was_forgotten_none_is_hinted_at(text):
    assert "is missing before it in this line" not in error_of(text).text


def test_an_error_inside_names_the_path_of_the_object():
    assert error_of('{"machines":{"a":{"x":[1,{"b":1 2}]}}}').path == "machines.a.x[1]"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_once(end):
    finding = error_of(end.join(["{", '"a":1, # c', "", "x}"]))
    assert where(finding.place) == "4:1"


def test_mixed_line_ends_count_as_an_editor_counts_them():
    assert where(error_of("\r\n\r\r\n\n\nx").place) == "6:1"


def test_a_tab_is_one_column():
    assert where(error_of("\t\tx").place) == "1:3"


# --- encoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "offset", "place"),
    [
        (b'["a\xff"]', 3, "1:4"),
        ('{"é":\n "'.encode() + b'\xc3"}', 9, "2:3"),
        (b"# \xe9\n{}", 2, "1:3"),
        (b'["\xed\xa0\x80"]', 2, "1:3"),  # a surrogate
        (b'["\xc0\xaf"]', 2, "1:3"),  # an overlong slash
        (b"\xef\xbb\xbf[\xff]", 4, "1:2"),
        (b"\xff\xfe{\x00}\x00", 0, "1:1"),  # UTF-16
    ],
)
def test_bytes_that_are_not_utf8_are_an_error_with_their_offset(raw, offset, place):
    finding = error_of(raw)
    assert finding.code == "json-encoding"
    assert f"byte 0x{raw[offset]:02x} at offset {offset} " in finding.text
    assert where(finding.place) == place


def test_a_byte_order_mark_is_skipped_with_a_warning():
    document = decode(b"\xef\xbb\xbf{}", "t.json")
    assert document.value == {}
    assert where(document.place) == "1:1"
    (warning,) = document.findings
    assert (warning.code, warning.level) == ("json-bom", Level.WARNING)


@pytest.mark.parametrize(
    "line",
    ["# config-file-type: JSON 1", "#config-file-type:JSON  1 ", "# any comment", "# JSON 2", ""],
)
def test_the_signature_may_be_there_or_not(line):
    assert not warnings_of(line + "\n{}")


@pytest.mark.parametrize("kind_of_file", ["JSON 2", "YAML 1", "JSON", "", "JSON 1 1"])
def test_another_signature_is_a_warning(kind_of_file):
    (warning,) = warnings_of(f"# config-file-type: {kind_of_file}\n{{}}")
    assert warning.code == "json-signature"
    assert f'"{kind_of_file}"' in warning.text


def test_a_signature_counts_on_the_first_line_only():
    assert not warnings_of("#\n# config-file-type: YAML 1\n{}")


# --- repeated keys -------------------------------------------------------------------------------


def test_of_a_repeated_key_the_last_one_counts_whole():
    assert value_of('{"a":{"x":1},"b":2,"a":{"y":1}}') == {"a": {"y": 1}, "b": 2}


def test_a_repeated_key_is_a_warning_with_both_places():
    (warning,) = warnings_of('{"m":{"a":1,\n"b":2,\n "a":3}}')
    assert warning.code == "json-duplicate-key"
    assert where(warning.place) == "3:2"
    assert "1:7" in warning.text
    assert warning.path == "m.a"


def test_each_repetition_is_told_and_an_escaped_key_is_the_same_key():
    warnings = warnings_of(r'{"a":1,"\u0061":2,"a":3}')
    assert [where(warning.place) for warning in warnings] == ["1:8", "1:19"]


def test_a_repeated_key_has_the_place_that_counts():
    found = value_of('{"a":1,\n"a":2}')
    assert where(found.place_of("a")) == "2:1"


# --- depth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opener", "closer"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_512_levels_are_enough_for_everybody(opener, closer):
    levels = opener.count("[") + opener.count("{")
    times = MAX_DEPTH // levels
    inside = "0" if levels == 1 else "[]" * (MAX_DEPTH % levels) or "0"
    value_of(opener * times + inside + closer * times)
    finding = error_of(opener * times + "[" + inside + "]" + closer * times)
    assert finding.code == "json-depth"
    assert finding.place.column == len(opener) * times + 1


@pytest.mark.parametrize("levels", [511, 512])
def test_brackets_up_to_the_limit_load(levels):
    value_of("[" * levels + "]" * levels)


@pytest.mark.parametrize("text", ["[" * 513 + "]" * 513, "[" * 100_000, '{"a":' * 100_000])
def test_brackets_beyond_the_limit_are_refused(text):
    assert error_of(text).code == "json-depth"


def test_long_lines_of_comment_signs_do_not_take_long():
    text = "[1" + "#" * 5000 + "\n" + "# #\n" * 5000
    assert "end of file" in error_of(text).text


# --- places of values ----------------------------------------------------------------------------

PLACED = r"""# first line
{
  "name" : "value",  "list":[ 1,
     "two",{ "in\u0073ide" : # why
                "tab\there\u00e9\ud83d\ude00 end" } ],
  "é"	:null }
"""


def test_objects_keys_and_values_know_their_places():
    top = value_of(PLACED)
    assert where(top.place) == "2:1"
    assert where(top.place_of("name")) == "3:3"
    assert where(top.value_place_of("name")) == "3:12"
    assert where(top.place_of("é")) == "6:3"
    assert where(top.value_place_of("é")) == "6:8"
    assert where(top["list"].place) == "3:29"
    assert where(top.value_place_of("list")) == "3:29"


def test_elements_know_their_places():
    elements = value_of(PLACED)["list"]
    assert [where(elements.place_of(index)) for index in range(3)] == ["3:31", "4:6", "4:12"]
    assert where(elements.place_inside(1, 2)) == "4:9"
    assert where(elements[2].place_of("inside")) == "4:14"
    assert where(elements[2].value_place_of("inside")) == "5:17"


def test_characters_inside_a_string_are_counted_past_its_escapes():
    inside = value_of(PLACED)["list"][2]
    text = inside["inside"]
    columns = [inside.place_inside("inside", index).column for index in range(len(text))]
    assert text == "tab\there\u00e9😀 end"
    assert columns == [18, 19, 20, 21, 23, 24, 25, 26, 27, 33, 45, 46, 47, 48]


def test_a_missing_key_has_no_place():
    top = value_of("{}")
    with pytest.raises(KeyError):
        top.place_of("a")


def test_every_place_in_the_sample_points_at_its_value():
    document = decode(TIBURON, "tiburon.json")
    lines = document.source.text.split("\n")
    pending = [document.value]
    while pending:
        for key, value in (holder := pending.pop()).items():
            at, value_at = holder.place_of(key), holder.value_place_of(key)
            assert lines[at.line - 1][at.column - 1 :].startswith(f'"{key}"')
            written = "{" if isinstance(value, Object) else f'"{value}"'
            assert lines[value_at.line - 1][value_at.column - 1 :].startswith(written)
            pending += [value] if isinstance(value, Object) else []


def test_values_are_dicts_and_lists_that_know_their_source():
    document = decode(b'{"a":[]}', "t.json")
    assert isinstance(document.value, Object)
    assert isinstance(document.value["a"], Array)
    assert document.value.source is document.value["a"].source is document.source
    assert document.source.file == "t.json"


@pytest.mark.parametrize(
    ("text", "word"),
    [("{}", "an object"), ("[]", "an array"), ('""', "a string"), ("1", "a number"),
     ("1.5", "a number"), ("true", "true or false"), ("null", "null")],
)  # fmt: skip
def test_every_kind_of_value_has_a_word(text, word):
    assert kind(value_of(text)) == word


def test_a_path_quotes_what_is_no_plain_name():
    assert path_of("machines", "00:25:90:27:db:b4", "name") == 'machines."00:25:90:27:db:b4".name'
    assert path_of("targets", "nfs", "Centos6.2_x64") == 'targets.nfs."Centos6.2_x64"'
    assert path_of("includes", 2) == "includes[2]"
    assert path_of("a", "") == 'a.""'
    assert path_of() == ""


# --- anything at all -----------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip
PIECES = st.sampled_from(
    [*'{}[]:,"#\\\t\n\r 0-.eu', '"a"', '"a":', "true", "1", "\\u", "\\ud800", "d83d", "é", "//"]
)


@given(JSON_VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_strict_json_is_read_as_the_standard_library_wrote_it(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert value_of(text) == value
    assert not warnings_of(text)


@given(st.binary())
def test_random_bytes_raise_configerrors_or_nothing(raw):
    survives(raw)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_random_pieces_raise_configerrors_or_nothing(text):
    survives(text.encode())


def survives(raw: bytes) -> None:
    try:
        decode(raw, "t.json")
    except ConfigErrors as problem:
        (finding,) = problem.findings
        assert finding.place.line >= 1
        assert finding.place.column >= 1
        assert str(finding).isprintable()


# --- JSON::XS as the referee ---------------------------------------------------------------------

ORACLE = r"""
use JSON::XS;
my $reader = JSON::XS->new->relaxed->utf8;
my $writer = JSON::XS->new->ascii->allow_nonref;
while (my $line = <STDIN>) {
    chomp $line;
    my $value = eval { $reader->decode(pack "H*", $line) };
    if ($@) { print $@ =~ /character offset (\d+)/ ? "no $1\n" : die $@ }
    else { print "yes ", $writer->encode($value), "\n" }
}
"""


def has_oracle() -> bool:
    perl = shutil.which("perl")
    return (
        bool(perl)
        and not subprocess.run([perl, "-MJSON::XS", "-e1"], capture_output=True).returncode
    )


needs_oracle = pytest.mark.skipif(not has_oracle(), reason="perl with JSON::XS is not installed")


def ask_oracle(cases: list[bytes]) -> list[tuple[bool, object]]:
    """For each case whether JSON::XS takes it, and the value or the byte offset of the error."""
    asked = "".join(case.hex() + "\n" for case in cases)
    told = subprocess.run(
        ["perl", "-e", ORACLE], input=asked, capture_output=True, text=True, check=True
    )
    answers = [line.split(" ", 1) for line in told.stdout.splitlines()]
    assert len(answers) == len(cases)
    return [(word == "yes", from_perl(rest)) for word, rest in answers]


def from_perl(text: str) -> object:
    """Perl writes an infinity bare; as a string it passes for the digits that we keep."""
    return json.loads(re.sub(r"(?<![\w\"\\])(-?)[iI]nf(?!\w)", r'"\1Inf"', text))


def same(ours: object, theirs: object) -> bool:
    """Equal, but for big integers (text there) and the fifteen digits that Perl prints."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, str) and isinstance(ours, int):
        return str(ours) == theirs
    if theirs in ("Inf", "-Inf"):
        return math.isinf(float(str(ours)))
    if isinstance(ours, float) or isinstance(theirs, float):
        return math.isclose(float(str(ours)), float(str(theirs)), rel_tol=1e-14)
    return ours == theirs


def byte_offset(text: str, place: Place) -> int:
    lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)
    return len(
        ("".join(lines[: place.line - 1]) + lines[place.line - 1][: place.column - 1]).encode()
    )


@needs_oracle
def test_the_oracle_agrees_on_the_table_of_errors():
    texts = [text for text, *_ in REFUSED]
    offsets = [offset for _, offset, *_ in REFUSED]
    assert ask_oracle([text.encode() for text in texts]) == [(False, offset) for offset in offsets]


SMALL = [
    b'{"a":[1,-2.5e3,{"b":"\\u00e9\\ud83d\\ude00\\n"},],"c":null,}',
    b'# c\r\n[true,false , "x\ty" ]#\r',
    '{"é" : "ü", "" : {} , "a" : 0 , "a" : 1}'.encode(),
    b'["\\"\\\\\\/\\b\\f\\r\\t", 18446744073709551615, 1E-2, 12345678901234567890123]',
    b"{}",
    b"[[],[[]],[{}]]",
]
ALPHABET = [bytes([byte]) for byte in b'{}[]:,"#\\/\'\t\n\r \x01\x0b\x7f0123456789-+.eEutfnadx'] + [
    b"\\u", b"\\ud83d", b"\\ude00", b"\xc3\xa9", b"\xff", b"\xe2\x80\xa8", b"true", b"null", b"//",
    b" ", b"\t", b"\r\n", b"# c\n", b" #,\r",
]  # fmt: skip


def mutated(raw: bytes, chance: random.Random) -> bytes:
    """*raw* with one to three small changes: something put in, left out, replaced or repeated."""
    for _ in range(chance.choice([1, 1, 1, 1, 1, 2, 3])):
        at = chance.randrange(len(raw) + 1)
        length = chance.choice([0, 1, 1, 2, 5])
        put = chance.choice([*ALPHABET, b"", b"", raw[at : at + length] * 2])
        raw = raw[:at] + put + raw[at + length :]
    return raw if chance.random() < 0.97 else raw[: chance.randrange(len(raw) + 1)]


def small_changes(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    return [mutated(chance.choice([TIBURON, *SMALL]), chance) for _ in range(count)]


#: Exponents of so many digits overflow in the oracle itself, which reads 1e99999999999 as 0.
PERL_OVERFLOWS = re.compile(rb"[0-9][eE][+-]?[0-9]{9}")
#: Where our place is not the oracle's: the beginning of what is wrong, theirs the end.
ELSEWHERE = ("string not closed", "half a surrogate pair")


@needs_oracle
def test_the_oracle_agrees_on_thousands_of_small_changes():
    cases = small_changes(seed=1, count=3000)
    accepted = 0
    for case, (takes, answer) in zip(cases, ask_oracle(cases), strict=True):
        try:
            text = case.decode()
        except UnicodeDecodeError:  # there only an error in strings; here everywhere
            assert error_of(case).code == "json-encoding"
            continue
        if takes:
            assert PERL_OVERFLOWS.search(case) or same(value_of(case), answer), case
            accepted += 1
        else:
            finding = error_of(case)
            if not finding.text.startswith(ELSEWHERE):
                assert byte_offset(text, finding.place) == answer, (case, finding)
    assert 500 < accepted < 2500  # a referee who always says the same is none


@needs_oracle
@pytest.mark.parametrize(
    ("raw", "there"),
    [
        (b"\xef\xbb\xbf{}", False),
        (b"# a\0b\n{}", False),
        (b"#\xff\n{}", True),
        (b'["\xed\xa0\x80"]', True),
    ],
)
def test_the_differences_from_the_oracle_are_these(raw, there):
    ((takes, _),) = ask_oracle([raw])
    assert takes is there
    if there:
        error_of(raw)
    else:
        value_of(raw)


@needs_oracle
@pytest.mark.parametrize("levels", [511, 512, 513])
def test_the_oracle_draws_the_line_at_the_same_depth(levels):
    text = "[" * levels + "]" * levels
    ((takes, _),) = ask_oracle([text.encode()])
    assert takes is (levels <= MAX_DEPTH)
