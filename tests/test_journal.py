"""Where log lines go, and what becomes of them when nobody reads."""

from __future__ import annotations

import os
import threading
import time

import pytest
from twisted.logger import Logger, LogLevel

from netbootd import journal
from netbootd.journal import LineObserver, Lines


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=0) as out, os.fdopen(writing, "w") as stream:
        yield out, stream


def observer_of(stream, *, to_journal=True, verbose=False):
    return LineObserver(Lines(stream, to_journal=to_journal), verbose=verbose)


def say(observer, text, level=LogLevel.info, namespace="netbootd.test"):
    Logger(namespace=namespace, observer=observer).emit(level, "{text}", text=text)


def test_under_the_journal_a_line_begins_with_its_priority(pipe):
    out, stream = pipe
    observer = observer_of(stream)
    say(observer, "fine")
    say(observer, "careful", LogLevel.warn)
    assert out.read(1000) == b"<6>fine\n<4>careful\n"


def test_on_a_terminal_it_begins_with_the_time(pipe):
    out, stream = pipe
    say(observer_of(stream, to_journal=False), "fine")
    assert out.read(1000)[8:] == b" fine\n"


def test_packets_are_for_the_verbose_and_twisteds_own_talk_for_nobody(pipe):
    out, stream = pipe
    quiet = observer_of(stream)
    say(quiet, "packet", LogLevel.debug)
    say(quiet, "Site starting on 3000", namespace="twisted.web")
    say(observer_of(stream, verbose=True), "packet", LogLevel.debug)
    assert out.read(1000) == b"<7>packet\n"


def emptied(out) -> bytes:
    return b"".join(iter(lambda: out.read(65536) or b"", b""))


def test_lines_wait_for_a_reader_that_was_away_for_a_moment(pipe):
    out, stream = pipe
    lines, again = Lines(stream, to_journal=True), []
    lines.again = lambda seconds, work: again.append(work)
    for number in range(3000):
        lines.put("info", f"{number:0100}", 0.0)
        lines.flush()
    assert len(again) == 1
    told = emptied(out)
    while again:
        again.pop()()
        told += emptied(out)
    assert told.decode().splitlines() == [f"<6>{number:0100}" for number in range(3000)]


def test_at_the_end_a_slow_reader_gets_all(pipe):
    out, stream = pipe
    lines = Lines(stream, to_journal=True)
    lines.again = lambda seconds, work: None
    os.set_blocking(out.fileno(), True)
    for number in range(3000):
        lines.put("info", f"{number:0100}", 0.0)
    told = []
    pieces = iter(lambda: os.read(out.fileno(), 4096), b"")
    reader = threading.Thread(target=lambda: told.extend(pieces))
    reader.start()
    lines.finish()
    stream.close()
    reader.join()
    assert b"".join(told).count(b"\n") == 3000


def test_at_the_end_one_that_reads_nothing_holds_nobody_up(pipe, monkeypatch):
    _, stream = pipe
    lines = Lines(stream, to_journal=True)
    monkeypatch.setattr(journal, "_LAST_S", 0.1)
    for number in range(3000):
        lines.put("info", f"{number:0100}", 0.0)
    lines.finish()


def test_what_is_to_be_written_soon_is_written_together(pipe):
    out, stream = pipe
    lines, again = Lines(stream, to_journal=True), []
    lines.again = lambda seconds, work: again.append(work)
    lines.flush_soon()
    assert not again
    for number in range(3):
        lines.put("info", str(number), 0.0)
        lines.flush_soon()
    assert (len(again), out.read(1000)) == (1, None)
    again.pop()()
    assert out.read(1000) == b"<6>0\n<6>1\n<6>2\n"
    lines.again = None
    lines.put("info", "3", 0.0)
    lines.flush_soon()
    assert out.read(1000) == b"<6>3\n"


def test_a_reader_that_does_not_read_stops_nobody_and_is_told_what_it_missed(pipe):
    out, stream = pipe
    observer = observer_of(stream)
    for _ in range(13_000):
        say(observer, "x" * 100)
    told = emptied(out)
    while b"dropped" not in told:
        say(observer, "back again")
        told += emptied(out)
    say(observer, "back again")
    lines = (told + emptied(out)).decode().splitlines()
    (missed,) = (line for line in lines if line.endswith("lines were dropped: nobody read them"))
    assert missed.startswith("<4>")
    dropped = int(missed.removeprefix("<4>").split()[0])
    assert lines.count("<6>" + "x" * 100) + dropped >= 13_000
    assert lines[-1] == "<6>back again"


def test_a_line_of_several_is_as_many_and_what_is_no_text_is_spelled_out(pipe):
    out, stream = pipe
    lines = Lines(stream, to_journal=True)
    lines.put("error", "one\ntwo \udc80", 0.0)
    lines.put("debug", "", 0.0)
    assert out.read(1000) is None
    lines.flush()
    assert out.read(1000) == b"<3>one\n<3>two \\udc80\n<7>\n"


def test_the_time_of_a_line_is_when_it_was_said(pipe):
    out, stream = pipe
    lines = Lines(stream, to_journal=False)
    at = [1_750_000_000.0, 1_750_000_001.5, 1_750_000_000.0]
    for seconds in at:
        lines.put("info", "x", seconds)
    lines.flush()
    said = [time.strftime("%H:%M:%S x", time.localtime(seconds)) for seconds in at]
    assert out.read(1000).decode().splitlines() == said


def test_a_full_disk_stops_nobody():
    with open("/dev/full", "w") as full:
        observer = observer_of(full)
        say(observer, "lost")
        say(observer, "lost as well")
