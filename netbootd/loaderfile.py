"""
What a boot program is, read from its own bytes: for which machine, what version, signed or not.

Pure, and made for files that anybody may have put there: what cannot be read is unknown, never an
error.  PE by Microsoft's "PE Format"; SBAT by rhboot/shim's SBAT.md.

The builds of iPXE for BIOS are compressed: their version and their brand are not to be seen.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

_PE_POINTER = 0x3C
_PE32, _PE32_PLUS = 0x10B, 0x20B
_DIRECTORIES = {_PE32: 96, _PE32_PLUS: 112}  # where they begin in the optional header
_CERTIFICATES = 4  # the row of the directories
_SECTION = 40
_MOST_SECTIONS = 96  # what the loader of Windows takes
_SIGNATURE_HEAD = 8
_PKCS7 = 0x0002  # WIN_CERT_TYPE_PKCS_SIGNED_DATA

#: The architecture families by the machine field of a PE file.
MACHINES: Mapping[int, str] = {
    0x014C: "efi-ia32",
    0x8664: "efi-x64",
    0x01C2: "efi-arm32",
    0x01C0: "efi-arm32",
    0xAA64: "efi-arm64",
    0x0200: "efi-ia64",
    0x5032: "efi-riscv32",
    0x5064: "efi-riscv64",
    0x5128: "efi-riscv128",
    0x6232: "efi-loong32",
    0x6264: "efi-loong64",
    0x0EBC: "efi-ebc",
}


class Format(Enum):
    """How the firmware takes it."""

    PE = "UEFI program"
    ELF = "ELF"
    SCRIPT = "iPXE script"
    RAW = "BIOS program"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderFile:
    """
    *family* is an architecture family, empty where the file does not say it.  *product* and
    *version* are empty where unknown.  *cut*: its end is missing.  *signed*: it bears a signature,
    good or not, and *signers* are the names in its certificates, the issuers' among them.  *brand*
    is the user class that an iPXE takes by its own script.  *sbat* are the lines by which a shim
    can revoke it.
    """

    format: Format
    family: str = ""
    product: str = ""
    version: str = ""
    cut: bool = False
    signed: bool = False
    signers: tuple[str, ...] = ()
    brand: str = ""
    sbat: tuple[str, ...] = ()


def inspect(data: bytes) -> LoaderFile:
    """What *data*, a whole file, says of itself."""
    if data.startswith(b"#!ipxe"):
        return LoaderFile(format=Format.SCRIPT)
    if data.startswith(b"\x7fELF"):
        product, version = _product(data, ())
        return LoaderFile(format=Format.ELF, product=product, version=version)
    image = _Image.of(data)
    sbat = image.sbat() if image else ()
    product, version = _product(data, sbat)
    certificates = image.certificates() if image else b""
    return LoaderFile(
        format=Format.PE if image else Format.RAW,
        family=MACHINES.get(image.machine, "") if image else "bios",
        product=product,
        version=version,
        cut=image is not None and image.end() > len(data),
        signed=bool(certificates),
        signers=_names(certificates),
        brand=_brand(data),
        sbat=sbat,
    )


def lacks_command(data: bytes, command: str) -> bool:
    """
    Whether *data* is an iPXE that can be seen to have no *command*, nor a scheme of URLs that is
    called so; a compressed one cannot.
    """
    return _EVERY_IPXE_HAS in data and b"\0%s\0" % command.encode() not in data


def certificate_table(head: bytes) -> tuple[int, int] | None:
    """
    Offset and size of the signatures in the PE file that begins with *head*, (0, 0) for none.

    None if it is no PE file.
    """
    image = _Image.of(head)
    return image.table() if image else None


def signers(table: bytes) -> tuple[str, ...] | None:
    """The names in all signatures of a certificate table; None if there is no signature."""
    names: dict[str, None] = {}
    signatures, at = 0, 0
    while signature := _signature(table, at):
        signatures += 1
        names.update(dict.fromkeys(_names(signature)))
        at += -(-(len(signature) + _SIGNATURE_HEAD) // 8) * 8  # each begins at a multiple of eight
    return tuple(names) if signatures else None


def _signature(table: bytes, at: int = 0) -> bytes:
    """The one at *at*, empty for none."""
    try:
        length, _, kind = struct.unpack_from("<IHH", table, at)
    except struct.error:
        return b""
    good = kind == _PKCS7 and _SIGNATURE_HEAD < length <= len(table) - at
    return table[at + _SIGNATURE_HEAD : at + length] if good else b""


@dataclass(frozen=True, slots=True)
class _Image:
    """A PE file: its *machine*, and where its optional header and its sections begin."""

    data: bytes
    machine: int
    optional: int
    sections: int
    count: int

    @classmethod
    def of(cls, data: bytes) -> _Image | None:
        try:
            (start,) = struct.unpack_from("<I", data, _PE_POINTER)
            if not data.startswith(b"MZ") or data[start : start + 4] != b"PE\0\0":
                return None
            machine, count = struct.unpack_from("<HH", data, start + 4)
            (size,) = struct.unpack_from("<H", data, start + 20)
        except struct.error:
            return None
        return cls(data, machine, start + 24, start + 24 + size, min(count, _MOST_SECTIONS))

    def table(self) -> tuple[int, int]:
        """Offset and size of the certificate table, (0, 0) for none."""
        try:
            (magic,) = struct.unpack_from("<H", self.data, self.optional)
            row = self.optional + _DIRECTORIES.get(magic, 1 << 40) + 8 * _CERTIFICATES
            offset, size = struct.unpack_from("<II", self.data, row)
        except (struct.error, OverflowError):
            return 0, 0
        return (offset, size) if size else (0, 0)

    def certificates(self) -> bytes:
        """The first PKCS #7 signature of the certificate table, empty for none."""
        offset, size = self.table()
        return _signature(self.data[offset : offset + size])

    def parts(self) -> Iterator[tuple[bytes, int, int, int]]:
        """Of each section its name, and its size in memory, its size and its offset in the file."""
        for number in range(self.count):
            try:
                name, size, _, raw, start = struct.unpack_from(
                    "<8sIIII", self.data, self.sections + _SECTION * number
                )
            except struct.error:
                return
            yield name.rstrip(b"\0"), size, raw, start

    def end(self) -> int:
        """How long the file must be to hold all that it says it has."""
        return max(sum(self.table()), *(raw + start for _, _, raw, start in self.parts()), 0)

    def sbat(self) -> tuple[str, ...]:
        for name, size, raw, start in self.parts():
            if name == b".sbat":
                text = self.data[start : start + min(size, raw)].rstrip(b"\0")
                return tuple(text.decode("utf-8", "replace").splitlines()[:20])
        return ()


_VERSIONS = (
    ("PXELINUX", re.compile(rb"PXELINUX ([0-9][\x21-\x7e]{0,40} [A-Za-z]+)")),
    ("SYSLINUX", re.compile(rb"Syslinux ([0-9][\x21-\x7e]{0,40}) \(EFI")),
    ("MEMDISK", re.compile(rb"MEMDISK ([0-9][\x21-\x7e]{0,40})")),
    ("wimboot", re.compile(rb"wimboot v([0-9][\x21-\x7e]{0,40})")),
    ("shim", re.compile(rb"UEFI SHIM\n\$Version: ([0-9][\x21-\x7e]{0,40}) \$")),
)
#: A whole string that looks like a version.
_OF_IPXE = re.compile(rb"\0v?([0-9]+\.[0-9]+(?:\.[0-9]+)?[+~\w.()-]{0,60})\0")
_OF_GRUB = re.compile(rb"\0([0-9]+\.[0-9]+[+~\w.-]{0,60})\0")
#: A command that no build leaves out (ipxe/ipxe src/hci/commands/ifmgmt_cmd.c).
_EVERY_IPXE_HAS = b"\0ifstat\0"
#: What the decompressor of an iPXE for BIOS says (ipxe/ipxe src/arch/x86/prefix/pxeprefix.S).
_PXE_PREFIX = b"free base memory after PXE unload"


def _product(data: bytes, sbat: tuple[str, ...]) -> tuple[str, str]:
    """What it is, and its version; each empty where it does not say it."""
    if b"iPXE/%s" in data or b"ipxe.org" in data:
        found = _OF_IPXE.search(data)
        return "iPXE", found[1].decode() if found else _of_sbat(sbat, "ipxe")
    if _PXE_PREFIX in data:
        return "iPXE (compressed)", ""
    for product, pattern in _VERSIONS:
        if found := pattern.search(data):
            return product, _of_sbat(sbat, product.lower()) or found[1].decode()
    if b"GNU GRUB  version" in data:
        found = _OF_GRUB.search(data)
        return "GRUB", _of_sbat(sbat, "grub") or (found[1].decode() if found else "")
    for product in ("shim", "grub", "ipxe"):
        if version := _of_sbat(sbat, product):
            return product, version
    return "", ""


def _of_sbat(sbat: tuple[str, ...], component: str) -> str:
    """The version of the most special row of *component*: that of whoever built it."""
    rows = [line.split(",") for line in sbat]
    versions = [row[4] for row in rows if len(row) > 4 and row[0].partition(".")[0] == component]
    return versions[-1] if versions else ""


_BRAND = re.compile(rb"\n[ \t]*set[ \t]+user-class[ \t]+([\x21-\x7e]{1,32})")


def _brand(data: bytes) -> str:
    start = data.find(b"#!ipxe")
    found = _BRAND.search(data, start, start + 65536) if start >= 0 else None
    return found[1].decode() if found else ""


#: The object identifier 2.5.4.3 (commonName, RFC 5280) and the kinds of string it is written in.
_COMMON_NAME = b"\x06\x03\x55\x04\x03"
_STRINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}


def _names(certificates: bytes) -> tuple[str, ...]:
    """
    Every commonName in a signature, in the order of their coming, each once.

    Not verified: it tells a person whose signature is meant, and decides nothing.
    """
    found: dict[str, None] = {}
    at = certificates.find(_COMMON_NAME)
    while at >= 0:
        start = at + len(_COMMON_NAME)
        if start + 2 <= len(certificates):
            kind, size = certificates[start], certificates[start + 1]
            text = certificates[start + 2 : start + 2 + size]
            if kind in _STRINGS and size < 0x80 and len(text) == size:
                found.setdefault(text.decode(_STRINGS[kind], "replace"))
        at = certificates.find(_COMMON_NAME, start)
    return tuple(found)
