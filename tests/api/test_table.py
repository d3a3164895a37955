"""Tables of machines: what a cell means, and what is told of one that is wrong."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netbootd.api.no import No
from netbootd.api.table import of_csv, of_json

A, B = "52:54:00:12:34:01", "52:54:00:12:34:02"


def rows(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return [(row.key, dict(row.keys)) for row in of_csv(raw)]


def faults(text):
    with pytest.raises(No) as no:
        rows(text)
    return [(one.place.line, one.place.column, one.text) for one in no.value.findings]


# -- what cells mean -------------------------------------------------------------------------------


def test_the_first_row_names_the_columns():
    assert rows(f"mac,hostname,ip\n{A},n1,10.0.0.1\n{B},n2,10.0.0.2\n") == [
        (A, {"hostname": "n1", "ip": "10.0.0.1"}),
        (B, {"hostname": "n2", "ip": "10.0.0.2"}),
    ]


@pytest.mark.parametrize("mac", ["52-54-00-12-34-01", "525400123401", "5254.0012.3401", A.upper()])
def test_a_mac_may_be_spelt_in_any_way(mac):
    assert rows(f"MAC\n{mac}\n") == [(A, {})]


@pytest.mark.parametrize(
    ("column", "cell", "meaning"),
    [
        ("rack", "7", 7),
        ("rack", "-7", -7),
        ("rack", "0", 0),
        ("rack", "007", "007"),
        ("rack", "1.50", "1.50"),
        ("rack", "1e3", "1e3"),
        ("rack", "+7", "+7"),
        ("rack", "9" * 30, "9" * 30),
        ("enabled", "FALSE", False),
        ("enabled", "true", True),
        ("rack", "yes", "yes"),
        ("rack", "null", "null"),
        ("overlays", '"[""a"",""b""]"', ["a", "b"]),
        ("vars", '"{""a"": 1}"', {"a": 1}),
        ("serial", "0815", "0815"),
        ("serial", "4711", "4711"),
        ("asset", "true", "true"),
        ("ip", "10.0.0.1", "10.0.0.1"),
        ("hostname", "12", "12"),
        ("group", "1", "1"),
        ("label", "[x", "[x"),
        ("note", " two words ", "two words"),
        ("note", '"a, b"', "a, b"),
        ("note", '"line\none"', "line\none"),
        ("note", "", None),
    ],
)
def test_a_cell_means_what_it_looks_like_unless_its_column_is_text(column, cell, meaning):
    assert rows(f"mac,{column}\n{A},{cell}\n") == [(A, {column: meaning})]


def test_dots_lead_into_objects():
    text = f"mac,vars.rack,vars.unit.u,vars.serial\n{A},4,7,0815\n"
    assert rows(text) == [(A, {"vars": {"rack": 4, "unit": {"u": 7}, "serial": "0815"}})]


def test_a_target_is_type_and_name():
    assert rows(f"mac,target\n{A},nfs/a\n") == [(A, {"type": "nfs", "name": "a"})]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_separator_and_the_ends_of_lines_are_found_out(separator, newline):
    lines = [separator.join(row) for row in (("mac", "note"), (A, '"1,5;6"'), (B, "x"))]
    assert rows(newline.join(lines)) == [(A, {"note": "1,5;6"}), (B, {"note": "x"})]


def test_excels_byte_order_mark_is_no_part_of_a_name():
    assert rows(b"\xef\xbb\xbfmac\r\n525400123401\r\n") == [(A, {})]


def test_empty_rows_and_columns_at_the_end_are_passed_over():
    assert rows(f"\n\nmac,note,,\n,,,\n{A},x,,\n\n") == [(A, {"note": "x"})]


def test_a_short_row_has_empty_cells():
    assert rows(f"mac,note,rack\n{A}\n") == [(A, {"note": None, "rack": None})]


def test_machines_without_a_mac_have_a_key():
    text = f"key,mac,serial\nnode,,0815\n,{A},\n"
    assert rows(text) == [("node", {"serial": "0815"}), (A, {"serial": None})]


# -- what is wrong ---------------------------------------------------------------------------------


def test_every_fault_is_told_with_row_and_column():
    text = f"mac,vars,vars.a\nxx,,\n{A},1,2\n{A},,\n{B},[,\n"
    assert [(line, column) for line, column, _ in faults(text)] == [
        (2, 1),
        (3, 3),
        (5, 2),
        (4, 0),
    ]


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("hostname\nn1\n", (1, 0), 'no column "mac"'),
        (f"{A},n1\n", (1, 0), "must name the columns"),
        (f"mac,,note\n{A},x,y\n", (1, 2), "needs a name"),
        (f"mac,a,a\n{A},1,2\n", (1, 3), "two columns"),
        (f"mac,a..b\n{A},1\n", (1, 2), "needs a name"),
        (f"mac,note\n{A},a,b\n", (2, 3), "3 cells"),
        (f"mac,note\n{A},x\n525400123401,y\n", (3, 0), "stands in row 2"),
        (f'mac,l\n{A},"[1,"\n', (2, 2), "is no JSON"),
        (f'mac,l\n{A},"{{""a"":1,""a"":2}}"\n', (2, 2), "stands twice"),
        (f"mac,target\n{A},nfs\n", (2, 1), "TYPE/NAME"),
        ("mac\nff:ff:ff:ff:ff:ff\n", (2, 1), "broadcast"),
    ],
)
def test_a_fault_says_what_would_be_right(text, place, word):
    (line, column, told), *_ = faults(text)
    assert (line, column) == place
    assert word in told


@pytest.mark.parametrize(
    "raw", [b"", b"  \n", b"mac\n", b"mac\n\xff\n", b"mac\n\0\n", b'mac\n"open', b"mac\n" * 30_000]
)
def test_what_is_no_table_is_refused(raw):
    with pytest.raises(No):
        of_csv(raw)


def test_faults_are_bounded():
    assert len(faults("mac\n" + "x\n" * 5000)) == 50


@settings(max_examples=300, deadline=None)
@given(
    raw=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_rubbish_is_refused_and_never_a_fault_of_ours(raw):
    for read in (of_csv, of_json):
        with contextlib.suppress(No):
            read(raw)


@settings(max_examples=100, deadline=None)
@given(cells=st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_text_in_quotes_is_read_as_it_was_written(cells):
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["mac", *(f"label{n}" for n in range(len(cells)))])
    writer.writerow([A, *cells])
    try:
        ((_, keys),) = rows(out.getvalue())
    except No:
        assert any(cell.strip()[:1] in ("[", "{") or "\0" in cell for cell in cells)
        return
    for number, cell in enumerate(cells):
        found = keys[f"label{number}"]
        if isinstance(found, str):
            assert found == cell.strip()


# -- JSON ------------------------------------------------------------------------------------------


def test_an_array_of_entries_is_a_table_too():
    raw = json.dumps([{"mac": A, "hostname": "n1"}, {"mac": B, "group": None}]).encode()
    assert [(row.key, row.keys) for row in of_json(raw)] == [
        (A, {"hostname": "n1"}),
        (B, {"group": None}),
    ]


@pytest.mark.parametrize("value", [{}, 7, [], [7], [{}], [{"mac": A}, {"mac": A}], [{"mac": "x"}]])
def test_what_is_no_array_of_entries_is_refused(value):
    with pytest.raises(No):
        of_json(json.dumps(value).encode())
