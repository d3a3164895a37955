"""A target with ``sanboot``, whatever its type: a disk or CD image by iSCSI, HTTP and the like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.settings import EXTRA_ARGS, Settings


@dataclass(frozen=True, slots=True)
class SanBoot(Target):
    """*uri* as iPXE's ``sanboot`` takes it (RFC 4173 for iSCSI)."""

    uri: str

    template_name: ClassVar[str] = "sanboot"

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """``sanboot`` counts; a kernel beside it is reported."""
        settings.check_boot_server()
        for key in ("kernel", "initrd", "boot_args", EXTRA_ARGS):
            if key in settings:
                settings.warn("target-unused-key", f'"sanboot" counts, "{key}" is not used', key)
        uri = settings.location("sanboot")
        if not uri and settings.broken is None:
            settings.fault("target-empty", '"sanboot" is empty', "sanboot")
        return cls(settings.title, template, uri or "")

    def values(self, facts: Facts) -> dict[str, Any]:
        return {"uri": facts.url(self.uri)}
