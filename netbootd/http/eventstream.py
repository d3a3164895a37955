"""
``GET /api/v1/events``: what happens, as it happens, to whoever listens (server-sent events; HTML
Standard, 9.2).
"""

from __future__ import annotations

from typing import Any

from netbootd.api.desk import Desk
from netbootd.http.apicall import Call
from netbootd.http.resource import Feed

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class Streams:
    """Everybody who listens."""

    def __init__(self, reactor: Any, desk: Desk) -> None:
        self._reactor = reactor
        self._desk = desk

    def answer(self, call: Call) -> Feed:
        """A stream of the topics that the query names, of all where it names none."""
        return Feed(_HEADERS, lambda _: None)

    def stop(self) -> None:
        """End them all."""
