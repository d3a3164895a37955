from __future__ import annotations

import gzip
import json
import random
import sqlite3
import threading
import time

import pytest

from netbootd import unhurried
from netbootd.config import Logs
from netbootd.logbook import book as book_module
from netbootd.logbook import files, index, writer
from netbootd.logbook.book import Logbook
from netbootd.logbook.ecs import Shape
from netbootd.logbook.line import Filing
from netbootd.logbook.reader import Tape

from .lines import CARD, NODE, NOON, eventually, line, logbook, nobodys, written

OTHER = Filing(key="node2", name="node2", boot=8, by="ip")


def texts(documents):
    return [document["message"] for document in documents]


def everything(folder):
    tape, found = Tape(folder), []
    while more := tape.read(100):
        found += [json.loads(text) for _, text in more]
    tape.close()
    return found


def test_a_line_is_found_by_its_machine_in_the_order_of_arrival(tmp_path):
    with logbook(tmp_path) as book:
        for number in range(10):
            book.put(line(f"one {number}"))
            book.put(line(f"two {number}", OTHER))
        written(book, 20)
        assert texts(book.tail(NODE.key, 3)) == ["one 7", "one 8", "one 9"]
        assert texts(book.tail("node2", 100)) == [f"two {n}" for n in range(10)]
        assert book.tail("nobody", 10) == []


def test_a_line_of_a_stranger_is_found_by_its_address(tmp_path):
    with logbook(tmp_path) as book:
        book.put(nobodys("who am I"))
        book.put(line("I am", peer="192.0.2.99"))
        written(book, 2)
        assert texts(book.tail("192.0.2.99", 10)) == ["who am I"]


def test_a_boot_has_its_own_lines(tmp_path):
    with logbook(tmp_path) as book:
        for boot in (3, 4, 5):
            book.put(line(f"of {boot}", Filing(key="a", boot=boot)))
        written(book, 3)
        assert texts(book.tail("a", 10, boot=4)) == ["of 4"]
        assert texts(book.tail("a", 10, boot=9)) == []


def test_pages_join_without_a_gap(tmp_path):
    with logbook(tmp_path) as book:
        for number in range(25):
            book.put(line(f"{number}"))
        written(book, 25)
        pages, before = [], ""
        while page := book.tail(NODE.key, 10, before=before):
            pages = texts(page) + pages
            before = page[0]["event"]["id"]
        assert pages == [str(number) for number in range(25)]


def test_what_was_put_is_written_when_it_stops(tmp_path):
    with logbook(tmp_path) as book:
        for number in range(5000):
            assert book.put(line(f"{number}"))
    assert texts(everything(tmp_path)) == [str(number) for number in range(5000)]


@pytest.fixture
def rests(monkeypatch):
    """How long the writer's thread has rested, each time that it might."""
    found, sleep = [], time.sleep

    def slept(seconds):
        if threading.current_thread().name == "netbootd-log":
            found.append(seconds)
        else:
            sleep(seconds)

    monkeypatch.setattr(time, "sleep", slept)
    monkeypatch.setattr(unhurried, "_WORK_S", 0.0)
    return found


def test_who_answers_packets_goes_before_the_log(tmp_path, rests):
    with logbook(tmp_path) as book:
        for number in range(20):
            book.put(line(f"{number}"))
        written(book, 20)
        assert rests
        rests.clear()
        for number in range(20):
            book.put(line(f"{number}"))
    assert not rests  # somebody waited for its end


def test_a_crowd_of_lines_is_written_without_rests(tmp_path, rests, monkeypatch):
    monkeypatch.setattr(writer, "_CROWD", 10)
    with logbook(tmp_path) as book:
        for number in range(20):
            book.put(line(f"{number}"))
        written(book, 20)
        assert not rests


def test_a_later_start_begins_a_new_file_and_reads_the_old(tmp_path):
    with logbook(tmp_path) as book:
        book.put(line("before"))
    with logbook(tmp_path) as book:
        book.put(line("after"))
        written(book, 1)
        assert texts(book.tail(NODE.key, 10)) == ["before", "after"]
        assert len(files.identities(tmp_path)) == 2


def test_files_are_cut_by_size_compressed_and_read_over_the_cuts(tmp_path):
    with logbook(tmp_path, size=2) as book:
        for number in range(600):
            book.put(line(f"{number:05} " + "x" * 1000, OTHER if number % 100 else NODE))
        written(book, 600)
        assert eventually(lambda: len(list(tmp_path.glob("*.gz"))) >= 5)
        assert eventually(lambda: len(index.indexed(tmp_path)) >= 5)
        assert [text[:5] for text in texts(book.tail(NODE.key, 100))] == [
            f"{number:05}" for number in range(0, 600, 100)
        ]
        assert [text[:5] for text in texts(book.tail("node2", 1000))] == [
            f"{number:05}" for number in range(600) if number % 100
        ]
    assert [text[:5] for text in texts(everything(tmp_path))] == [f"{n:05}" for n in range(600)]


def test_the_day_cuts_too(tmp_path):
    clock = [NOON]
    with logbook(tmp_path, lambda: clock[0]) as book:
        book.put(line("today"))
        written(book, 1)
        clock[0] += 86_400
        book.put(line("tomorrow"))
        written(book, 2)
        assert eventually(lambda: len(list(tmp_path.glob("*20261121*.gz"))) == 1)
        assert len(list(tmp_path.glob("*20261122*.jsonl"))) == 1


def test_a_clock_that_is_set_back_makes_no_older_file(tmp_path):
    clock = [NOON]
    with logbook(tmp_path, lambda: clock[0]) as book:
        book.put(line("first"))
        written(book, 1)
        clock[0] -= 10 * 86_400
        book.put(line("second"))
        written(book, 2)
    assert texts(everything(tmp_path)) == ["first", "second"]


def test_the_oldest_closed_files_go_when_there_are_too_many(tmp_path):
    noise = random.Random(1)
    with logbook(tmp_path, size=1) as book:
        for number in range(4000):
            book.put(line(f"{number:05} {noise.randbytes(500).hex()}"))
        written(book, 4000)
        assert eventually(lambda: on_disk(tmp_path) <= (1 << 20) + (1 << 18))
        assert texts(book.tail(NODE.key, 1))[0].startswith("03999")
    kept = texts(everything(tmp_path))
    assert kept[-1].startswith("03999")
    assert kept == sorted(kept)
    assert 300 < len(kept) < 4000


def on_disk(folder):
    return sum(files.size(folder, identity) for identity in files.identities(folder))


def test_what_is_too_old_goes(tmp_path):
    with logbook(tmp_path, days=1) as book:
        book.put(line("old"))
        written(book, 1)
    with logbook(tmp_path, lambda: time.time() + 3 * 86_400, days=2):
        assert eventually(lambda: files.identities(tmp_path) == [])


def test_lines_that_a_crash_left_are_indexed_later_and_found_at_once(tmp_path):
    with logbook(tmp_path) as book:
        book.put(line("kept"))
    eventually(lambda: False, 0.1)
    index.discard(tmp_path)
    torn = files.identities(tmp_path)[-1]
    path = files.plain(tmp_path, torn)
    if not path.exists():  # it was compressed meanwhile
        path.write_bytes(gzip.decompress(files.closed(tmp_path, torn).read_bytes()))
        files.closed(tmp_path, torn).unlink()
    with path.open("ab") as file:
        file.write(b'{"message": "half a li')
    with logbook(tmp_path) as book:
        assert texts(book.tail(NODE.key, 10)) == ["kept"]
        assert eventually(lambda: torn in index.indexed(tmp_path))
        assert texts(book.tail(NODE.key, 10)) == ["kept"]
        book.put(line("new"))
        written(book, 1)
    assert texts(everything(tmp_path)) == ["kept", "new"]


def test_a_broken_index_is_made_anew(tmp_path):
    with logbook(tmp_path) as book:
        book.put(line("kept"))
    (tmp_path / index.FILE).write_bytes(b"no database at all" * 100)
    for rest in ("-wal", "-shm"):
        (tmp_path / (index.FILE + rest)).unlink(missing_ok=True)
    with logbook(tmp_path) as book:
        assert texts(book.tail(NODE.key, 10)) == ["kept"]

        def remade():
            try:
                return index.marks_of(tmp_path, NODE.key)
            except sqlite3.Error:
                return None

        assert eventually(remade)


def test_a_file_that_somebody_removes_is_begun_anew(tmp_path):
    with logbook(tmp_path) as book:
        book.put(line("one"))
        written(book, 1)
        for path in tmp_path.iterdir():
            path.unlink()

        def again():
            book.put(line("again"))
            return files.identities(tmp_path)

        assert eventually(again)
    assert set(texts(everything(tmp_path))) == {"again"}


def test_a_queue_that_is_full_refuses_and_counts(tmp_path):
    book = Logbook(tmp_path, Logs(), Shape("x"), lambda: NOON)
    while book.put(line("x" * 60_000)):
        pass
    assert book.is_high
    assert book.counts["lost_full"] == 1
    assert not book.put(line("x" * 60_000))


def test_what_waited_for_the_disk_is_written_at_the_end_and_the_queue_as_well(tmp_path):
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    with logbook(folder) as book:
        book.put(line("waits for the disk"))
        assert eventually(lambda: book.trouble)
        book.put(line("waits in the queue"))
        folder.unlink()
        assert book.stop()
    assert texts(everything(folder)) == ["waits for the disk", "waits in the queue"]


def test_what_is_left_at_the_end_is_told(tmp_path):
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    with logbook(folder) as book:
        book.put(line("waits for the disk"))
        assert eventually(lambda: book.trouble)
        assert not book.stop()
        assert book.depth == 1


def test_that_there_is_room_again_is_told_though_nobody_logs(tmp_path, monkeypatch):
    with logbook(tmp_path) as book:
        with monkeypatch.context() as small:  # as if more were to be left free than there is
            small.setattr(book_module, "_FLOOR", 1 << 62)
            small.setattr(book_module, "_FLOOR_PART", 1)
            book.put(line("one"))
            assert "KiB free" in (eventually(lambda: book.trouble) or "")
        assert eventually(lambda: not book.trouble)


def test_a_fault_of_ours_is_told_and_does_not_end_the_log(tmp_path, monkeypatch):
    with logbook(tmp_path) as book:
        with monkeypatch.context() as broken:
            broken.setattr(Shape, "encode", lambda *_: 1 / 0)
            book.put(line("one"))
            assert "ZeroDivisionError" in (eventually(lambda: book.trouble) or "")
        book.put(line("two"))
        written(book, 2)
    assert texts(everything(tmp_path)) == ["one", "two"]


def test_an_index_that_cannot_be_thrown_away_does_not_end_the_tidying(tmp_path, monkeypatch):
    (tmp_path / index.FILE).write_bytes(b"this is no database" * 100)

    def refused(_folder):
        raise PermissionError

    monkeypatch.setattr(index, "discard", refused)
    with logbook(tmp_path, size=1) as book:
        for number in range(600):
            book.put(line(f"{number:04} " + chance_text(number)))
        written(book, 600)
        assert eventually(lambda: size_of(tmp_path) <= 1 << 20)


def chance_text(seed):
    return random.Random(seed).randbytes(3000).hex()


def size_of(folder):
    return sum(files.size(folder, one) for one in files.identities(folder))


def test_the_last_lines_are_at_hand_in_memory(tmp_path):
    book = Logbook(tmp_path, Logs(), Shape("x"), lambda: NOON)
    for text in ("one", "two"):
        book.put(line(text))
    assert book.last_words(NODE.key) == ((NOON, "one"), (NOON, "two"))


def test_who_listens_hears_every_line_until_he_leaves(tmp_path):
    book = Logbook(tmp_path, Logs(), Shape("x"), lambda: NOON)
    heard = []
    leave = book.subscribe(heard.append)
    book.put(line("one"))
    leave()
    book.put(line("two"))
    assert [one.text for one in heard] == ["one"]


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_a_tape_follows_over_the_cuts(tmp_path, at_once):
    tape, found = Tape(tmp_path), []
    with logbook(tmp_path, size=1) as book:
        for number in range(400):
            book.put(line(f"{number:04} " + "y" * 700))
            if number % 50 == 0:
                written(book, number)
                found += tape.read(at_once)
        written(book, 400)
        while more := tape.read(at_once):
            found += more
    assert [json.loads(text)["message"][:4] for _, text in found] == [f"{n:04}" for n in range(400)]
    places = [place for place, _ in found]
    assert places == sorted(places)
    again = Tape(tmp_path, places[199])
    assert json.loads(again.read(1)[0][1])["message"].startswith("0200")


def test_a_card_is_named_as_the_schema_wants_it(tmp_path):
    with logbook(tmp_path) as book:
        book.put(line())
        written(book, 1)
        assert book.tail(NODE.key, 1)[0]["host"]["mac"] == [CARD.dashed.upper()]
