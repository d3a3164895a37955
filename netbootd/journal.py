"""
Log lines as the journal or a terminal wants them.

Under systemd a line begins with its priority (``<6>``, sd-daemon(3)) and has no time, which the
journal knows; on a terminal it has a time and no priority.
"""

from __future__ import annotations

import time
from typing import TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from zope.interface import implementer

from netbootd.systemd import journal_prefix

_SEVERITY = {
    LogLevel.debug: "debug",
    LogLevel.info: "info",
    LogLevel.warn: "warning",
    LogLevel.error: "error",
    LogLevel.critical: "critical",
}


@implementer(ILogObserver)
class LineObserver:
    """Writes each event as a line, and a failure's traceback below it."""

    def __init__(self, stream: TextIO, *, to_journal: bool) -> None:
        self._stream = stream
        self._to_journal = to_journal

    def __call__(self, event: LogEvent) -> None:
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

    def _prefix(self, event: LogEvent) -> str:
        if self._to_journal:
            return journal_prefix(_SEVERITY.get(event["log_level"], "info"))
        return time.strftime("%H:%M:%S ", time.localtime(event["log_time"]))


def begin(stream: TextIO, *, to_journal: bool, verbose: bool) -> None:
    """Send all logging to *stream*; *verbose* adds the packets (level debug)."""
    least = LogLevel.debug if verbose else LogLevel.info
    predicate = LogLevelFilterPredicate(defaultLogLevel=least)
    observer = FilteringLogObserver(LineObserver(stream, to_journal=to_journal), [predicate])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
