"""
A program that runs beside a test: what it has printed so far, and waiting until it prints more.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Firmware writes in colours and moves the cursor (ECMA-48); a shell's title strings end in BEL.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\-_=>])|\r|\0")


class LabError(Exception):
    """The lab could not do what was asked; the text says what it saw instead."""


class NotSeenError(AssertionError):
    """A text did not appear in time, or its process ended before."""


def now() -> float:
    """Seconds of the one clock that every deadline here uses."""
    return time.monotonic()


class Process:
    """
    A program whose output is kept, and which can be waited for by what it prints.

    Lines are not waited for but text: a prompt or a firmware's progress ends without a newline.
    """

    #: Whether it leads a process group, all of which ends with it.
    GROUP = False

    def __init__(self, argv: list[str], *, mirror: Callable[[str], None] | None = None) -> None:
        self.name = " ".join(argv[:8])
        self._mirror = mirror
        self._text = ""
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            process_group=0 if self.GROUP else None,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._process.poll()

    @property
    def text(self) -> str:
        """Everything printed so far, without escape sequences."""
        with self._news:
            return ESCAPES.sub("", self._text)

    def _read(self) -> None:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while piece := os.read(pipe, 65536):
            text = piece.decode("utf-8", "replace")
            with self._news:
                self._text += text
                self._news.notify_all()
            if self._mirror:
                self._mirror(text)
        with self._news:
            self._news.notify_all()

    def write(self, text: str) -> None:
        """To its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def wait_for(self, pattern: str, timeout: float, *, after: int = 0) -> re.Match[str]:
        """
        The first match of *pattern* behind position *after* of ``text``, within *timeout* seconds.

        Raises NotSeenError with the end of what was printed; at once if the program has ended.
        """
        deadline = now() + timeout
        wanted = re.compile(pattern)
        while True:
            ended = not self._reader.is_alive()
            if found := wanted.search(self.text, after):
                return found
            left = deadline - now()
            if ended or left <= 0:
                why = f"exit status {self._process.wait(5)}" if ended else f"{timeout:.0f} s"
                end = self.text[-3000:]
                raise NotSeenError(f"no {pattern!r} from {self.name} ({why}):\n{end}")
            with self._news:
                self._news.wait(min(left, 0.5))

    def wait(self, timeout: float) -> int:
        """Its exit status, once it has ended by itself."""
        return self._process.wait(timeout)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        """End it: politely, then not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self.GROUP:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._reader.join(5)


class Daemon(Process):
    """``netbootd run``: a process that says when it is ready and when it has reloaded."""

    # bubblewrap's --die-with-parent does not reach a child that has become another user: whoever
    # dies has no right to send it the signal (prctl(2), kill(2)).
    GROUP = True

    def reload(self, timeout: float = 15) -> str:
        """
        SIGHUP; the lines that say it took effect.

        Twice: the first may end a reload that netbootd, which sees each edit, began by itself
        after an earlier one.
        """
        begun = position = len(self.text)
        for _ in range(2):
            self.send(signal.SIGHUP)
            position = self.wait_for("[^\n]*reloaded[^\n]*\n", timeout, after=position).end()
        return self.text[begun:position]

    def lines(self, mac: str) -> list[str]:
        """What it logged about one machine since it was ready."""
        _banner, _, log = self.text.partition("ready")
        return [line for line in log.splitlines() if mac in line]
