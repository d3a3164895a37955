"""What changes: the photograph of what the operator wants, and the record of what has happened."""

from __future__ import annotations

from dataclasses import replace

from netbootd.record.record import Record
from netbootd.record.styles import StyleMemory
from netbootd.registry.replacements import Replacements
from netbootd.registry.sightings import Sightings
from netbootd.registry.snapshot import Registry


class LiveRegistry:
    """
    Holds the current photograph; everything it has ever held is immutable.

    *record* is by its side because whoever decides needs both; without one nothing is remembered
    longer than this object lives, and its time stands still; so it is with *styles*, what firmware
    follows.  *sightings* are what clients have said of themselves, *replacements*
    whose iPXE was replaced by ours.
    """

    def __init__(
        self,
        snapshot: Registry,
        record: Record | None = None,
        styles: StyleMemory | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.record = Record(lambda: 0.0) if record is None else record
        self.styles = StyleMemory() if styles is None else styles
        self.sightings = Sightings()
        self.replacements = Replacements()

    def swap(self, new: Registry) -> None:
        """Put *new* in place as the next generation."""
        self.snapshot = replace(new, generation=self.snapshot.generation + 1)
