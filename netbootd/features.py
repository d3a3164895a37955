"""
What an iPXE can do, by the numbers in its option 175 (ipxe/ipxe src/include/ipxe/features.h).

A build lists what was compiled in; one that lists nothing may be able to do anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import IntEnum
from urllib.parse import urlsplit


class Feature(IntEnum):
    """Those that a boot may depend on."""

    ISCSI = 0x11
    AOE = 0x12
    HTTP = 0x13
    HTTPS = 0x14
    TFTP = 0x15
    FTP = 0x16
    BZIMAGE = 0x18
    MULTIBOOT = 0x19
    SRP = 0x1B
    EFI = 0x24
    FCOE = 0x25
    VLAN = 0x26
    MENU = 0x27
    NFS = 0x29

    @property
    def word(self) -> str:
        """As iPXE's own banner has it."""
        return _WORDS.get(self, self.name)


_WORDS = {
    Feature.ISCSI: "iSCSI",
    Feature.AOE: "AoE",
    Feature.BZIMAGE: "bzImage",
    Feature.MULTIBOOT: "MBOOT",
    Feature.FCOE: "FCoE",
    Feature.MENU: "Menu",
}
_SCHEMES = {
    "http": Feature.HTTP,
    "https": Feature.HTTPS,
    "tftp": Feature.TFTP,
    "ftp": Feature.FTP,
    "nfs": Feature.NFS,
    "iscsi": Feature.ISCSI,
    "aoe": Feature.AOE,
    "fcp": Feature.FCOE,
    "ib_srp": Feature.SRP,
}


def of_urls(urls: Iterable[str]) -> frozenset[Feature]:
    """What it takes to fetch or attach *urls*; a path on our own server takes nothing special."""
    schemes = {urlsplit(url).scheme for url in urls if ":" in url}
    return frozenset(_SCHEMES[scheme] for scheme in schemes & _SCHEMES.keys())


def told(features: Collection[Feature]) -> str:
    """``iSCSI and HTTPS``."""
    return " and ".join(feature.word for feature in sorted(features))
