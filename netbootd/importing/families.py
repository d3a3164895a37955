"""
What a medium holds: a table of families.

Each row says which file marks a family, which others it needs and what they will be called, and
which function of ``systems`` makes the plan.  The first row that fits a medium counts, so special
ones stand above general ones.  A new family is a row here and a function there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from netbootd.errors import MediaError
from netbootd.importing import systems
from netbootd.importing.plan import Found, Plan
from netbootd.importing.sources import Form, Source
from netbootd.importing.tree import Tree


@dataclass(frozen=True, slots=True)
class Family:
    """
    A row: *mark* is the pattern of the path of the file called *first*; *needs* are the others by
    name, each with the places where it may be, in which ``{root}`` is what the pattern took.
    """

    first: str
    mark: re.Pattern[str]
    plan: Callable[[Found], Plan]
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
    plan = systems.memdisk(source, name) if source.form is Form.DISK else _plan(source, tree, name)
    return replace(plan, type=type_) if type_ else plan


def _plan(source: Source, tree: Tree, name: str | None) -> Plan:
    for family in FAMILIES:
        if found := family.found(source, tree, name):
            return family.plan(found)
    if source.form is Form.ISO:
        return systems.memdisk(source, name)
    raise MediaError(
        f"{source.file}: no system that is known here.  Known are Debian, Ubuntu, the Red Hat "
        "family, SmartOS, Alpine, live-boot, and images for memdisk"
    )


# -- the table -------------------------------------------------------------------------------------

_ROOT = r"(?P<root>(?:.+/)?)"

FAMILIES: tuple[Family, ...] = (
    Family(
        "unix",
        re.compile(_ROOT + r"(?P<platform>platform(?:-\w+)?)/i86pc/kernel/amd64/unix"),
        systems.smartos,
        {"boot_archive": ("{root}{platform}/i86pc/amd64/boot_archive",)},
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"casper/vmlinuz"),
        systems.ubuntu_live,
        {"initrd": ("{root}casper/initrd", "{root}casper/initrd.lz", "{root}casper/initrd.gz")},
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"live/vmlinuz(?P<version>[^/]*)"),
        systems.live,
        {
            "initrd.img": ("{root}live/initrd.img{version}", "{root}live/initrd{version}"),
            "filesystem.squashfs": ("{root}live/filesystem.squashfs",),
        },
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"boot/vmlinuz-(?P<flavour>[a-z]+)"),
        systems.alpine,
        {
            "initramfs": ("{root}boot/initramfs-{flavour}",),
            "modloop": ("{root}boot/modloop-{flavour}",),
        },
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"images/pxeboot/vmlinuz"),
        systems.red_hat,
        {"initrd.img": ("{root}images/pxeboot/initrd.img",)},
    ),
    Family(
        "linux",
        re.compile(_ROOT + r"(?P<distribution>debian|ubuntu)-installer/(?P<arch>[^/]+)/linux"),
        systems.debian,
        {"initrd.gz": ("{root}{distribution}-installer/{arch}/initrd.gz",)},
    ),
    Family(
        "linux",
        re.compile(_ROOT + r"(?P<arch>amd64|arm64|ppc64el|riscv64|s390x)/linux"),
        systems.ubuntu_netboot,
        {"initrd": ("{root}{arch}/initrd",)},
    ),
    Family(
        "linux",
        re.compile(_ROOT + r"linux"),
        systems.debian,
        {"initrd.gz": ("{root}initrd.gz",)},
    ),
    Family(
        "vmlinuz",
        re.compile(_ROOT + r"(?P<folder>install(?:\.\w+)?)/vmlinuz"),
        systems.debian_disc,
        {"initrd.gz": ("{root}{folder}/initrd.gz",)},
    ),
)
