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
import time
from collections.abc import Mapping
from typing import Any, TextIO

from twisted.logger import LogEvent, Logger, LogLevel, formatEvent, globalLogBeginner

from netbootd.systemd import journal_prefix, under_journal

_SEVERITY = {
    LogLevel.debug: "debug",
    LogLevel.info: "info",
    LogLevel.warn: "warning",
    LogLevel.error: "error",
    LogLevel.critical: "critical",
}


class LineObserver:
    """
    Writes each event as a line, and a failure's traceback below it.

    *verbose* lets the packets through as well (level debug).  A reader that does not read, such as
    a paused pager, must not stop the serving: what it has no room for is counted and dropped.
    """

    def __init__(self, stream: TextIO, *, to_journal: bool, verbose: bool) -> None:
        self._stream = stream
        self._to_journal = to_journal
        self._least = LogLevel.debug if verbose else LogLevel.info
        self._dropped = 0
        self._room = select.poll()
        self._room.register(stream.fileno(), select.POLLOUT)

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] < self._least_of(event):
            return
        # Lines of machines are whole already, and there are thousands of them in a minute.
        whole = event.get("log_format") == "{event}"
        text = str(event["event"]) if whole else formatEvent(event)
        if failure := event.get("log_failure"):
            text = f"{text}\n{failure.getTraceback()}" if text else failure.getTraceback()
        self._write(self._prefix(event), text.splitlines() or [""])

    def _write(self, prefix: str, lines: list[str]) -> None:
        if not self._room.poll(0):
            self._dropped += len(lines)
            return
        if self._dropped:
            lines = [f"{self._dropped} lines were dropped: nobody read them", *lines]
            self._dropped = 0
        with contextlib.suppress(OSError, ValueError):  # a full disk, a closed pipe
            self._stream.write("".join(f"{prefix}{line}\n" for line in lines))
            self._stream.flush()

    def _least_of(self, event: LogEvent) -> Any:
        """Of what Twisted says of itself ("Site starting on 3000") only the troubles count."""
        ours = event.get("log_namespace", "").startswith("netbootd")
        return self._least if ours else max(self._least, LogLevel.warn)

    def _prefix(self, event: LogEvent) -> str:
        if self._to_journal:
            return journal_prefix(_SEVERITY.get(event["log_level"], "info"))
        return time.strftime("%H:%M:%S ", time.localtime(event["log_time"]))


def begin(stream: TextIO | None, environ: Mapping[str, str], *, verbose: bool) -> None:
    """Send all logging to *stream* (None: nowhere), that of libraries as well."""
    if stream is None:
        stream = open(os.devnull, "w")  # noqa: SIM115  for as long as we live
    to_journal = under_journal(environ, stream)
    observer: Any = LineObserver(stream, to_journal=to_journal, verbose=verbose)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING)


class _Bridge(logging.Handler):
    """What was logged with the standard library goes the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        level = LogLevel.error if record.levelno >= logging.ERROR else LogLevel.warn
        Logger(namespace=record.name).emit(level, "{text}", text=record.getMessage())
