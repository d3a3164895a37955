"""
Publish and subscribe: the edges say what happened, and do not know who listens.

Everything runs in the publisher's turn, so a listener must be quick.  A listener that fails hurts
nobody else: its error is reported, and it is asked again next time.
"""

from __future__ import annotations

from collections.abc import Callable

from netbootd.events.event import Event

Listener = Callable[[Event], None]


class Stream:
    """Hands every event to every listener; *report* is told of a listener's exception."""

    def __init__(self, report: Callable[[Exception], None]) -> None:
        self._report = report
        self._listeners: tuple[Listener, ...] = ()

    def subscribe(self, listener: Listener) -> None:
        """Tell *listener* of everything from now on."""
        self._listeners = (*self._listeners, listener)

    def publish(self, event: Event) -> None:
        """Tell everybody."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as problem:
                self._report(problem)
