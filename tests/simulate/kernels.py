"""The least of what firmware and iPXE take for a kernel, a loader or a disk; zeros fill the rest."""

from __future__ import annotations

import struct

_PE_AT = 0x40


def efi_program(machine: int = 0x8664, size: int = 200) -> bytes:
    """The two magic numbers of a PE program and the machine type."""
    head = b"MZ" + bytes(58) + struct.pack("<I", _PE_AT) + b"PE\0\0" + struct.pack("<H", machine)
    return head.ljust(size, b"\0")


def bzimage(size: int = 1000, efi: bool = True) -> bytes:
    """A Linux kernel as distributions build it, with an EFI stub; without one it could be memdisk."""
    setup = bytearray(efi_program(size=size) if efi else bytes(size))
    setup[0x1FE:0x206] = b"\x55\xaa\xeb\x6aHdrS"
    return bytes(setup)


def multiboot(size: int = 1000) -> bytes:
    """Magic, flags and the checksum that makes them zero, somewhere in the first 8 KiB."""
    magic, flags = 0x1BADB002, 3
    header = struct.pack("<III", magic, flags, -(magic + flags) & 0xFFFFFFFF)
    return (bytes(64) + header).ljust(size, b"\0")


def disk(size: int = 1000) -> bytes:
    """A boot sector."""
    return (bytes(510) + b"\x55\xaa").ljust(size, b"\0")
