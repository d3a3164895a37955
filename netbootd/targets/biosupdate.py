"""
``biosupdate`` and ``memdisk``: a disk or CD image run by memdisk, for the firmware updaters that
still want DOS, and for whatever else comes as an image.

memdisk (https://wiki.syslinux.org/wiki/index.php?title=MEMDISK) is loaded as a kernel, the image
as its initrd; ``boot_args`` are its words (``floppy``, ``harddisk``, ``iso``, ``raw``).  An image
below 4 MiB is a floppy, else a hard disk; a CD must be told, so one whose name ends in ``.iso``
gets ``iso raw``.  It needs legacy BIOS: under UEFI iPXE says "Exec format error", so the script
says why and leaves to the next boot device.

A ``biosupdate`` is done once it was served, since DOS cannot call back: flashing at every boot
would wear the part out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.loaders import MEMDISK
from netbootd.targets.linux import Linux
from netbootd.targets.settings import Settings

_KINDS = frozenset({"floppy", "harddisk", "iso"})


@dataclass(frozen=True, slots=True)
class MemDisk(Linux):
    """A floppy, hard disk or CD image; ``kernel`` defaults to memdisk."""

    keys: ClassVar[frozenset[str]] = frozenset()
    template_name: ClassVar[str] = "memdisk"
    kernel_name: ClassVar[str] = MEMDISK
    initrd_name: ClassVar[str] = "image"
    default_kernel: ClassVar[str | None] = MEMDISK
    bios_only: ClassVar[bool] = True
    takes_overlay: ClassVar[bool] = False
    calls_back: ClassVar[bool] = False

    @classmethod
    def completed(cls, settings: Settings, args: tuple[str, ...]) -> tuple[str, ...]:
        images = settings.values["initrd"].value if "initrd" in settings else ""
        image = images[0] if isinstance(images, list) and images else images
        is_cd = isinstance(image, str) and image.strip().lower().endswith(".iso")
        return (*args, "iso", "raw") if is_cd and not {"iso", "raw"} & set(args) else args

    def check(self, settings: Settings) -> None:
        if not self.initrds:
            settings.fault("target-empty", '"initrd", the disk image, is missing')
        kinds = sorted(_KINDS & {word.partition("=")[0] for word in self.args})
        if len(kinds) > 1:
            told = f"{' and '.join(kinds)}: an image is one of them"
            settings.warn("memdisk-kind", told, "boot_args")


@dataclass(frozen=True, slots=True)
class BiosUpdate(MemDisk):
    """An image that changes the machine, and must not be run at every boot."""

    template_name: ClassVar[str] = "biosupdate"
    once: ClassVar[bool] = True
