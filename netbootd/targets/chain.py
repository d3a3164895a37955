"""
``chain``: another loader that iPXE starts: an ``.efi`` updater, GRUB, PXELINUX, shim, a script.

``chain`` is its file or URL for both firmwares, ``bios`` and ``efi`` for one of them; where there
is none for a firmware, the console says so.  ``boot_args`` are its arguments.  ``ipxe_settings``
are set before it starts, such as ``"210:string"``, the folder where PXELINUX has its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from netbootd.targets import ipxe
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.settings import EXTRA_ARGS, Settings


@dataclass(frozen=True, slots=True)
class Chain(Target):
    """*bios* and *efi* are URLs or paths on our own server, empty where there is nothing."""

    bios: str
    efi: str
    args: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    keys: ClassVar[frozenset[str]] = frozenset({"chain", "bios", "efi", "ipxe_settings"})
    template_name: ClassVar[str] = "chain"
    needs_ipxe: ClassVar[str] = "it starts another loader"

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """Read and check the settings; faults are reported there."""
        settings.check_boot_server()
        both = settings.location("chain") or ""
        bios, efi = (settings.location(key) or both for key in ("bios", "efi"))
        if not bios and not efi and settings.broken is None:
            settings.fault("target-empty", 'nothing to boot: "chain", "bios" or "efi" is missing')
        named = settings.strings("ipxe_settings")
        for name, text in named.items():
            if ipxe.unsettable(text) or len(name.split()) != 1 or not name.isprintable():
                told = f'"{name}" has characters that iPXE cannot store'
                settings.fault("setting-value", told, "ipxe_settings")
        args = settings.words("boot_args") + settings.words(EXTRA_ARGS)
        return cls(settings.title, template, bios, efi, args, named)

    def values(self, facts: Facts) -> dict[str, Any]:
        return {
            "bios": self.bios and self.filled(facts.url(self.bios), facts),
            "efi": self.efi and self.filled(facts.url(self.efi), facts),
            "args": " ".join(self.filled(word, facts) for word in self.args),
            "settings": [
                {"name": name, "value": self.filled(text, facts)}
                for name, text in self.settings.items()
            ],
        }
