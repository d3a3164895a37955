"""
What a file is, by its first bytes, and who can start it.

Sources: the PE format of Microsoft, sections 2 and 3.3.1; Linux, Documentation/arch/x86/boot.rst
(memdisk has the same header); Multiboot 0.6.96, section 3.1; ECMA-119 for CD images.  iPXE under
legacy BIOS also takes any small file as a network boot program, since these have no mark: here
that counts as an error, which it nearly always is.
"""

from __future__ import annotations

import struct

from netbootd.arch import Arch
from netbootd.errors import NetbootdError

#: Machine type in a PE header, by iPXE's name of the processor.
_PE_MACHINES = {
    "x86_64": 0x8664,
    "i386": 0x14C,
    "arm64": 0xAA64,
    "arm32": 0x1C2,
    "riscv64": 0x5064,
    "loong64": 0x6264,
}
_MULTIBOOT_MAGIC = 0x1BADB002
_MULTIBOOT_AREA = 8192
_BOOT_SECTOR = b"\x55\xaa"


class WrongFormat(NetbootdError):
    """Whoever is to start this file cannot; the text says what it is instead."""


def is_script(head: bytes) -> bool:
    """Whether iPXE would read it as a script."""
    return head.startswith(b"#!ipxe")


def loader(head: bytes, arch: Arch) -> str:
    """What a loader is, for the firmware of *arch*; raises WrongFormat."""
    if arch.efi:
        return _efi_program(head, arch)
    if not head:
        raise WrongFormat("it is empty")
    return "a network boot program, which has no mark of its own"


def kernel(head: bytes, arch: Arch) -> str:
    """What a kernel is, for an iPXE on *arch*; raises WrongFormat for what it cannot start."""
    if is_script(head):
        return "an iPXE script"
    if arch.efi:
        return _efi_program(head, arch)
    if is_linux(head):
        return "a Linux kernel, or memdisk (bzImage)"
    if _is_multiboot(head):
        return "a multiboot kernel"
    wanted = "a Linux kernel (bzImage), memdisk, a multiboot kernel or an iPXE script"
    raise WrongFormat(f"{_found(head)}, and iPXE under BIOS starts {wanted}")


def kernel_for(head: bytes, arch: Arch, who: str) -> str:
    """What a kernel is, for a loader on *arch* called *who*; raises WrongFormat."""
    if arch.efi:
        return _efi_program(head, arch)
    if arch.platform != "pcbios":
        return image(head)
    if is_linux(head):
        return "a Linux kernel, or memdisk (bzImage)"
    raise WrongFormat(f"{_found(head)}, and {who} starts a Linux kernel (bzImage) or memdisk")


def image(head: bytes) -> str:
    """What a kernel is, for boards whose firmware knows formats of its own; raises WrongFormat."""
    if head[0x38:0x3C] == b"ARM\x64":  # Linux, Documentation/arch/arm64/booting.rst
        return "a Linux kernel for ARM64 (Image)"
    if is_linux(head):
        raise WrongFormat("it is a Linux kernel for PCs (bzImage)")
    if not head or head.lstrip().startswith(b"<"):
        raise WrongFormat(f"{_found(head)}, and no kernel")
    return "not known here"


def disk(head: bytes) -> str:
    """What a disk image for ``sanboot`` is; raises WrongFormat where nothing in it can boot."""
    if head[0x8001:0x8006] == b"CD001":
        return "a CD image"
    if head[0x1FE:0x200] == _BOOT_SECTOR:
        return "a disk image with a boot sector"
    raise WrongFormat(f"{_found(head)}, and sanboot starts a disk or CD image")


def _efi_program(head: bytes, arch: Arch) -> str:
    machine, wanted = _pe_machine(head), _PE_MACHINES.get(arch.cpu)
    if machine is None:
        raise WrongFormat(f"{_found(head)}, and {arch} starts only EFI programs (MZ and PE header)")
    if wanted and machine != wanted:
        raise WrongFormat(
            f"an EFI program for machine type {machine:#x}, and {arch} is {wanted:#x}"
        )
    return f"an EFI program for {arch.cpu}"


def _pe_machine(head: bytes) -> int | None:
    """The machine type of a PE program, None for what is none."""
    if head[:2] != b"MZ" or len(head) < 64:
        return None
    [at] = struct.unpack_from("<I", head, 60)
    if head[at : at + 4] != b"PE\0\0" or len(head) < at + 6:
        return None
    machine: int = struct.unpack_from("<H", head, at + 4)[0]
    return machine


def is_linux(head: bytes) -> bool:
    """Whether it is a Linux kernel for PCs (bzImage), or memdisk, which has the same header."""
    return head[0x1FE:0x200] == _BOOT_SECTOR and head[0x202:0x206] == b"HdrS"


def _is_multiboot(head: bytes) -> bool:
    """Magic, flags and checksum add up to nothing, somewhere on a 4-byte border."""
    for at in range(0, min(len(head), _MULTIBOOT_AREA) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<III", head, at)
        if magic == _MULTIBOOT_MAGIC and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            return True
    return False


_MARKS = {b"<": "HTML or XML", b"\x1f\x8b": "a gzip file", b"\x7fELF": "an ELF file"}


def _found(head: bytes) -> str:
    """In a few words, for the one who put the file there."""
    if not head:
        return "it is empty"
    if is_linux(head):
        return "it is memdisk or a Linux kernel without an EFI stub"
    if _pe_machine(head) is not None:
        return "it is an EFI program"
    known = (word for mark, word in _MARKS.items() if head.lstrip().startswith(mark))
    return f"it is {next(known, f'unknown, and begins {head[:8].hex(chr(32))}')}"
