"""
Every error that crosses a file border, as one small tree.

Each is named after what went wrong for whoever has to act.  Who turns it into what:
``WireError`` becomes a dropped-packet event; ``NotFound``, ``Forbidden`` and ``OptionRefused``
become TFTP ERROR 1, 2 and 8 or HTTP 404 and 403; ``ConfigErrors`` is printed whole, and a running
daemon keeps the configuration it had.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from netbootd.printable import printable

_LONGEST_LINE = 2000


class NetbootdError(Exception):
    """Anything that netbootd raises on purpose."""


class RenderError(NetbootdError):
    """A template could not be filled in; the text is ``file:line: what``."""


class MediaError(NetbootdError):
    """An installation medium cannot be imported; the text says why, and what would be right."""


class Unusable(NetbootdError):
    """HTTPS cannot be served with a file; the text says which, and what would be right."""


class WireError(NetbootdError):
    """The peer sent bytes that are not a packet of this protocol."""


class NotFound(NetbootdError):
    """No such file; the text names the path that was asked for."""


class Forbidden(NetbootdError):
    """The path may not be served: it leaves the root, is no regular file, or is unreadable."""


class Changed(OSError):
    """A file is not the one any more that was opened; the text says what is known of it."""


class Shortened(Changed):
    """It ends before its end: there is nothing to send there."""


class OptionRefused(NetbootdError):
    """A TFTP option has a value that cannot be negotiated (RFC 2347, ERROR 8)."""


class Level(IntEnum):
    """How bad a finding in the configuration is."""

    DEBUG = 0  # shown on request
    NOTE = 1  # as written, and worth knowing
    WARNING = 2  # loaded as described
    TARGET = 3  # only that machine or target is unusable
    RELOAD = 4  # the same at the start; a running daemon keeps what it has
    ERROR = 5  # the file is refused

    @property
    def word(self) -> str:
        """The level as ``netbootd check`` prints it."""
        return _LEVEL_WORDS[self]


_LEVEL_WORDS = {
    Level.DEBUG: "debug",
    Level.NOTE: "note",
    Level.WARNING: "warning",
    Level.TARGET: "target error",
    Level.RELOAD: "error",
    Level.ERROR: "error",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: *line* and *column* count from 1, columns in characters."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing to say about a configuration.

    *code* is stable (``mac-duplicate``), *path* names the value (``machines."00:25:…".name``),
    *text* says what, and what would be right.
    """

    level: Level
    code: str
    text: str
    place: Place
    path: str = ""

    def __str__(self) -> str:
        where = f" [{self.path}]" if self.path else ""
        line = f"{self.place}: {self.level.word}: {self.code}: {self.text}{where}"
        return printable(line, _LONGEST_LINE)

    def as_dict(self) -> dict[str, str | int]:
        """For programs, wherever they meet one: from the commands and from the API."""
        return {
            "level": self.level.word,
            "code": self.code,
            "text": self.text,
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "path": self.path,
        }


class ConfigErrors(NetbootdError):
    """
    The configuration cannot be used; *findings* holds every problem, not only the first.

    *files* are those whose change may mend it.
    """

    def __init__(self, findings: Iterable[Finding], files: Iterable[str] = ()) -> None:
        self.findings = tuple(findings)
        self.files = tuple(files)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class PortError(OSError):
    """We cannot listen on UDP *port* of *interface*; errno is the system's."""

    def __init__(self, port: int, interface: str, problem: OSError) -> None:
        super().__init__(problem.errno, f"UDP {port} on {interface}: {problem.strerror}")
        self.port = port
        self.interface = interface
