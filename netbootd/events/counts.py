"""How often each thing happened since the start, for the status page."""

from __future__ import annotations

from collections import Counter

from netbootd.events.event import Event


class Counts:
    """A listener that counts events by kind, and drops and refusals by protocol as well."""

    def __init__(self) -> None:
        self._counter: Counter[tuple[type[Event], str]] = Counter()

    def __call__(self, event: Event, times: int = 1) -> None:
        self._counter[type(event), getattr(event, "protocol", "")] += times

    def as_dict(self) -> dict[str, int]:
        """Counts by name, in the names' order."""
        named: Counter[str] = Counter()
        for (kind, protocol), count in self._counter.items():
            named[_name(kind, protocol)] += count
        return dict(sorted(named.items()))


def _name(kind: type[Event], protocol: str) -> str:
    """The name that an event has for counters, and its protocol where it tells one."""
    word = kind.__name__.lower()
    return f"{word}.{protocol.lower()}" if protocol else word
