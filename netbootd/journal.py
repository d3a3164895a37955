"""
Log lines as the journal or a terminal wants them.

Under systemd a line begins with its priority (``<6>``, sd-daemon(3)) and has no time, which the
journal knows; on a terminal it has a time and no priority.
"""

from __future__ import annotations

import logging
import time
from typing import Any, TextIO

from twisted.logger import LogEvent, Logger, LogLevel, formatEvent, globalLogBeginner

from netbootd.systemd import journal_prefix

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

    *verbose* lets the packets through as well (level debug).
    """

    def __init__(self, stream: TextIO, *, to_journal: bool, verbose: bool) -> None:
        self._stream = stream
        self._to_journal = to_journal
        self._least = LogLevel.debug if verbose else LogLevel.info

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] < self._least_of(event):
            return
        text = formatEvent(event)
        if failure := event.get("log_failure"):
            text = f"{text}\n{failure.getTraceback()}" if text else failure.getTraceback()
        prefix = self._prefix(event)
        lines = "".join(f"{prefix}{line}\n" for line in text.splitlines() or [""])
        try:
            self._stream.write(lines)
            self._stream.flush()
        except OSError:
            pass  # a full disk or a closed pipe must not stop the serving

    def _least_of(self, event: LogEvent) -> Any:
        """Of what Twisted says of itself ("Site starting on 3000") only the troubles count."""
        ours = event.get("log_namespace", "").startswith("netbootd")
        return self._least if ours else max(self._least, LogLevel.warn)

    def _prefix(self, event: LogEvent) -> str:
        if self._to_journal:
            return journal_prefix(_SEVERITY.get(event["log_level"], "info"))
        return time.strftime("%H:%M:%S ", time.localtime(event["log_time"]))


def begin(stream: TextIO, *, to_journal: bool, verbose: bool) -> None:
    """Send all logging to *stream*, that of libraries through the standard library included."""
    observer: Any = LineObserver(stream, to_journal=to_journal, verbose=verbose)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING)


class _Bridge(logging.Handler):
    """What was logged with the standard library goes the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        level = LogLevel.error if record.levelno >= logging.ERROR else LogLevel.warn
        Logger(namespace=record.name).emit(level, "{text}", text=record.getMessage())
