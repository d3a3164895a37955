"""Where log lines go, and what becomes of them when nobody reads."""

from __future__ import annotations

import os

import pytest
from twisted.logger import Logger, LogLevel

from netbootd.journal import LineObserver


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=0) as out, os.fdopen(writing, "w") as stream:
        yield out, stream


def say(observer, text, level=LogLevel.info, namespace="netbootd.test"):
    Logger(namespace=namespace, observer=observer).emit(level, "{text}", text=text)


def test_under_the_journal_a_line_begins_with_its_priority(pipe):
    out, stream = pipe
    observer = LineObserver(stream, to_journal=True, verbose=False)
    say(observer, "fine")
    say(observer, "careful", LogLevel.warn)
    assert out.read(1000) == b"<6>fine\n<4>careful\n"


def test_on_a_terminal_it_begins_with_the_time(pipe):
    out, stream = pipe
    say(LineObserver(stream, to_journal=False, verbose=False), "fine")
    assert out.read(1000)[8:] == b" fine\n"


def test_packets_are_for_the_verbose_and_twisteds_own_talk_for_nobody(pipe):
    out, stream = pipe
    quiet = LineObserver(stream, to_journal=True, verbose=False)
    say(quiet, "packet", LogLevel.debug)
    say(quiet, "Site starting on 3000", namespace="twisted.web")
    say(LineObserver(stream, to_journal=True, verbose=True), "packet", LogLevel.debug)
    assert out.read(1000) == b"<7>packet\n"


def test_a_reader_that_does_not_read_stops_nobody_and_is_told_what_it_missed(pipe):
    out, stream = pipe
    observer = LineObserver(stream, to_journal=True, verbose=False)
    for _ in range(3000):
        say(observer, "x" * 100)
    while (out.read(65536) or b"") != b"":
        pass
    say(observer, "back again")
    told = out.read(65536).decode()
    assert "lines were dropped: nobody read them" in told
    assert told.endswith("<6>back again\n")


def test_a_full_disk_stops_nobody():
    full = open("/dev/full", "w")  # noqa: SIM115  closing it fails as well
    observer = LineObserver(full, to_journal=True, verbose=False)
    say(observer, "lost")
    say(observer, "lost as well")
    with pytest.raises(OSError, match="space"):
        full.close()
