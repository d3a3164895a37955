"""Lines and logbooks for the tests."""

from __future__ import annotations

import contextlib
import time

from netbootd.config import Logs
from netbootd.logbook.book import Logbook
from netbootd.logbook.ecs import Shape
from netbootd.logbook.line import NOBODY, Filing, Line, Source
from netbootd.mac import MAC

NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z
CARD = MAC.parse("00:25:90:27:db:b4")
NODE = Filing(key="00:25:90:27:db:b4", name="node1", mac=CARD, boot=7, target="nfs/a", by="boot")


def line(text="hello", filing=NODE, peer="192.0.2.7", **others):
    given = {"source": Source.SYSLOG, "received": NOON, "at": NOON, "port": 5140} | others
    return Line(text=text, filing=filing, peer=peer, **given)


def nobodys(text="hello", peer="192.0.2.99", **others):
    return line(text, NOBODY, peer, **others)


@contextlib.contextmanager
def logbook(folder, now=lambda: NOON, original=False, **settings):
    book = Logbook(folder, Logs(**settings), Shape("boot1", original=original), now)
    book.start()
    try:
        yield book
    finally:
        book.stop()


def eventually(true, seconds=20.0):
    """Wait until *true* says so; its last answer."""
    deadline = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def written(book, count):
    """Wait until *count* lines are on disk."""
    assert eventually(lambda: book.counts["stored"] >= count), book.counts
