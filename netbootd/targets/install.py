"""
``install``: an installer's kernel and initrd, its answer file named in the arguments (``ks=`` for
CentOS 6, ``inst.ks=`` today, ``url=`` for Debian).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from netbootd.targets.linux import Linux
from netbootd.targets.settings import Settings

#: Anaconda's and dracut's old spellings, and today's.  Anaconda dropped the bare ones with
#: Red Hat Enterprise Linux 7 (https://anaconda-installer.readthedocs.io/en/latest/boot-options.html).
_RENAMED = {
    "ks": "inst.ks",
    "ksdevice": "BOOTIF or bootdev",
    "rdshell": "rd.shell",
    "rd_NO_DM": "rd.dm=0",
    "rd_NO_MD": "rd.md=0",
    "rd_NO_LUKS": "rd.luks=0",
    "rd_NO_LVM": "rd.lvm=0",
}
_OLD = re.compile(r"(centos|rhel|red ?hat|scientific|oracle|sl)[^0-9]*[56](\D|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Install(Linux):
    """An unattended install."""

    template_name: ClassVar[str] = "install"


def check_legacy_args(settings: Settings, words: tuple[str, ...]) -> None:
    """Old spellings do nothing in a new image; said only where ``os`` says that it is new."""
    system = settings.text("os")
    if not system or _OLD.search(system):
        return
    for word in words:
        name = word.partition("=")[0]
        if name in _RENAMED:
            settings.warn("args-legacy", f"{name} is {_RENAMED[name]} in {system}", "boot_args")
