"""How often each thing happened since the start, for the status page."""

from __future__ import annotations

from collections import Counter

from netbootd.events.event import Event


class Counts:
    """A listener that counts events by kind, and drops and refusals by protocol as well."""

    def __init__(self) -> None:
        self._counter: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        protocol = getattr(event, "protocol", "")
        self._counter[f"{event.kind}.{protocol.lower()}" if protocol else event.kind] += 1

    def as_dict(self) -> dict[str, int]:
        """Counts by name, in the names' order."""
        return dict(sorted(self._counter.items()))
