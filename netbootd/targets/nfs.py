"""
``nfs``: a diskless Linux with its root over NFS.

Either the root is in the arguments, as the image's own initramfs wants it, or ``root`` names it
(``192.0.2.10:/data/nfs/rocky9``, NFS options behind a comma) and ``initramfs`` what reads it:

===================  ==========================================================================
``dracut``           ``root=nfs:SERVER:/PATH:OPTIONS`` (dracut.cmdline(7))
``initramfs-tools``  ``root=/dev/nfs nfsroot=SERVER:/PATH,OPTIONS`` (initramfs-tools(7))
``live-boot``        ``boot=live netboot=nfs nfsroot=SERVER:/PATH nfsopts=OPTIONS`` (live-boot(7))
``casper``           the same with ``boot=casper`` (casper(7))
===================  ==========================================================================

Without ``initramfs`` it is the second form, which dracut reads, too.  The root is mounted read-only
unless ``boot_args`` says ``rw``.  A SERVER in brackets is an IPv6 address: dracut is then told
``ip=dhcp6``, the others know IPv4 alone; with router advertisements write ``ip=auto6``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from netbootd.targets.linux import Linux, absent, by_card
from netbootd.targets.settings import Settings

_ROOT = re.compile(r"(?P<server>\[[^\]]+\]|[^:/,\s]+):(?P<path>/[^:,\s]*)(?:[,:](?P<options>\S+))?")
_INITRAMFS = frozenset({"dracut", "initramfs-tools", "live-boot", "casper"})


@dataclass(frozen=True, slots=True)
class Nfs(Linux):
    """A Linux that says where its root is."""

    keys: ClassVar[frozenset[str]] = Linux.keys | {"root", "initramfs"}
    template_name: ClassVar[str] = "nfs"

    @classmethod
    def completed(cls, settings: Settings, args: tuple[str, ...]) -> tuple[str, ...]:
        root = settings.text("root")
        initramfs = settings.one_of("initramfs", _INITRAMFS)
        if not root:
            return args
        if _has_root(args):
            told = '"boot_args" says where the root is, "root" is not used'
            settings.warn("target-unused-key", told, "root")
            return args
        match = _ROOT.fullmatch(root)
        if not match:
            told = f'"root" must be SERVER:/PATH, options behind a comma, not "{root}"'
            settings.fault("nfs-root", told, "root")
            return args
        if root.startswith("[") and initramfs != "dracut":
            told = "only dracut mounts a root over IPv6"
            settings.warn("nfs-root-ipv6", told, "root")
        mode = () if "rw" in args else ("ro",)
        found = root_words(initramfs or "initramfs-tools", **match.groupdict(""))
        wanted = (*found, *by_card(args), *mode)
        return (*absent(args, wanted), *args)

    def check(self, settings: Settings) -> None:
        if not _has_root(self.args):
            settings.warn("nfs-no-root", 'no root= or nfsroot= in "boot_args"', "boot_args")
        own = any(_is_root(word) and "__" in word for word in self.args)
        if "rw" in self.args and not own:  # one with a placeholder is each machine's own
            settings.note("nfs-root-rw", "rw: all its nodes write to one root", "boot_args")


def root_words(initramfs: str, server: str, path: str, options: str) -> tuple[str, ...]:
    """The arguments with which *initramfs* mounts the root; *options* may be empty."""
    place = f"{server}:{path}"
    if initramfs == "dracut":
        dhcp = "ip=dhcp6" if server.startswith("[") else "ip=dhcp"
        return (f"root=nfs:{place}" + (f":{options}" if options else ""), dhcp)
    if initramfs == "initramfs-tools":
        comma = f",{options}" if options else ""
        return ("root=/dev/nfs", f"nfsroot={place}{comma}", "ip=dhcp")
    boot = "live" if initramfs == "live-boot" else "casper"
    more = (f"nfsopts={options}",) if options else ()
    return (f"boot={boot}", "netboot=nfs", f"nfsroot={place}", *more, "ip=dhcp")


def _has_root(args: tuple[str, ...]) -> bool:
    return any(_is_root(word) for word in args)


def _is_root(word: str) -> bool:
    return word.startswith(("root=", "nfsroot="))
