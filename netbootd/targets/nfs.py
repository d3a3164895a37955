"""
``nfs``: a diskless Linux with its root over NFS.  The root is in the arguments, as the image's
own initramfs wants it (dracut: ``root=nfs:server:/path``; initramfs-tools: ``root=/dev/nfs
nfsroot=server:/path``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.targets.linux import Linux
from netbootd.targets.settings import Settings


@dataclass(frozen=True, slots=True)
class Nfs(Linux):
    """A Linux that says where its root is."""

    template_name: ClassVar[str] = "nfs"

    def check(self, settings: Settings) -> None:
        if not any(word.startswith(("root=", "nfsroot=")) for word in self.args):
            settings.warn("nfs-no-root", 'no root= or nfsroot= in "boot_args"', "boot_args")
        if "rw" in self.args:
            settings.note("nfs-root-rw", "rw: all its nodes write to one root", "boot_args")
