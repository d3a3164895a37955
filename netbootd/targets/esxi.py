"""
``esxi``: VMware's installer, by its UEFI loader.

``tree`` is the folder with the medium, whose ``efi/boot/bootx64.efi`` is its own loader (``mboot``
names another, such as that of a newer medium).  ``boot_cfg`` is the loader's file, served as the
machine sees it, ``TREE/boot.cfg`` if it is not given.  Copy the medium's, set ``prefix`` to the
URL of the tree, drop the slashes that its ``kernel`` and ``modules`` begin with, and append ``ks=``
with the URL of an answer file to ``kernelopt``; as ``boot.cfg.j2`` it can say ``{{ base }}`` and
the like.

Legacy BIOS would need SYSLINUX's ``mboot.c32``; the console says so.  Not tried with VMware's own
medium.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.settings import Settings

_MBOOT = "efi/boot/bootx64.efi"
_BOOT_CFG = "boot.cfg"


@dataclass(frozen=True, slots=True)
class Esxi(Target):
    """*mboot* is a URL or a path on our own server, *boot_cfg* a path below the file root."""

    mboot: str
    boot_cfg: str

    keys: ClassVar[frozenset[str]] = frozenset({"tree", "mboot", "boot_cfg"})
    template_name: ClassVar[str] = "esxi"
    needs_ipxe: ClassVar[str] = "the loader of the medium is started with arguments"

    @classmethod
    def from_settings(cls, settings: Settings, template: ScriptTemplate) -> Self:
        """Read and check the settings; faults are reported there."""
        settings.check_boot_server()
        tree = (settings.text("tree") or "").rstrip("/")
        if not tree and settings.broken is None:
            settings.fault("target-empty", '"tree", the folder of the medium, is missing')
        mboot = settings.location("mboot") or settings.located("tree", f"{tree}/{_MBOOT}")
        boot_cfg = settings.own_file("boot_cfg") or settings.own_path("tree", f"{tree}/{_BOOT_CFG}")
        return cls(settings.title, template, mboot or "", boot_cfg or "")

    @property
    def fetched(self) -> tuple[str, ...]:
        return (self.mboot,)

    def values(self, facts: Facts) -> dict[str, Any]:
        return {
            "kernel": {"url": facts.url(self.mboot)},
            "boot_cfg": facts.file_url(self.boot_cfg),
        }
