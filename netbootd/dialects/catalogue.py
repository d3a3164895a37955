"""The dialects by the name of whoever reads them, and their templates."""

from __future__ import annotations

from collections.abc import Mapping

from netbootd.configfiles import PI_FILES, Reader
from netbootd.dialects.dialect import Dialect, Way
from netbootd.dialects.grub import Grub
from netbootd.dialects.pxelinux import PxeLinux
from netbootd.dialects.raspberrypi import RaspberryPi
from netbootd.targets.ipxe import ScriptTemplate

GRUB, GRUB_FIRST, PXELINUX = "grub.cfg", "grub-first.cfg", "pxelinux.cfg"
#: Every file beside the configuration that may take the place of one of ours.
TEMPLATES = (GRUB, GRUB_FIRST, PXELINUX, *sorted(PI_FILES))


def dialect_of(
    reader: Reader, name: str, way: Way, templates: Mapping[str, ScriptTemplate]
) -> Dialect:
    """The language of *reader*, which asks for file *name* by *way*."""
    match reader:
        case Reader.GRUB:
            return Grub(templates[GRUB], way)
        case Reader.PXELINUX:
            return PxeLinux(templates[PXELINUX])
        case Reader.PI:
            return RaspberryPi(templates[name])
