"""
Option 93: what the firmware says it is, and what that means for a boot.

Numbers from the IANA registry "Processor Architecture Types" (RFC 4578, RFC 5970).  RFC 4578 had
7 and 9 swapped (erratum 4624), so firmware uses both for x86-64 and we treat them alike.

The loaders of one architecture are names in order of preference: first the build that uses the
firmware's own network driver, since any card the firmware could boot from works with it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arch:
    """One row of the table; *http* tells whether the client boots from a URL."""

    number: int
    name: str
    platform: str  # iPXE's word: "pcbios", "efi"; "" where iPXE does not exist
    cpu: str  # iPXE's ${buildarch}
    loaders: tuple[str, ...] = ()
    http: bool = False

    @property
    def efi(self) -> bool:
        """True for UEFI firmware."""
        return self.platform == "efi"

    def __str__(self) -> str:
        return self.name


_BIOS = ("undionly.kpxe", "ipxe.pxe")
_X64 = ("snponly.efi", "ipxe.efi")
_IA32 = ("snponly-i386.efi", "ipxe-i386.efi")
_ARM64 = ("snponly-arm64.efi", "ipxe-arm64.efi")
_ARM32 = ("snponly-arm32.efi", "ipxe-arm32.efi")
_RISCV64 = ("snponly-riscv64.efi", "ipxe-riscv64.efi")
_LOONG64 = ("snponly-loong64.efi", "ipxe-loong64.efi")

TABLE: dict[int, Arch] = {
    arch.number: arch
    for arch in (
        Arch(0, "BIOS x86", "pcbios", "i386", _BIOS),
        Arch(1, "NEC PC98", "", ""),
        Arch(2, "UEFI Itanium", "", ""),
        Arch(3, "DEC Alpha", "", ""),
        Arch(4, "Arc x86", "", ""),
        Arch(5, "Intel Lean Client", "", ""),
        Arch(6, "UEFI IA32", "efi", "i386", _IA32),
        Arch(7, "UEFI x64", "efi", "x86_64", _X64),
        Arch(8, "UEFI XScale", "", ""),
        Arch(9, "UEFI x64 (EBC)", "efi", "x86_64", _X64),
        Arch(10, "UEFI ARM32", "efi", "arm32", _ARM32),
        Arch(11, "UEFI ARM64", "efi", "arm64", _ARM64),
        Arch(12, "PowerPC Open Firmware", "", ""),
        Arch(13, "PowerPC ePAPR", "", ""),
        Arch(14, "POWER OPAL v3", "", ""),
        Arch(15, "UEFI IA32 HTTP", "efi", "i386", _IA32, http=True),
        Arch(16, "UEFI x64 HTTP", "efi", "x86_64", _X64, http=True),
        Arch(17, "UEFI x64 (EBC) HTTP", "efi", "x86_64", _X64, http=True),
        Arch(18, "UEFI ARM32 HTTP", "efi", "arm32", _ARM32, http=True),
        Arch(19, "UEFI ARM64 HTTP", "efi", "arm64", _ARM64, http=True),
        Arch(20, "BIOS x86 HTTP", "pcbios", "i386", http=True),
        Arch(21, "U-Boot ARM32", "", ""),
        Arch(22, "U-Boot ARM64", "", ""),
        Arch(23, "U-Boot ARM32 HTTP", "", "", http=True),
        Arch(24, "U-Boot ARM64 HTTP", "", "", http=True),
        Arch(25, "UEFI RISC-V 32", "efi", "riscv32"),
        Arch(26, "UEFI RISC-V 32 HTTP", "efi", "riscv32", http=True),
        Arch(27, "UEFI RISC-V 64", "efi", "riscv64", _RISCV64),
        Arch(28, "UEFI RISC-V 64 HTTP", "efi", "riscv64", _RISCV64, http=True),
        Arch(29, "UEFI RISC-V 128", "", ""),
        Arch(30, "UEFI RISC-V 128 HTTP", "", "", http=True),
        Arch(31, "s390 basic", "", ""),
        Arch(32, "s390 extended", "", ""),
        Arch(33, "UEFI MIPS 32", "", ""),
        Arch(34, "UEFI MIPS 64", "", ""),
        Arch(35, "UEFI Sunway 32", "", ""),
        Arch(36, "UEFI Sunway 64", "", ""),
        Arch(37, "UEFI LoongArch 32", "efi", "loong32"),
        Arch(38, "UEFI LoongArch 32 HTTP", "efi", "loong32", http=True),
        Arch(39, "UEFI LoongArch 64", "efi", "loong64", _LOONG64),
        Arch(40, "UEFI LoongArch 64 HTTP", "efi", "loong64", _LOONG64, http=True),
        Arch(41, "ARM rpiboot", "", ""),
    )
}

BIOS = TABLE[0]
EFI_X64 = TABLE[7]
EFI_X64_HTTP = TABLE[16]


def arch_of(number: int) -> Arch:
    """The row for *number*; an unknown one gets a row without loaders, named after its number."""
    return TABLE.get(number) or Arch(number, f"unknown architecture {number}", "", "")
