"""What machines said last: whose words are kept, and how much memory they may take."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from netbootd.logbook import lastwords
from netbootd.logbook.lastwords import LastWords
from netbootd.logbook.line import Filing, Source
from tests.logbook.lines import NODE, NOON, line, nobodys

LISTED = replace(NODE, known=True)


def filed(number, *, known):
    return Filing(key=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}", known=known)


def test_the_last_fifty_lines_of_a_machine_are_kept_and_long_ones_cut():
    words = LastWords()
    for number in range(80):
        words.note(line(f"{number} " + "x" * 5000, LISTED, at=NOON + number))
    kept = words.of(NODE.key)
    assert [at for at, _ in kept] == [NOON + number for number in range(30, 80)]
    assert {len(text) for _, text in kept} == {2048}


def test_what_netbootd_saw_itself_does_not_push_out_what_a_machine_said():
    words = LastWords()
    words.note(line("Kernel panic - not syncing", LISTED, source=Source.NETCONSOLE))
    for number in range(500):
        words.note(line(f"offered {number}", LISTED, source=Source.BOOT))
        words.note(line(f"changed {number}", LISTED, source=Source.AUDIT))
    assert words.of(NODE.key) == ((NOON, "Kernel panic - not syncing"),)


def test_a_sender_that_is_no_machine_takes_no_memory():
    words = LastWords()
    for number in range(1000):
        words.note(nobodys("x" * 1000, f"10.0.{number >> 8}.{number & 255}"))
    assert words.bytes == 0


def test_strangers_do_not_push_out_the_machines_that_are_listed():
    words = LastWords()
    words.note(line("help", LISTED))
    for number in range(5000):
        words.note(line("x" * 2000, filed(number, known=False)))
    assert words.of(NODE.key) == ((NOON, "help"),)
    assert words.of(filed(0, known=False).key) == ()
    assert words.of(filed(4999, known=False).key) != ()


@pytest.mark.parametrize("known", [True, False])
def test_the_machine_unheard_of_for_longest_goes_first(known):
    words, most = LastWords(), lastwords.MOST_MACHINES if known else lastwords.MOST_STRANGERS
    for number in range(most):
        words.note(line("", filed(number, known=known)))
    words.note(line("", filed(0, known=known)))  # again
    words.note(line("", filed(most, known=known)))
    assert len(words.of(filed(0, known=known).key)) == 2
    assert words.of(filed(1, known=known).key) == ()
    assert len(words.of(filed(most, known=known).key)) == 1


def test_a_machine_that_is_listed_at_last_keeps_what_it_said_before():
    words = LastWords()
    words.note(line("before", NODE))
    words.note(line("since", LISTED))
    assert [text for _, text in words.of(NODE.key)] == ["before", "since"]


def test_the_bytes_that_are_counted_are_those_that_are_taken(monkeypatch):
    monkeypatch.setattr(lastwords, "MOST_BYTES", 4 << 20)
    tracemalloc.start()
    try:
        before, words = tracemalloc.get_traced_memory()[0], LastWords()
        for number in range(60_000):
            words.note(line(f"{number} " + "x" * 100, filed(number % 1500, known=True), at=number))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 3 << 20 < words.bytes <= 4 << 20
    assert taken < words.bytes * 1.25
