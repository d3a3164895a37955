"""``localboot``: the machine's own disk.  BIOS starts the first disk, UEFI its next boot entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.settings import Settings


@dataclass(frozen=True, slots=True)
class LocalBoot(Target):
    """Needs no keys; any it has are free data."""

    template_name: ClassVar[str] = "localboot"

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """Nothing to read."""
        return cls(settings.title, template)

    def values(self, facts: Facts) -> dict[str, Any]:
        return {}
