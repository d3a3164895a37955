"""
The boot programs: which names make up a set, and which set a machine's architecture is to get.

A set is one way to go on from the firmware, by architecture family (``arch.Arch.family``).  The
names of one family stand in order of preference: the first that was found is taken.  In the set
``ipxe`` that is the build that uses the firmware's own network driver, since any card the firmware
could boot from works with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from netbootd.arch import FAMILIES, Arch
from netbootd.nearest import did_you_mean

MEMDISK = "memdisk"

#: What a machine gets that nobody chose anything for.
USUAL = "ipxe"

SETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # iPXE with the firmware's network driver, else with its own.
    "ipxe": {
        "bios": ("undionly.kpxe", "ipxe.pxe"),
        "efi-ia32": ("snponly-i386.efi", "ipxe-i386.efi"),
        "efi-x64": ("snponly.efi", "ipxe.efi"),
        "efi-arm32": ("snponly-arm32.efi", "ipxe-arm32.efi"),
        "efi-arm64": ("snponly-arm64.efi", "ipxe-arm64.efi"),
        "efi-riscv64": ("snponly-riscv64.efi", "ipxe-riscv64.efi"),
        "efi-loong64": ("snponly-loong64.efi", "ipxe-loong64.efi"),
    },
    # iPXE with its own drivers only, for firmware whose driver is broken.
    "ipxe-drivers": {
        "bios": ("ipxe.pxe",),
        "efi-ia32": ("ipxe-i386.efi",),
        "efi-x64": ("ipxe.efi",),
        "efi-arm32": ("ipxe-arm32.efi",),
        "efi-arm64": ("ipxe-arm64.efi",),
        "efi-riscv64": ("ipxe-riscv64.efi",),
        "efi-loong64": ("ipxe-loong64.efi",),
    },
    # Secure Boot: a shim that the firmware trusts, and the GRUB that it trusts.
    "shim-grub": {
        "efi-ia32": ("shimia32.efi",),
        "efi-x64": ("shimx64.efi",),
        "efi-arm64": ("shimaa64.efi",),
    },
    # Secure Boot with iPXE: a signed shim made for it (iPXE 2.0), put there by the admin.
    "shim-ipxe": {
        "efi-x64": ("ipxe-shimx64.efi",),
        "efi-arm64": ("ipxe-shimaa64.efi",),
    },
    # GRUB alone, without Secure Boot.
    "grub": {
        "efi-ia32": ("grubia32.efi",),
        "efi-x64": ("grubx64.efi",),
        "efi-arm64": ("grubaa64.efi",),
        "openfirmware-ppc": ("core.elf",),
    },
    "pxelinux": {
        "bios": ("lpxelinux.0", "pxelinux.0"),
        "efi-ia32": ("syslinux-ia32.efi",),
        "efi-x64": ("syslinux.efi",),
    },
}

#: Names of all programs that a set holds.
NAMES: frozenset[str] = frozenset(
    name for of in SETS.values() for names in of.values() for name in names
)


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
        """The word for *arch*, empty if this says nothing of it."""
        by_http = self.by_family.get(f"{arch.family}-http", "") if arch.http else ""
        return by_http or self.by_family.get(arch.family, "") or self.usual

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
            family = name.removesuffix("-http")
            if family not in FAMILIES and not family.isdecimal():
                raise ValueError(f'no architecture "{name}"{did_you_mean(name, FAMILIES)}')
        return cls(usual, MappingProxyType(words))


NO_CHOICE = Choice()


def names(word: str, arch: Arch) -> tuple[str, ...]:
    """The file names that *word* of a Choice means for *arch*; none where a set has none for it."""
    chosen = SETS.get(word)
    return (word,) if chosen is None else chosen.get(arch.family, ())


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"must name a set ({', '.join(SETS)}) or a file, not {value!r:.40}")
    word = value.strip()
    if word not in SETS and "." not in word and "/" not in word:
        raise ValueError(f'no set "{word}"{did_you_mean(word, SETS)}; a file has a dot in its name')
    return word
