"""
``ramroot`` (``http`` is another name of it): a Linux whose whole root is fetched over HTTP into
memory, and which then needs the server no more.

``image`` is a squashfs or a live ISO, and ``initramfs`` says what reads it:

=============  =================================================================================
``live-boot``  ``boot=live fetch=URL`` (live-boot(7)); the URL's host must be an address
``dracut``     ``root=live:URL rd.live.ram=1`` and a writable layer (dracut.cmdline(7), module
               ``dmsquash-live``); ``rd.overlay`` is the layer's name since dracut-ng 110
``casper``     ``boot=casper url=URL``: the ISO (casper(7))
``alpine``     ``modloop=URL``; ``alpine_repo`` and ``apkovl`` are for ``boot_args``
=============  =================================================================================

Without ``image`` the initrd itself is the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, ClassVar
from urllib.parse import urlsplit

from netbootd.targets.base import Facts
from netbootd.targets.linux import Linux, absent, by_card
from netbootd.targets.settings import Settings

_ARGUMENTS = {
    "live-boot": "boot=live fetch=__image__ ip=dhcp",
    "dracut": "root=live:__image__ ip=dhcp rd.live.image rd.live.ram=1 "
    "rd.live.overlay.overlayfs=1 rd.overlay",
    "casper": "boot=casper url=__image__ ip=dhcp",
    "alpine": "modloop=__image__ ip=dhcp modules=loop,squashfs",
}
#: Words that say where the root comes from: an author who wrote one has decided.
_ROOT = ("root=", "fetch=", "httpfs=", "url=", "modloop=")


@dataclass(frozen=True, slots=True)
class RamRoot(Linux):
    """*image* is a URL or a path on our own server."""

    image: str = ""

    keys: ClassVar[frozenset[str]] = Linux.keys | {"image", "initramfs"}
    template_name: ClassVar[str] = "ramroot"

    @classmethod
    def completed(cls, settings: Settings, args: tuple[str, ...]) -> tuple[str, ...]:
        initramfs = settings.one_of("initramfs", _ARGUMENTS)
        if "image" not in settings:
            return args
        if any(word.startswith(_ROOT) for word in args):
            if not any("__image__" in word for word in args):
                told = '"boot_args" says where the root is, "image" is not used'
                settings.warn("target-unused-key", told, "image")
            return args
        if initramfs is None:
            if "initramfs" not in settings:
                told = f'"image" needs "initramfs": {", ".join(sorted(_ARGUMENTS))}'
                settings.fault("target-empty", told, "image")
            return args
        if initramfs == "alpine" and absent(args, ("alpine_repo",)):
            told = 'no alpine_repo= in "boot_args": Alpine will find no packages'
            settings.warn("ramroot-repo", told, "boot_args")
        card = () if initramfs == "alpine" else by_card(args)
        return (*absent(args, (*_ARGUMENTS[initramfs].split(), *card)), *args)

    @classmethod
    def extras(cls, settings: Settings) -> dict[str, Any]:
        return {"image": settings.location("image") or ""}

    def check(self, settings: Settings) -> None:
        if "boot=live" in self.args and _is_name(self.image):
            told = "live-boot fetches from an address, it cannot look up a name"
            settings.warn("ramroot-name", told, "image" if "image" in settings else "boot_args")

    def own_names(self, facts: Facts) -> dict[str, Any]:
        return {"image": facts.url(self.image)} if self.image else {}

    def remarks(self, facts: Facts) -> tuple[str, ...]:
        told = Linux.remarks(self, facts)
        ours = self.image.startswith("/") and "boot=live" in self.args
        if ours and _is_name(facts.url(self.image)):
            told += ("live-boot fetches from an address, and our own address is a name here",)
        return told


def _is_name(url: str) -> bool:
    """Whether the host of *url* is a name and no address."""
    host = urlsplit(url).hostname
    try:
        return host is not None and not ip_address(host)
    except ValueError:
        return True
