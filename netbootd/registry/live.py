"""The one cell that changes."""

from __future__ import annotations

from dataclasses import replace

from netbootd.registry.snapshot import Changes, Registry, changes


class LiveRegistry:
    """Holds the current photograph; everything it has ever held is immutable."""

    def __init__(self, snapshot: Registry) -> None:
        self.snapshot = snapshot

    def swap(self, new: Registry) -> Changes:
        """Put *new* in place as the next generation; return what changed, for the log."""
        old, self.snapshot = self.snapshot, replace(new, generation=self.snapshot.generation + 1)
        return changes(old, new)
