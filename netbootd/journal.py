"""
Log lines as the journal or a terminal wants them.

Under systemd a line begins with its priority (``<6>``, sd-daemon(3)) and has no time, which the
journal knows; on a terminal it has a time and no priority.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from twisted.logger import LogEvent, Logger, LogLevel, formatEvent, globalLogBeginner

from netbootd.systemd import journal_prefix, under_journal

#: By the names of LogLevel, which are those of Event.level as well.
_PRIORITIES = {
    level: journal_prefix(level) for level in ("debug", "info", "warn", "error", "critical")
}


#: What a pipe takes without making the writer wait, where poll(2) says that it takes something
#: (PIPE_BUF, pipe(7)); a socket of the journal takes more.
_PIECE = 4096
#: Bytes that wait for a reader that does not read; a storm's lines come faster than the journal
#: takes them, and it needs a moment.
_MOST_WAITING = 1 << 20
_AGAIN_S = 0.1
#: Seconds that a reader has at the end; who reads nothing by then has gone, or is paused.
_LAST_S = 3.0
#: At each write another thread may take the interpreter, for longer than the write takes.
_SOON_S = 0.05


class Lines:
    """
    Lines on their way to *stream*: put one by one, written many at a time.

    A reader that does not read, such as a paused pager, must not stop the serving: its lines wait,
    and what there is no room for is counted and dropped.  ``again``, once it is set, is called with
    seconds and what is to be done then, in any thread.
    """

    def __init__(self, stream: TextIO, *, to_journal: bool) -> None:
        self.again: Callable[[float, Callable[[], None]], object] | None = None
        self._file = stream.fileno()
        # A terminal says that it has room, and not whether it is for more than a line.
        self._most = 1 if os.isatty(self._file) else _PIECE
        self._to_journal = to_journal
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._waits = False
        self._second, self._time = -1, ""
        self._lock = threading.Lock()
        self._room = select.poll()
        self._room.register(self._file, select.POLLOUT)

    def put(self, level: str, text: str, at: float) -> None:
        """*text* of *level* (as of Event), said at *at* in Unix seconds; for ``flush`` to write."""
        prefix = _PRIORITIES[level] if self._to_journal else self._clock(int(at))
        for line in text.splitlines() or [""]:
            self._put(f"{prefix}{line}\n".encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Write what was put, as far as there is room for it."""
        with self._lock:
            while self._lines and self._room.poll(0):
                piece = self._piece()
                with contextlib.suppress(OSError):  # a full disk, a closed pipe
                    os.write(self._file, piece)
            self._flush_in(_AGAIN_S)

    def finish(self) -> None:
        """Write what is left, at the end of the process, for as long as a slow reader may take."""
        self.again = None
        until = time.monotonic() + _LAST_S
        self.flush()
        while self._lines and (left := until - time.monotonic()) > 0:
            self._room.poll(left * 1000)
            self.flush()

    def flush_soon(self) -> None:
        """Write in a moment, with what comes until then; at once where there is no ``again``."""
        if self.again is None:
            self.flush()
            return
        with self._lock:
            self._flush_in(_SOON_S)

    def _flush_in(self, seconds: float) -> None:
        if self._lines and self.again is not None and not self._waits:
            self._waits = True
            self.again(seconds, self._flush_again)

    def _flush_again(self) -> None:
        self._waits = False
        self.flush()

    def _put(self, line: bytes) -> None:
        with self._lock:
            if self._size + len(line) > _MOST_WAITING:
                self._dropped += 1
                return
            self._lines.append(line)
            self._size += len(line)

    def _piece(self) -> bytes:
        """The next lines, at least one; behind the last that there was room for, what was not."""
        lines = [self._lines.popleft()]
        size = len(lines[0])
        while self._lines and size + len(self._lines[0]) <= self._most:
            lines.append(self._lines.popleft())
            size += len(lines[-1])
        self._size -= size
        if self._dropped and not self._lines:
            level = _PRIORITIES["warn"] if self._to_journal else self._time
            told = f"{level}{self._dropped} lines were dropped: nobody read them\n"
            lines.append(told.encode())
            self._dropped = 0
        return b"".join(lines)

    def _clock(self, second: int) -> str:
        if second != self._second:
            self._second = second
            self._time = time.strftime("%H:%M:%S ", time.localtime(second))
        return self._time


class LineObserver:
    """
    Puts each event of Twisted's log as a line, and a failure's traceback below it; *verbose* lets
    level debug through as well.
    """

    def __init__(self, lines: Lines, *, verbose: bool) -> None:
        self._lines = lines
        self._least = LogLevel.debug if verbose else LogLevel.info

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] < self._least_of(event):
            return
        text = formatEvent(event)
        if failure := event.get("log_failure"):
            text = f"{text}\n{failure.getTraceback()}" if text else failure.getTraceback()
        self._lines.put(event["log_level"].name, text, event["log_time"])
        self._lines.flush()

    def _least_of(self, event: LogEvent) -> Any:
        """Of what Twisted says of itself ("Site starting on 3000") only the troubles count."""
        ours = event.get("log_namespace", "").startswith("netbootd")
        return self._least if ours else max(self._least, LogLevel.warn)


def begin(stream: TextIO | None, environ: Mapping[str, str], *, verbose: bool) -> Lines:
    """Send all logging to *stream* (None: nowhere), that of libraries as well."""
    if stream is None:
        stream = open(os.devnull, "w")  # noqa: SIM115  for as long as we live
    lines = Lines(stream, to_journal=under_journal(environ, stream))
    observer: Any = LineObserver(lines, verbose=verbose)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING)
    return lines


class _Bridge(logging.Handler):
    """What was logged with the standard library goes the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        level = LogLevel.error if record.levelno >= logging.ERROR else LogLevel.warn
        Logger(namespace=record.name).emit(level, "{text}", text=record.getMessage())
