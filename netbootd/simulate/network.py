"""
What a simulated client needs of the world: DHCP, TFTP and HTTP, each one call.

Two worlds have this shape: ``memory`` (the daemon's own functions, no socket) and ``wire``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from netbootd.dhcp.destination import Port
from netbootd.dhcp.message import Message
from netbootd.errors import NetbootdError


class Unreachable(NetbootdError):
    """Nothing came back, or a refusal; the text says which, for the person at the terminal."""


class Unchecked(NetbootdError):
    """Only the machine itself can try that; the text says what and why."""


@dataclass(frozen=True, slots=True)
class File:
    """
    What a fetch brought.  *head* is the beginning of it (up to 4 MiB: a loader is there whole),
    *how* says in a few words how it travelled; *seconds* of wall time.
    """

    size: int
    sha256: str
    head: bytes
    seconds: float
    how: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


HEAD_SIZE = 1 << 22


class Digest:
    """Adds up a file as its pieces come."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size = 0
        self._head = bytearray()

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        self._sha256.update(piece)
        self.size += len(piece)
        if len(self._head) < HEAD_SIZE:
            self._head += piece[: HEAD_SIZE - len(self._head)]

    @property
    def head(self) -> bytes:
        """The beginning, as far as it is kept."""
        return bytes(self._head)

    def file(self, seconds: float, how: str, headers: Mapping[str, str] | None = None) -> File:
        """All of it."""
        return File(self.size, self._sha256.hexdigest(), self.head, seconds, how, headers or {})


class Network(Protocol):
    """
    Every call raises Unreachable where a real client would be left waiting or be refused, and
    Unchecked where this world cannot know.
    """

    #: Whom the client is talking to, for the headline.
    name: str

    def dhcp(self, request: bytes, port: Port, server: str) -> Message:
        """The netboot answer to *request*: broadcast on port 67, or to *server* on 4011."""

    def tftp(self, server: str, path: str, options: Mapping[str, str]) -> File:
        """Read a file whole."""

    def http(self, url: str, user_agent: str) -> File:
        """GET a file whole, a HEAD before it."""

    def look(self, url: str, user_agent: str) -> None:
        """Whether there is something, which nobody fetches: no boot begins with it."""

    def why(self) -> tuple[str, ...]:
        """The reasons behind the last DHCP answer, where this world knows them."""
