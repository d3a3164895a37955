"""How far a copy is, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest

from netbootd.importing.progress import Progress, sized

MIB = 1 << 20


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (4_500_000_000, "4.2 GiB"),
        (1 << 50, "1024.0 TiB"),
    ],
)
def test_a_size_as_a_person_says_it(size, text):
    assert sized(size) == text


def test_a_terminal_gets_one_line_that_changes():
    out, now = Terminal(), [0.0]
    progress = Progress(200 * MIB, out, lambda: now[0])
    for _ in range(100):
        now[0] += 0.01
        progress.add(2 * MIB)
    progress.close()
    lines = out.getvalue().split("\r")
    assert len(lines) in (6, 7)  # one each 0.2 s, and one to wipe it
    assert "\n" not in out.getvalue()
    assert lines[1] == " 20 % of 200.0 MiB, 200.0 MiB/s\x1b[K"
    assert lines[-1] == "\x1b[K"


def test_a_log_gets_a_line_per_tenth_and_none_for_little():
    out = io.StringIO()
    progress = Progress(100 * MIB, out, lambda: 1.0)
    for _ in range(1000):
        progress.add(MIB // 10)
    progress.close()
    assert len(out.getvalue().splitlines()) in (9, 10)
    assert "\r" not in out.getvalue()
    quiet = io.StringIO()
    Progress(MIB, quiet, lambda: 1.0).add(MIB)
    assert quiet.getvalue() == ""


def test_nothing_to_copy_is_no_division_by_zero():
    out = Terminal()
    now = iter([0.0, 1.0, 1.0, 1.0])
    Progress(0, out, lambda: next(now)).add(0)
    assert "100 % of 0 bytes" in out.getvalue()
