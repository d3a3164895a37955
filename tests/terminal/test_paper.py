"""Tables and lines, on a terminal and elsewhere."""

from __future__ import annotations

import io
import os
import pty

import pytest

from netbootd.terminal.paper import Bit, Look, Paper

ROWS = [("node7", Bit("up", Look.GOOD), ""), ("node10", Bit("failed", Look.BAD), "")]


def on_terminal(draw, monkeypatch, **environment) -> str:
    """What a pseudo terminal of 80 columns gets to see."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        draw(Paper(terminal))
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # the other side is closed, and all is read
        pass
    os.close(ours)
    return shown.decode()


def table(paper):
    paper.table(("machine", "state", "remark"), ROWS)


def test_a_pipe_gets_aligned_columns_and_no_escape_sequences():
    out = io.StringIO()
    table(Paper(out))
    assert out.getvalue() == "MACHINE  STATE\nnode7    up\nnode10   failed\n"


def test_a_narrow_terminal_gets_fewer_columns_and_the_rest_folded(monkeypatch):
    def draw(paper):
        row = ("node7", "x" * 30, "y" * 30, "word " * 8)
        names = ("machine", "address", "groups", "remark")
        paper.table(names, [row], fold=("remark",), spare=("groups", "address"))

    wide = on_terminal(draw, monkeypatch, COLUMNS="200")
    assert "groups" in wide
    shown = on_terminal(draw, monkeypatch)  # of 80
    assert "groups" not in shown
    assert "x" * 30 in shown
    narrow = on_terminal(draw, monkeypatch, COLUMNS="30")
    assert "address" not in narrow
    assert narrow.count("word") == 8


def test_an_empty_cell_is_a_hyphen_so_that_awk_counts_right():
    out = io.StringIO()
    Paper(out).table(("a", "b", "c"), [("1", "", "3"), ("", "2", "")])
    assert out.getvalue() == "A  B  C\n1  -  3\n-  2  -\n"


def test_wide_letters_and_accents_leave_the_columns_straight():
    out = io.StringIO()
    Paper(out).table(("name", "b"), [("\u65e5\u672c\u8a9e", "1"), ("e\u0301", "2"), ("xyz", "3")])
    assert out.getvalue() == "NAME    B\n\u65e5\u672c\u8a9e  1\ne\u0301       2\nxyz     3\n"


def test_what_is_cut_off_shows_that_it_is(monkeypatch):
    """Three octets of a MAC would pass for a wildcard."""

    def draw(paper):
        paper.table(("name", "mac"), [("x" * 30, "00:25:90:27:db:b4")])

    assert "\u2026" in on_terminal(draw, monkeypatch, COLUMNS="40")


def test_a_terminal_gets_colours(monkeypatch):
    shown = on_terminal(table, monkeypatch)
    assert "\x1b[32mup" in shown
    assert "\x1b[1;31mfailed" in shown


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_who_wants_no_colours_gets_none(monkeypatch, environment):
    shown = on_terminal(table, monkeypatch, **environment)
    assert "\x1b" not in shown
    assert "node10   failed" in shown


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_what_nodes_say_cannot_move_the_cursor(monkeypatch, where):
    def draw(paper):
        paper.line(Bit("evil\x1b[2J\x07\r\n", Look.BAD), "[red]markup[/red]")
        paper.table(("a\x1b[1m",), [("\x9b31m",), ("tab\there",)])

    if where == "pipe":
        out = io.StringIO()
        draw(Paper(out))
        shown = out.getvalue()
    else:
        shown = on_terminal(draw, monkeypatch)
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown
    assert "\x9b" not in shown
    assert "\\x1b[2J" in shown
    assert "[red]markup[/red]" in shown


def test_a_terminal_of_few_letters_gets_what_it_has():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Paper(out).line("Zürich …")
    out.flush()
    assert raw.getvalue() == b"Z\\xfcrich \\u2026\n"
