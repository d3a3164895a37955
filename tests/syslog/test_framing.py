from __future__ import annotations

import itertools
import random

import pytest

from netbootd.syslog.framing import LONGEST, Frames

MIXED = (
    b"<13>one\n"
    b"7 <13>two"
    b"<13>three\r\n"
    b"11 <13>fo\nur\0!"
    b"<13>five\0"
    b"\n\r\n"
    b"99 bottles, no message\n"
    b"12345\n"
    b"5 <13>\n"
    b"0 <13>no count begins with a nought\n"
    b"last"
)
MESSAGES = [
    b"<13>one",
    b"<13>two",
    b"<13>three",
    b"<13>fo\nur\0!",
    b"<13>five",
    b"99 bottles, no message",
    b"12345",
    b"<13>\n",
    b"0 <13>no count begins with a nought",
    b"last",
]


def messages(pieces):
    frames = Frames()
    found = [frame for piece in pieces for frame in frames.feed(piece)]
    return found + frames.end()


def test_counted_and_ended_frames_may_be_mixed():
    assert messages([MIXED]) == MESSAGES


def test_single_bytes_give_the_same_messages():
    assert messages(MIXED[at : at + 1] for at in range(len(MIXED))) == MESSAGES


@pytest.mark.parametrize("seed", range(30))
def test_however_the_stream_is_cut_it_gives_the_same_messages(seed):
    chance = random.Random(seed)
    cuts = sorted(chance.randrange(len(MIXED)) for _ in range(chance.randrange(20)))
    bounds = [0, *cuts, len(MIXED)]
    pieces = [MIXED[a:b] for a, b in itertools.pairwise(bounds)]
    assert messages(pieces) == MESSAGES


@pytest.mark.parametrize("count", [b"262145", b"9999999999"])
def test_a_count_beyond_the_limit_cannot_be_followed(count):
    frames = Frames()
    assert frames.feed(b"<13>before\n" + count + b" <13>") == [b"<13>before"]
    assert frames.problem.startswith(f"a message of {count.decode()} bytes")
    assert frames.end() == []


def test_the_longest_counted_frame_is_taken():
    body = b"<13>" + b"x" * (LONGEST - 4)
    assert messages([b"%d " % LONGEST + body, b"<13>next\n"]) == [body, b"<13>next"]


def test_a_line_without_an_end_costs_a_bounded_memory_and_no_other_line():
    frames = Frames()
    found = []
    for _ in range(100):
        found += frames.feed(b"x" * 10_000)
        assert frames.pending <= LONGEST
    found += frames.feed(b"\n<13>next\n")
    assert [len(frame) for frame in found[:-1]] == [LONGEST - LONGEST % 10_000 + 10_000]
    assert found[-1] == b"<13>next"


def test_digits_without_an_end_are_no_count():
    assert messages([b"1" * 20, b" <13>x\n"]) == [b"1" * 20 + b" <13>x"]


def test_bytes_that_come_one_by_one_are_not_searched_again_and_again():
    frames = Frames()
    for _ in range(50_000):
        assert frames.feed(b"x") == []
    assert frames.feed(b"\n") == [b"x" * 50_000]


def test_bytes_that_come_one_by_one_are_not_copied_again_and_again():
    frames = Frames()
    frames.feed(b"x")
    kept = frames._buffer
    for _ in range(1000):
        frames.feed(b"x")
    assert frames._buffer is kept
    assert frames.pending == len(kept) == 1001
