"""
The boot programs: which names make up a set, and which set a machine's architecture is to get.

A set is one way to go on from the firmware, by architecture family (``arch.Arch.family``).  The
names of one family stand in order of preference: the first that was found is taken.  In the set
``ipxe`` that is the build that uses the firmware's own network driver, since any card the firmware
could boot from works with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from netbootd.arch import FAMILIES, Arch, arch_of
from netbootd.nearest import did_you_mean

MEMDISK = "memdisk"

#: What a machine gets that nobody chose anything for.
USUAL = "ipxe"

SETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # iPXE with the firmware's network driver, else with its own.  Names with an architecture are
    # those of Debian 13's package and of our own builds, folders those of iPXE's release.
    "ipxe": {
        "bios": ("undionly.kpxe", "ipxe.pxe"),
        "efi-ia32": ("snponly-i386.efi", "ipxe-i386.efi", "ipxeboot/i386/snponly.efi"),
        "efi-x64": ("snponly.efi", "ipxe.efi", "ipxeboot/x86_64/snponly.efi"),
        "efi-arm32": ("snponly-arm32.efi", "ipxe-arm32.efi", "ipxeboot/arm32/snponly.efi"),
        "efi-arm64": ("snponly-arm64.efi", "ipxe-arm64.efi", "ipxeboot/arm64/snponly.efi"),
        "efi-riscv32": ("snponly-riscv32.efi", "ipxe-riscv32.efi", "ipxeboot/riscv32/snponly.efi"),
        "efi-riscv64": ("snponly-riscv64.efi", "ipxe-riscv64.efi", "ipxeboot/riscv64/snponly.efi"),
        "efi-loong64": ("snponly-loong64.efi", "ipxe-loong64.efi", "ipxeboot/loong64/snponly.efi"),
    },
    # iPXE with its own drivers only, for firmware whose driver is broken.
    "ipxe-drivers": {
        "bios": ("ipxe.pxe",),
        "efi-ia32": ("ipxe-i386.efi", "ipxeboot/i386/ipxe.efi"),
        "efi-x64": ("ipxe.efi",),
        "efi-arm32": ("ipxe-arm32.efi", "ipxeboot/arm32/ipxe.efi"),
        "efi-arm64": ("ipxe-arm64.efi", "ipxeboot/arm64/ipxe.efi"),
        "efi-riscv32": ("ipxe-riscv32.efi", "ipxeboot/riscv32/ipxe.efi"),
        "efi-riscv64": ("ipxe-riscv64.efi", "ipxeboot/riscv64/ipxe.efi"),
        "efi-loong64": ("ipxe-loong64.efi", "ipxeboot/loong64/ipxe.efi"),
    },
    # Secure Boot: a shim that the firmware trusts, and the GRUB that it trusts.  Debian signs none
    # for IA32 since its 13; a shim asks for its GRUB in the folder that it came from.
    "shim-grub": {
        "efi-ia32": ("shimia32.efi",),
        "efi-x64": ("shimx64.efi",),
        "efi-arm64": ("shimaa64.efi",),
    },
    # Secure Boot with iPXE: its release (2.0 and later) as it is unpacked.  Its shim loads the
    # file of its own folder that is called like itself without "-shim"; some builds of it ipxe.efi
    # whatever it is called (ipxe/ipxe, util/gensrvimg and issue 1684).
    "shim-ipxe": {
        "efi-x64": (
            "ipxeboot/x86_64-sb/snponly-shim.efi",
            "ipxeboot/x86_64-sb/shimx64.efi",
            "snponly-shimx64.efi",
            "ipxe-shimx64.efi",
        ),
        "efi-arm64": (
            "ipxeboot/arm64-sb/snponly-shim.efi",
            "ipxeboot/arm64-sb/shimaa64.efi",
            "snponly-shimaa64.efi",
            "ipxe-shimaa64.efi",
        ),
    },
    # GRUB alone, without Secure Boot.
    "grub": {
        "efi-ia32": ("grubia32.efi",),
        "efi-x64": ("grubx64.efi",),
        "efi-arm32": ("grubarm.efi",),
        "efi-arm64": ("grubaa64.efi",),
        "efi-riscv64": ("grubriscv64.efi",),
        "efi-loong64": ("grubloongarch64.efi",),
        "openfirmware-ppc": ("core.elf",),
    },
    # For UEFI in folders of their own: the modules of each have the same names.
    "pxelinux": {
        "bios": ("lpxelinux.0", "pxelinux.0"),
        "efi-ia32": ("efi32/syslinux.efi",),
        "efi-x64": ("efi64/syslinux.efi",),
    },
}

_DEBIAN_12 = "Debian's package {}"
_TRIXIE = "'firmware/fetch-trixie' takes it from Debian 13's package ipxe"
_SIGNED = "'firmware/fetch-trixie --secure-boot' takes it from Debian 13's package {}"
_BUILD = "'firmware/build-ipxe' makes it"
_RELEASE = "unpack the ipxeboot.tar.gz of an iPXE release beside it"
#: Where a file is to be had, for whoever misses it; firmware/README.rst tells the whole story.
SOURCES: Mapping[str, str] = {
    **dict.fromkeys(
        ("undionly.kpxe", "ipxe.pxe", "snponly.efi", "ipxe.efi"), _DEBIAN_12.format("ipxe")
    ),
    **dict.fromkeys(("ipxe-arm64.efi", "ipxe-riscv64.efi", "ipxe-loong64.efi"), _TRIXIE),
    **dict.fromkeys(("snponly-i386.efi", "ipxe-i386.efi", "snponly-arm64.efi"), _BUILD),
    "shimx64.efi": _SIGNED.format("shim-signed"),
    "shimaa64.efi": "Debian's package shim-signed for arm64",
    "grubx64.efi": _SIGNED.format("grub-efi-amd64-signed"),
    "grubaa64.efi": "Debian's package grub-efi-arm64-signed for arm64",
    "grubia32.efi": "grub-mkimage of Debian's package grub-efi-ia32-bin makes it",
    "core.elf": "grub-mknetdir of Debian's package grub-ieee1275-bin makes it",
    **dict.fromkeys(("lpxelinux.0", "pxelinux.0"), _DEBIAN_12.format("pxelinux")),
    **dict.fromkeys(
        ("efi32/syslinux.efi", "efi64/syslinux.efi"), _DEBIAN_12.format("syslinux-efi")
    ),
    **dict.fromkeys(
        ("ipxeboot/x86_64-sb/snponly-shim.efi", "ipxeboot/arm64-sb/snponly-shim.efi"), _RELEASE
    ),
    MEMDISK: _DEBIAN_12.format("syslinux-common"),
}

#: Names of all programs that a set holds.
NAMES: frozenset[str] = frozenset(
    name for of in SETS.values() for names in of.values() for name in names
)
_IPXE_SETS = ("ipxe", "ipxe-drivers", "shim-ipxe")
#: Those of an iPXE.
IPXE: frozenset[str] = frozenset(
    name for word in _IPXE_SETS for of in SETS[word].values() for name in of
)
#: The same as they end a path: what comes next of one is that it asks for its script.
SCRIPTED: frozenset[str] = frozenset(name.rpartition("/")[2] for name in IPXE)


@dataclass(frozen=True, slots=True)
class Choice:
    """
    What the word ``loader`` says: the name of a set, or the name or path of a file; *usual* for all
    architectures, *by_family* for some (``efi-x64``, and ``efi-x64-http`` for HTTP boot alone).

    Both empty where nothing was chosen.
    """

    usual: str = ""
    by_family: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, arch: Arch) -> str:
        """The word for *arch*, empty if this says nothing of it; its number is said of it alone."""
        if not self.by_family:
            return self.usual
        keys = [str(arch.number), *([f"{arch.family}-http"] if arch.http else []), arch.family]
        return next((self.by_family[key] for key in keys if key in self.by_family), self.usual)

    def over(self, below: Choice) -> Choice:
        """This, and where it says nothing, *below*."""
        if self.usual or below == NO_CHOICE:
            return self
        said = self.by_family.keys()
        kept = {
            key: word for key, word in below.by_family.items() if said.isdisjoint(_covering(key))
        }
        return Choice(below.usual, MappingProxyType({**kept, **self.by_family}))

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that it holds."""
        return tuple(filter(None, (self.usual, *self.by_family.values())))

    @classmethod
    def parse(cls, value: Any) -> Choice:
        """
        Read a string, or an object of strings by family with ``default`` for the rest.

        Raises ValueError with what was wanted.
        """
        if isinstance(value, str):
            return cls(_word(value))
        if not isinstance(value, Mapping):
            raise ValueError(f"a name, or an object of names by architecture, not {value!r:.40}")
        words = {name.strip(): _word(word) for name, word in value.items()}
        usual = words.pop("default", "")
        for name in words:
            family = _family(name)
            if family not in FAMILIES and not re.fullmatch("[0-9]{1,5}", family):
                raise ValueError(f'no architecture "{name}"{did_you_mean(name, FAMILIES)}')
        return cls(usual, MappingProxyType(words))


NO_CHOICE = Choice()


def names(word: str, arch: Arch) -> tuple[str, ...]:
    """The file names that *word* of a Choice means for *arch*; none where a set has none for it."""
    chosen = SETS.get(word)
    return (word,) if chosen is None else chosen.get(arch.family, ())


def where_from(name: str) -> str:
    """Where the file *name* is to be had, in a few words; empty where nobody knows."""
    return SOURCES.get(name, "")


def origins(names: Iterable[str]) -> tuple[str, ...]:
    """``file: where it is to be had`` for *names*, each place once."""
    first: dict[str, str] = {}
    for name in names:
        if where := where_from(name):
            first.setdefault(where, name)
    return tuple(f"{name}: {where}" for where, name in first.items())


def _family(key: str) -> str:
    return key.removesuffix("-http")


def _covering(key: str) -> frozenset[str]:
    """The keys that speak of all that *key* speaks of."""
    if not key.isdecimal():
        return frozenset({key, _family(key)})
    arch = arch_of(int(key))
    return frozenset({key, arch.family, f"{arch.family}-http" if arch.http else key})


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"must name a set ({', '.join(SETS)}) or a file, not {value!r:.40}")
    word = value.strip().replace("\\", "/").strip("/")
    if any(part in ("", ".", "..") for part in word.split("/")):
        raise ValueError(f"a file below the file root, not {value!r:.40}")
    if word not in SETS and "." not in word and "/" not in word:
        raise ValueError(f'no set "{word}"{did_you_mean(word, SETS)}; a file has a dot in its name')
    return word
