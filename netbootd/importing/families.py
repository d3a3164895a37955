"""
What a medium holds, and what becomes of it: a table of families.

Each row says which file marks a family, which others it needs, where they go, and which function
proposes a target for them.  The first row that fits a medium counts, so special ones stand above
general ones.  A new family is a row, and a function of a few lines.

Where the rows come from: Debian's and Ubuntu's netboot archives and images, the trees that
https://docs.fedoraproject.org/en-US/fedora/latest/install-guide/advanced/Network_based_Installations/
describes, https://wiki.alpinelinux.org/wiki/PXE_boot, live-boot(7), the platform images of
https://us-central.manta.mnx.io/Joyent_Dev/public/SmartOS/smartos.html, and memdisk's page
(https://wiki.syslinux.org/wiki/index.php?title=MEMDISK).
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from netbootd.errors import MediaError
from netbootd.importing.copy import Item
from netbootd.importing.sources import Form, Source
from netbootd.importing.tree import Tree

Line: TypeAlias = tuple[str, Any] | str
"""A key of the target and its value; or a comment."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_ENDING = re.compile(r"(\.(tar|iso|img|ima|deb|tgz|txz|gz|xz|zst|bz2))+$", re.IGNORECASE)
_ARCH = re.compile(r"(?<![a-z0-9])(amd64|arm64|i386|x86_64|aarch64|ppc64el|riscv64)(?![a-z0-9])")
_STAMP = re.compile(r"\b\d{8}T\d{6}Z\b")
_SHA1_SIZE = 40  # bytes of it in hex


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What an import is going to do.

    *title* is what the medium was taken for.  *folder*, below the file root, is made of *items*;
    *lines* are the target *type*/*name*; *notes* is what its admin has to know.
    """

    title: str
    type: str
    name: str
    folder: str
    items: tuple[Item, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """
    A medium that a row fits.

    *files* are the row's own by the names they get, *groups* what its pattern took from the path.
    """

    source: Source
    tree: Tree
    files: Mapping[str, str]
    groups: Mapping[str, str]
    wanted_name: str | None

    @property
    def root(self) -> str:
        """The folder on the medium in which the system is; empty, or with a slash at its end."""
        return self.groups.get("root") or ""

    def text(self, path: str) -> str:
        """What a small file beside the system says; empty if there is none."""
        return self.tree.texts.get(self.root + path, "")

    def items(self) -> Iterator[Item]:
        """The row's own files."""
        for name, path in self.files.items():
            yield self.item(name, path)

    def item(self, name: str, path: str) -> Item:
        """*path* of the medium, to be called *name*."""
        node = self.tree.file(path)
        if node is None:
            raise MediaError(f"{path} leads nowhere on the medium")
        return Item(name, node.size, node.number)

    def items_below(self, folder: str, into: str = "") -> Iterator[Item]:
        """All that is below *folder* of the medium; a link to no file of the medium is left out."""
        for path in self.tree.below(folder.rstrip("/")):
            if node := self.tree.file(f"{folder}{path}"):
                yield Item(into + path, node.size, node.number)

    def name(self, *parts: str) -> str:
        """What was asked for; else *parts* joined, where they are known; else after the file."""
        if self.wanted_name is not None:
            return self.wanted_name
        known = [part for part in parts if part]
        return slug("-".join(known) if len(known) > 1 else _ENDING.sub("", self.source.file.name))


def slug(text: str) -> str:
    """*text* as the name of a target and a folder, fit for a URL."""
    name = re.sub(r"[^A-Za-z0-9._+]+", "-", text).strip("-._+")[:64]
    return name or "system"


def checked_name(text: str) -> str:
    """A name that was typed; raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name: letters, digits and . _ + -, at most 64")
    return text


@dataclass(frozen=True, slots=True)
class Family:
    """
    A row: *mark* is the pattern of the path of the file called *first*; *needs* are the others by
    name, each with the places where it may be, in which ``{root}`` is what the pattern took.
    """

    first: str
    mark: re.Pattern[str]
    propose: Callable[[Found], Plan]
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def found(self, source: Source, tree: Tree, name: str | None) -> Found | None:
        """The medium as this family sees it; None where it is another's."""
        matches = (self.mark.fullmatch(path) for path in tree.nodes)
        for match in sorted(filter(None, matches), key=_preference):
            groups = {key: value or "" for key, value in match.groupdict().items()}
            files = {self.first: match[0]} | self._needed(tree, groups)
            if len(files) > len(self.needs) and tree.file(match[0]):
                return Found(source, tree, files, groups, name)
        return None

    def _needed(self, tree: Tree, groups: Mapping[str, str]) -> dict[str, str]:
        found = {}
        for name, places in self.needs.items():
            paths = (place.format(**groups) for place in places)
            if path := next((path for path in paths if tree.file(path)), None):
                found[name] = path
        return found


def _preference(match: re.Match[str]) -> tuple[bool, int, str]:
    """Of several: 64 bits, no graphics, then the shortest path."""
    return bool(re.search(r"gtk|xen|386", match[0])), len(match[0]), match[0]


def recognise(source: Source, tree: Tree, name: str | None, type_: str | None) -> Plan:
    """What to do with a medium; *name* and *type_* replace what would be proposed."""
    plan = _memdisk(source, name) if source.form is Form.DISK else _plan(source, tree, name)
    return replace(plan, type=type_) if type_ else plan


def _plan(source: Source, tree: Tree, name: str | None) -> Plan:
    for family in FAMILIES:
        if found := family.found(source, tree, name):
            return family.propose(found)
    if source.form is Form.ISO:
        return _memdisk(source, name)
    raise MediaError(
        f"{source.file}: no system that is known here.  Known are Debian, Ubuntu, the Red Hat "
        "family, SmartOS, Alpine, live-boot, and images for memdisk"
    )


# -- proposals -------------------------------------------------------------------------------------


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


def _debian(found: Found) -> Plan:
    system, version, arch = _identity(found)
    name = found.name(system, version, found.groups.get("arch") or arch)
    return _below_images(
        name,
        tuple(found.files),
        found.items(),
        ("os", f"{system} {version}".strip()),
        *_answer_hint("a preseed file", f"install/{name}/preseed.cfg"),
        title=_title(system.capitalize(), version, "installer for network boot"),
    )


def _debian_disc(found: Found) -> Plan:
    plan = _debian(found)
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


def _ubuntu_live(found: Found) -> Plan:
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


def _ubuntu_netboot(found: Found) -> Plan:
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


_RED_HAT = {
    "Red Hat Enterprise Linux": "rhel",
    "CentOS": "centos",
    "Rocky Linux": "rocky",
    "AlmaLinux": "almalinux",
    "Oracle Linux": "oracle",
    "Fedora": "fedora",
}
_PACKAGES = re.compile(r"(.*/)?repodata/repomd\.xml")
#: What the installer needs of a medium that has no packages.
_RUNTIME = re.compile(r"images/.*|LiveOS/.*|\.treeinfo|\.discinfo")


def _red_hat(found: Found) -> Plan:
    family, version, arch = _tree_identity(found.text(".treeinfo"))
    short = next((short for long, short in _RED_HAT.items() if family.startswith(long)), "rhel")
    name = found.name(slug(family).lower() if short in ("centos", "rhel") else short, version, arch)
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
        ("os", f"{short} {version}".strip()),
        *lines,
        *_answer_hint("a kickstart file", f"install/{name}/node.ks"),
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


def _smartos(found: Found) -> Plan:
    stamp = _stamp(found)
    platform = found.files["unix"].removesuffix("i86pc/kernel/amd64/unix")
    items = [*found.items_below(f"{platform}i86pc/", "platform/i86pc/")]
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


def _alpine(found: Found) -> Plan:
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


def _live(found: Found) -> Plan:
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


def _memdisk(source: Source, name: str | None) -> Plan:
    name = name or slug(_ENDING.sub("", source.file.name))
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
    return f"{system}{' ' if version else ''}{version}, {what}"


# -- the table -------------------------------------------------------------------------------------

_ROOT = r"(?P<root>(?:.+/)?)"

FAMILIES: tuple[Family, ...] = (
    Family(
        "unix",
        re.compile(_ROOT + r"platform(?:-\w+)?/i86pc/kernel/amd64/unix"),
        _smartos,
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"casper/vmlinuz"),
        _ubuntu_live,
        {"initrd": ("{root}casper/initrd", "{root}casper/initrd.lz", "{root}casper/initrd.gz")},
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"live/vmlinuz(?P<version>[^/]*)"),
        _live,
        {
            "initrd.img": ("{root}live/initrd.img{version}", "{root}live/initrd{version}"),
            "filesystem.squashfs": ("{root}live/filesystem.squashfs",),
        },
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"boot/vmlinuz-(?P<flavour>[a-z]+)"),
        _alpine,
        {
            "initramfs": ("{root}boot/initramfs-{flavour}",),
            "modloop": ("{root}boot/modloop-{flavour}",),
        },
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"images/pxeboot/vmlinuz"),
        _red_hat,
        {"initrd.img": ("{root}images/pxeboot/initrd.img",)},
    ),
    Family(
        "linux",
        re.compile(_ROOT + r"(?P<distribution>debian|ubuntu)-installer/(?P<arch>[^/]+)/linux"),
        _debian,
        {"initrd.gz": ("{root}{distribution}-installer/{arch}/initrd.gz",)},
    ),
    Family(
        "linux",
        re.compile(_ROOT + r"(?P<arch>amd64|arm64|ppc64el|riscv64|s390x)/linux"),
        _ubuntu_netboot,
        {"initrd": ("{root}{arch}/initrd",)},
    ),
    Family(
        "linux",
        re.compile(_ROOT + r"linux"),
        _debian,
        {"initrd.gz": ("{root}initrd.gz",)},
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"(?P<folder>install(?:\.\w+)?)/vmlinuz"),
        _debian_disc,
        {"initrd.gz": ("{root}{folder}/initrd.gz",)},
    ),
)
