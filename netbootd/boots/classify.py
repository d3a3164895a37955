"""
What a path is to a boot: its loader, kernel, initrd, answer file, or any other file.

What the machine's target fetches counts; where that does not say it, the name does.  Pure.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from netbootd import configfiles, urls
from netbootd.answers import template_for
from netbootd.boots.boot import Stage
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Target

#: The folder of the file root that is for answer files.
_ANSWERS = "install/"
_ANSWER_NAMES = frozenset({"user-data", "meta-data", "vendor-data", "network-config", "answers"})
_ANSWER_ENDINGS = (".cfg", ".ks", ".seed", ".preseed", ".xml", ".yaml", ".yml", ".toml", ".ign")
_OVERLAY = re.compile(r"(^|/)overlay/[^/]+$")
_LOADER_ENDINGS = (".efi", ".kpxe", ".kkpxe", ".pxe", ".0", ".c32", ".elf", ".mod", ".lst", ".pf2")
#: A package is none, though "linux-image" may stand in its name.
_PACKAGE = r"(?!.*\.(u?deb|rpm|apk|pkg|t?[gx]z|zst|txt|asc|sig|img|iso)$)"
_KERNEL = re.compile(
    _PACKAGE + r"(vmlinu[xz]|bzimage|linux|kernel|unix|wimboot|memdisk|image)([-_.\d]|$)"
)
_INITRD = re.compile(r"(initrd|initramfs|boot_archive|modloop)|.*\.(initrd|cpio)(\.\w+)?$")
#: What the firmware of a Raspberry Pi reads of itself.
_PI_FIRMWARE = re.compile(r"(bootcode|recovery|pieeprom|fixup|start)\w*\.(bin|dat|elf|sig|upd)")


def stage_of(path: str, target: Target | None, registry: Registry) -> Stage:
    """What *path*, as it was asked for, is to the boot of *target* (None if nobody knows)."""
    if _OVERLAY.search(path):
        return Stage.INITRD
    own = urls.split_mac(_without_install(path))[1].lstrip("/")
    if target is not None and (found := _of_target(own, target)):
        return found
    name = own.rpartition("/")[2].lower()
    if urls.is_autoexec(own) or configfiles.parse(own) is not None:
        return Stage.SCRIPT
    if name in urls.PROGRAMS or name in urls.ALIASES or own in urls.PROGRAMS:
        return Stage.LOADER
    if _is_answer(own, path, name, registry):
        return Stage.ANSWER_FILE
    if _PI_FIRMWARE.fullmatch(name) or name.endswith(_LOADER_ENDINGS):
        return Stage.LOADER
    if _INITRD.match(name):
        return Stage.INITRD
    return Stage.KERNEL if _KERNEL.match(name) else Stage.FILES


def _without_install(path: str) -> str:
    """``install/<mac>/<path>`` is ``<mac>/install/<path>``, which says the same."""
    plain = path.lstrip("/")
    if not plain.startswith(_ANSWERS):
        return path
    mac, rest = urls.split_mac(plain.removeprefix(_ANSWERS))
    return f"{mac}/{_ANSWERS}{rest}" if mac else path


def _of_target(path: str, target: Target) -> Stage | None:
    """By what the target's script fetches; a disk that it attaches is any other file."""
    kernel, disks = getattr(target, "kernel", ""), getattr(target, "uris", ())
    for location in target.fetched:
        if _same(location, path):
            if location in disks:
                return Stage.FILES
            return Stage.INITRD if kernel and location != kernel else Stage.KERNEL
    return None


def _same(location: str, path: str) -> bool:
    """Whether *location*, as in ``Facts.url``, is *path* on our own server."""
    its = unquote(urlsplit(location).path).lstrip("/")
    return its == path or urls.split_mac(its)[1].lstrip("/") == path


def _is_answer(own: str, path: str, name: str, registry: Registry) -> bool:
    """Whether it is made from a template, or one machine alone asks for it by such a name."""
    if template_for(registry.answers, own) is not None:
        return True
    one = own != path.lstrip("/") or own.startswith((_ANSWERS, "d-i/"))
    return one and (name in _ANSWER_NAMES or name.endswith(_ANSWER_ENDINGS))
