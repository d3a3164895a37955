"""Long work in small pieces: nothing is left out, and a thread rests in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from netbootd import unhurried


@pytest.fixture
def rests(monkeypatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    monkeypatch.setattr(unhurried, "_WORK_S", 0.0)
    return found


def in_a_thread(things: Iterator[int]) -> list[int]:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(unhurried.unhurried(things)))
    thread.start()
    thread.join()
    return found


def test_in_a_thread_there_are_rests_and_nothing_is_left_out(rests):
    assert in_a_thread(iter(range(5))) == [0, 1, 2, 3, 4]
    assert rests


def test_in_the_main_thread_nobody_waits_for_rests(rests):
    assert list(unhurried.unhurried(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert not rests
