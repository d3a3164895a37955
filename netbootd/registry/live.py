"""The one cell that changes."""

from __future__ import annotations

from dataclasses import replace

from netbootd.registry.snapshot import Registry


class LiveRegistry:
    """Holds the current photograph; everything it has ever held is immutable."""

    def __init__(self, snapshot: Registry) -> None:
        self.snapshot = snapshot

    def swap(self, new: Registry) -> None:
        """Put *new* in place as the next generation."""
        self.snapshot = replace(new, generation=self.snapshot.generation + 1)
