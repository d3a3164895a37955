"""Boot programs of a few bytes that are what they look like, as far as anybody looks."""

from __future__ import annotations

import struct

X64, IA32, ARM64 = 0x8664, 0x014C, 0xAA64
NAME = b"\x06\x03\x55\x04\x03\x0c"  # commonName, as a UTF8String


def pe(machine: int = X64, inside: bytes = b"", sbat: bytes = b"", signer: str = "") -> bytes:
    """A PE file with *inside* in a section of data, *sbat* in its own, signed by *signer* if any."""
    sections = [(b".data", inside), *([(b".sbat", sbat)] if sbat else [])]
    optional_size = 240
    header = 64 + 24 + optional_size + 40 * len(sections)
    body, table, at = b"", b"", header
    for name, data in sections:
        table += struct.pack("<8sIIII16x", name, len(data), 0x1000, len(data), at)
        body, at = body + data, at + len(data)
    certificate = b""
    if signer:
        text = NAME + bytes((len(signer),)) + signer.encode()
        certificate = struct.pack("<IHH", 8 + len(text), 0x0200, 2) + text
    optional = bytearray(optional_size)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<II", optional, 112 + 8 * 4, at if signer else 0, len(certificate))
    dos = b"MZ" + bytes(0x3A) + struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", machine, len(sections), 0, 0, 0, optional_size, 0)
    return dos + coff + bytes(optional) + table + body + certificate


def ipxe(machine: int = X64, version: str = "1.21.1+git", script: str = "") -> bytes:
    """An iPXE for UEFI."""
    return pe(machine, b"\0User-Agent\0iPXE/%s\0" + version.encode() + b"\0" + script.encode())


_SBAT = "sbat,1,SBAT Version,sbat,1,https://example.net\ngrub.debian,4,Debian,grub2,{},https://e\n"


def grub(version: str) -> bytes:
    """A GRUB as Debian builds it."""
    return pe(inside=b"\0GNU GRUB  version %s\0", sbat=_SBAT.format(version).encode())
