"""
``localboot``: the machine's own disk.  BIOS starts the first disk, UEFI its next boot entry.

``bios`` and ``efi`` choose another way for their firmware, each one of

``exit``
    Back to the firmware, which goes on in its boot order.  The default under UEFI.
``sanboot``
    iPXE starts the disk itself: the first one under BIOS (the default there), under UEFI the first
    that has a boot loader, for firmware that does not go on.  Builds of iPXE before 2024 cannot do
    that under UEFI (https://github.com/ipxe/ipxe/issues/1186), and then leave to the firmware
    (tried: OVMF, iPXE of 2019).
a path with backslashes (UEFI)
    ``\\EFI\\debian\\grubx64.efi``: as ``sanboot``, with that loader of the disk
    (https://ipxe.org/cmd/sanboot).
a file or a URL
    A loader to chain that starts the disk, such as a GRUB with a ``search`` of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.plan import Disk, Plan
from netbootd.targets.settings import Settings

EXIT = "exit"
SANBOOT = "sanboot"


@dataclass(frozen=True, slots=True)
class LocalBoot(Target):
    """*bios* and *efi*: ``exit``, ``sanboot``, a path with backslashes, or a URL."""

    bios: str = SANBOOT
    efi: str = EXIT

    template_name: ClassVar[str] = "localboot"
    keys: ClassVar[frozenset[str]] = frozenset({"bios", "efi"})

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """Read how each firmware starts the disk."""
        settings.check_boot_server()
        bios = _way(settings, "bios", SANBOOT)
        if "\\" in bios:
            told = '"bios": legacy BIOS starts a disk, it cannot start a file on it'
            settings.fault("value-unknown", told, "bios")
        return cls(settings.title, template, bios, _way(settings, "efi", EXIT))

    def values(self, facts: Facts) -> dict[str, Any]:
        return {"bios": _told(self.bios, facts), "efi": _told(self.efi, facts)}

    def plan(self, facts: Facts) -> Plan:
        return Disk(facts.url(self.bios), facts.url(self.efi))


def _way(settings: Settings, key: str, default: str) -> str:
    text = settings.text(key)
    if not text:
        return default
    if text in (EXIT, SANBOOT):
        return text
    if "\\" in text and not any(blank in text for blank in " \t"):
        return text
    return settings.location(key) or default


def _told(way: str, facts: Facts) -> dict[str, str]:
    """What the template asks of a way."""
    if way in (EXIT, SANBOOT):
        return {"how": way, "file": ""}
    return {"how": "file", "file": way} if "\\" in way else {"how": "chain", "file": facts.url(way)}
