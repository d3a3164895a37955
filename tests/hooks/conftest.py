"""Hooks as operators write them, run to their end."""

from __future__ import annotations

import threading

import pytest
from twisted.logger import globalLogPublisher

from netbootd.config import Hooks as Settings
from netbootd.hooks.hooks import Hooks

MAC = "52:54:00:12:34:56"
NODE = {
    "mac": MAC,
    "hostname": "nöde1",
    "target": "nfs/a",
    "ip": None,
    "net": {"vlan": 7},
    "known": True,
}
SOON = 20  # seconds in which everything here has long happened


class Turns:
    """The two things of a reactor that hooks use, its thread being the test's own."""

    def __init__(self):
        self._calls = []
        self._news = threading.Condition()
        self.later = []

    def callFromThread(self, call, *arguments):
        with self._news:
            self._calls.append((call, arguments))
            self._news.notify()

    def callLater(self, seconds, call):
        delayed = Delayed(seconds, call)
        self.later.append(delayed)
        return delayed

    def turn(self):
        """The next call, waited for."""
        with self._news:
            assert self._news.wait_for(lambda: self._calls, SOON), "nothing happened"
            call, arguments = self._calls.pop(0)
        call(*arguments)


class Delayed:
    def __init__(self, seconds, call):
        self.seconds, self.call, self.cancelled = seconds, call, False

    def cancel(self):
        self.cancelled = True


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def lines():
    """What is logged, level and text."""
    seen = []

    def observe(event):
        if event.get("log_namespace") == "netbootd.hooks":
            text = event["log_format"].format(**event)
            seen.append((event["log_level"].name, text))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def run(turns, lines):
    """Run one hook to its end; the line in the log."""

    def run(*what, timeout=SOON, data=NODE, kind="up"):
        told = Hooks(turns, lambda: Settings(**{kind: what}, timeout=timeout))
        told.run(kind, data)
        turns.turn()
        assert told._running() == []
        return lines[-1]

    return run


@pytest.fixture
def script(tmp_path):
    """A program of these lines of shell."""

    def script(text, interpreter="/bin/sh"):
        path = tmp_path / "hook"
        path.write_text(f"#!{interpreter}\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return script
