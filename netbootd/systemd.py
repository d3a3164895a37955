"""
What systemd wants to hear from a service, and how the journal wants its lines.

The protocol is sd_notify(3): datagrams of ``NAME=value`` lines to the socket that
``$NOTIFY_SOCKET`` names.  It is short and declared stable, so no library is needed.  Without that
variable everything here does nothing; with it, nothing blocks or raises: machines come first.

Sources: sd_notify(3), sd_watchdog_enabled(3), sd-daemon(3), systemd.exec(5), systemd.service(5).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

#: syslog(3) priorities by the names that Python's and Twisted's logging use.
_PRIORITY = {
    "debug": 7,
    "info": 6,
    "notice": 5,
    "warn": 4,
    "warning": 4,
    "error": 3,
    "critical": 2,
}


def journal_prefix(level: str) -> str:
    """*level* as the journal reads it at the start of a line, ``<6>``; an unknown one is info."""
    return f"<{_PRIORITY.get(level, _PRIORITY['info'])}>"


def under_journal(environ: Mapping[str, str], stream: TextIO) -> bool:
    """
    Whether *stream* is the very connection to the journal that ``$JOURNAL_STREAM`` describes.

    The variable alone proves nothing: it is inherited by children whose output goes elsewhere.
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no descriptor behind it, or closed
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


class Notifier:
    """
    Tells the service manager how we are.

    *environ* is the process's environment.  Every message returns whether systemd took it; False
    also when nobody asked.  A caller may ignore that.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.watchdog_interval = _watchdog_interval(environ)
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        with suppress(OSError, ValueError):  # whoever we become later may not be let in then
            self._connected()

    def ready(self, status: str = "") -> bool:
        """Startup, or a reload, is finished; *status* as for ``status``, in the same message."""
        return self._send("READY=1", *_status(status))

    def reloading(self, monotonic_usec: int) -> bool:
        """
        A reload begins; ``ready`` ends it.

        *monotonic_usec* is CLOCK_MONOTONIC in microseconds, taken as the reload began.  Both lines
        must be in one message (sd_notify(3)); ``Type=notify-reload`` waits for it.
        """
        return self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_usec}")

    def stopping(self) -> bool:
        """Shutdown begins."""
        return self._send("STOPPING=1")

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``; further lines of *text* are joined to it."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """Still alive; due at least every ``watchdog_interval`` seconds, better twice as often."""
        return self.watchdog_interval is not None and self._send("WATCHDOG=1")

    def close(self) -> None:
        """Give the descriptor back; the next message opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._address is None or not lines:
            return False
        try:
            self._connected().send("\n".join(lines).encode("utf-8", "replace"))
        except BlockingIOError:  # its queue is full
            return False
        except (OSError, ValueError):  # nobody there, or no such address
            self.close()
            return False
        return True

    def _connected(self) -> socket.socket:
        if self._socket is None:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                opened.setblocking(False)
                opened.connect(self._address or "")
            except BaseException:
                opened.close()
                raise
            self._socket = opened
        return self._socket


def _address(text: str) -> str | None:
    """The socket's address; ``@`` begins an abstract one (unix(7)); None for any other kind."""
    if text.startswith("@"):
        return f"\0{text[1:]}"
    return text if text.startswith("/") else None


def _status(text: str) -> tuple[str, ...]:
    line = " ".join(text.split())
    return (f"STATUS={line}",) if line else ()


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Seconds, or None where no watchdog waits for this very process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        usec = int(environ.get("WATCHDOG_USEC", ""))
        return usec / 1e6 if usec > 0 else None
    except (ValueError, OverflowError):
        return None
