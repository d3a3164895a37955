"""
For each system the plan to boot it: which of its files are wanted, and the target that boots them.

What the installers and live systems want to be told is in the README files beside their netboot
images, in Anaconda's and subiquity's documentation, in live-boot(7) and on
https://wiki.alpinelinux.org/wiki/PXE_boot; for memdisk on
https://wiki.syslinux.org/wiki/index.php?title=MEMDISK.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from netbootd.errors import MediaError
from netbootd.importing.copy import Item
from netbootd.importing.plan import Found, Line, Plan, named_after, slug
from netbootd.importing.sources import Form, Source
from netbootd.printable import printable

_ARCH = re.compile(r"(?<![a-z0-9])(amd64|arm64|i386|x86_64|aarch64|ppc64el|riscv64)(?![a-z0-9])")
_STAMP = re.compile(r"\b\d{8}T\d{6}Z\b")
_SHA1_SIZE = 40  # bytes of it in hex


def _below_images(
    name: str, boots: Sequence[str], items: Iterable[Item], *lines: Line, **more: Any
) -> Plan:
    """A Linux in ``images/NAME``; *boots* is its kernel, then its initrd."""
    folder = f"images/{name}"
    kernel, initrd = (f"{folder}/{path}" for path in boots)
    return Plan(
        name=name,
        folder=folder,
        items=tuple(items),
        lines=(("kernel", kernel), ("initrd", initrd), *lines),
        **{"type": "install", **more},
    )


def _answer_hint(what: str, path: str) -> tuple[Line, ...]:
    return (
        f"For an unattended install, {what} below the file root:",
        f'"answer" : "{path}",',
    )


_LOG_HINT = ('To have its log in "netbootd logs MAC":', '"send_logs" : true,')


def debian(found: Found) -> Plan:
    system, version, arch = _identity(found)
    name = found.name(system, version, found.groups.get("arch") or arch)
    installer = f"debian {version}".strip() if system == "debian" else "debian"
    return _below_images(
        name,
        tuple(found.files),
        found.items(),
        ("os", installer),
        *_answer_hint("a preseed file", f"install/{name}/preseed.cfg"),
        *_LOG_HINT,
        title=_title(system.capitalize(), version, "installer for network boot"),
    )


def debian_disc(found: Found) -> Plan:
    plan = debian(found)
    note = (
        "This is the installer of a disc: it boots, and then asks for that disc.  To install over "
        "the network, import debian-installer-*-netboot-*.deb or netboot.tar.gz instead."
    )
    title = plan.title.replace("for network boot", "of a disc")
    return replace(plan, title=title, notes=(note,))


def _identity(found: Found) -> tuple[str, str, str]:
    """System, version and architecture of Debian and what descends from it; empty if unknown."""
    info = found.text(".disk/info") or found.text(".disk/mini-info")
    if match := re.match(r"([A-Za-z]+)\D*?\s(\d+(?:\.\d+)*)", info):
        arch = _ARCH.search(info)
        return match[1].lower(), match[2], arch[1] if arch else ""
    system = found.groups.get("distribution") or "debian"
    version = re.search(r"version:\s*(\d+(?:\.\d+)*)", found.text("version.info"))
    return system, version[1] if version else "", ""


_CASPER = "root=/dev/ram0 ramdisk_size=1500000 ip=dhcp {url} cloud-config-url=/dev/null"
"""Subiquity's netboot guide; without the last, cloud-init would fetch the ISO of url= as well."""


def ubuntu_live(found: Found) -> Plan:
    if found.source.form is not Form.ISO:
        raise MediaError("Ubuntu's installer fetches its whole ISO when it runs: import the .iso")
    _, version, arch = _identity(found)
    name = found.name("ubuntu", version, arch)
    iso = f"{name}.iso"
    return _ubuntu(
        found,
        name,
        version,
        f"url=__base__/images/{name}/{iso}",
        Item(iso, found.source.size),
        title=_title("Ubuntu", version, "live installer"),
    )


def ubuntu_netboot(found: Found) -> Plan:
    arch = found.groups["arch"]
    match = re.search(r"\d\d\.\d\d(\.\d+)?", found.source.file.name)
    version = match[0] if match else ""
    shipped = re.search(r"\burl=\S+", found.text(f"{arch}/pxelinux.cfg/default"))
    return _ubuntu(
        found,
        found.name("ubuntu", version, arch),
        version,
        shipped[0] if shipped else "url=https://releases.ubuntu.com/NAME-OF-THE-ISO",
        title=_title("Ubuntu", version, "installer for network boot"),
    )


def _ubuntu(found: Found, name: str, version: str, url: str, *more: Item, title: str) -> Plan:
    return _below_images(
        name,
        tuple(found.files),
        (*found.items(), *more),
        ("os", f"ubuntu {version}".strip()),
        "The node fetches the ISO into memory, and needs more than twice its size.",
        ("boot_args", _CASPER.format(url=url)),
        *_answer_hint("a folder with user-data and meta-data", f"install/{name}"),
        title=title,
    )


#: What a family is called in the name of its target; "os" is the first word of that.
_RED_HAT = {
    "Red Hat Enterprise Linux": "rhel",
    "CentOS Stream": "centos-stream",
    "CentOS": "centos",
    "Rocky Linux": "rocky",
    "AlmaLinux": "almalinux",
    "Oracle Linux": "oracle",
    "Fedora": "fedora",
}
_PACKAGES = re.compile(r"(.*/)?repodata/repomd\.xml")
#: What the installer needs of a medium that has no packages.
_RUNTIME = re.compile(r"images/.*|LiveOS/.*|\.treeinfo|\.discinfo")


def red_hat(found: Found) -> Plan:
    family, version, arch = _tree_identity(found.text(".treeinfo"))
    short = next((short for long, short in _RED_HAT.items() if family.startswith(long)), None)
    name = found.name(short or slug(family).lower(), version, arch)
    where = f"__base__/images/{name}"
    items = tuple(found.items_below(found.root))
    complete = any(_PACKAGES.fullmatch(item.path) for item in items)
    if complete:
        legacy = version.split(".")[0] in ("5", "6")
        lines: tuple[Line, ...] = (("boot_args", f"{'method' if legacy else 'inst.repo'}={where}"),)
    else:
        items = tuple(item for item in items if _RUNTIME.fullmatch(item.path))
        lines = (
            "This medium has no packages: add inst.repo= with a mirror that has them.",
            ("boot_args", f"inst.stage2={where}"),
        )
    return _below_images(
        name,
        ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"),
        items,
        ("os", f"{(short or 'rhel').partition('-')[0]} {version}".strip()),
        *lines,
        *_answer_hint("a kickstart file", f"install/{name}/node.ks"),
        *_LOG_HINT,
        title=_title(family, version, f"{'with' if complete else 'without'} its packages"),
    )


def _tree_identity(treeinfo: str) -> tuple[str, str, str]:
    """Family, version and architecture (https://release-engineering.github.io/productmd/)."""
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parsed.read_string(treeinfo)
    except configparser.Error:
        return "Red Hat family", "", ""
    family, version, arch = (
        parsed.get("general", key, fallback="") for key in ("family", "version", "arch")
    )
    return family or "Red Hat family", version, arch


def smartos(found: Found) -> Plan:
    stamp = _stamp(found)
    folder = f"{found.root}{found.groups['platform']}/i86pc/"
    items = [*found.items_below(folder, "platform/i86pc/")]
    archive = "platform/i86pc/amd64/boot_archive"
    notes = []
    if not any(item.path == f"{archive}.hash" for item in items):
        items.append(Item(f"{archive}.hash", _SHA1_SIZE, digest=archive))
        notes.append("The medium has no boot_archive.hash: it is made of what is copied.")
    return Plan(
        title=f"SmartOS platform {stamp}",
        type="smartos",
        name=found.wanted_name or stamp,
        folder=f"os/{stamp}",
        items=tuple(items),
        lines=(
            "Under UEFI this kernel needs an iPXE that knows multiboot2: Triton's.",
            ("platform", stamp),
        ),
        notes=tuple(notes),
        remedy="Remove that folder",  # it is called after the stamp, whatever the target's name
    )


def _stamp(found: Found) -> str:
    """The platform's own time: in its path, in the volume's name or in the file's."""
    texts = (found.files["unix"], found.source.label, found.source.file.name)
    stamp = next((match[0] for text in texts if (match := _STAMP.search(text))), None)
    if stamp is None:
        raise MediaError(
            "the platform's stamp, such as 20240104T000000Z, is neither in the name of a folder "
            "nor in that of the file: name the file after it"
        )
    return stamp


def alpine(found: Found) -> Plan:
    told = found.text(".alpine-release") or found.source.file.name
    match, arch = re.search(r"\d+\.\d+(\.\d+)?", told), _ARCH.search(found.source.file.name)
    version = match[0] if match else ""
    name = found.name("alpine", version, arch[1] if arch else "")
    branch = f"v{'.'.join(version.split('.')[:2])}" if version else "latest-stable"
    note = "An ISO's initramfs may know no network; Alpine's netboot archive is made for it."
    return _below_images(
        name,
        ("vmlinuz", "initramfs"),
        found.items(),
        ("image", f"images/{name}/modloop"),
        ("initramfs", "alpine"),
        "Or a mirror of your own.",
        ("boot_args", f"alpine_repo=http://dl-cdn.alpinelinux.org/alpine/{branch}/main"),
        title=_title("Alpine Linux", version, "in memory"),
        type="ramroot",
        notes=(note,) if found.source.form is Form.ISO else (),
    )


def live(found: Found) -> Plan:
    system, version, arch = _identity(found)
    name = found.name(system, version, arch, "live" if version else "")
    return _below_images(
        name,
        ("vmlinuz", "initrd.img"),
        found.items(),
        ("image", f"images/{name}/filesystem.squashfs"),
        ("initramfs", "live-boot"),
        title=_title(system.capitalize(), version, "live system"),
        type="ramroot",
    )


def memdisk(source: Source, name: str | None) -> Plan:
    name = name or named_after(source)
    is_disc = source.form is Form.ISO
    image = f"{name}.iso" if is_disc else slug(source.file.name)
    notes = ["memdisk needs legacy BIOS, and holds the image in the node's memory."]
    if is_disc:
        notes.append(
            "No system that is known here is on this ISO.  Under memdisk only one runs that reads "
            "its disc through the BIOS, such as a DOS with a firmware update."
        )
    folder = f"{'images' if is_disc else 'biosupdate'}/{name}"
    return Plan(
        title=f"{source.form.value} for memdisk",
        type="memdisk" if is_disc else "biosupdate",
        name=name,
        folder=folder,
        items=(Item(image, source.size),),
        lines=(("initrd", f"{folder}/{image}"),),
        notes=tuple(notes),
    )


def _title(system: str, version: str, what: str) -> str:
    return printable(f"{system}{' ' if version else ''}{version}, {what}")
