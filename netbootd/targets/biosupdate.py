"""
``biosupdate``: a disk image run by memdisk, for the firmware updaters that still want DOS.

memdisk (https://wiki.syslinux.org/wiki/index.php?title=MEMDISK) is loaded as a kernel, the image as
its initrd.  It needs legacy BIOS: under UEFI iPXE says "Exec format error", so the script says why
and leaves to the next boot device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.content import MEMDISK
from netbootd.targets.linux import Linux
from netbootd.targets.settings import Settings


@dataclass(frozen=True, slots=True)
class BiosUpdate(Linux):
    """A floppy or hard disk image; ``kernel`` defaults to memdisk."""

    template_name: ClassVar[str] = "biosupdate"
    kernel_name: ClassVar[str] = MEMDISK
    initrd_name: ClassVar[str] = "image"
    default_kernel: ClassVar[str | None] = MEMDISK

    def check(self, settings: Settings) -> None:
        if not self.initrds:
            settings.fault("target-empty", '"initrd", the disk image, is missing')
