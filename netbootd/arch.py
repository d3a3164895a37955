"""
Option 93: what the firmware says it is, and what that means for a boot.

Numbers from the IANA registry "Processor Architecture Types" (RFC 4578, RFC 5970).  RFC 4578 had
7 and 9 swapped (erratum 4624), so firmware uses both for x86-64 and we treat them alike.

A *family* is what runs the same boot programs, whether they come by TFTP or by HTTP; it is the word
by which the configuration speaks of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arch:
    """One row of the table; *http* tells whether the client boots from a URL."""

    number: int
    name: str
    family: str
    platform: str = ""  # iPXE's word: "pcbios", "efi"; "" where iPXE does not exist
    cpu: str = ""  # iPXE's ${buildarch}
    http: bool = False

    @property
    def efi(self) -> bool:
        """True for UEFI firmware."""
        return self.platform == "efi"

    def __str__(self) -> str:
        return self.name


TABLE: dict[int, Arch] = {
    arch.number: arch
    for arch in (
        Arch(0, "BIOS x86", "bios", "pcbios", "i386"),
        Arch(1, "NEC PC98", "pc98"),
        Arch(2, "UEFI Itanium", "efi-ia64"),
        Arch(3, "DEC Alpha", "alpha"),
        Arch(4, "Arc x86", "arc-x86"),
        Arch(5, "Intel Lean Client", "intel-lean"),
        Arch(6, "UEFI IA32", "efi-ia32", "efi", "i386"),
        Arch(7, "UEFI x64", "efi-x64", "efi", "x86_64"),
        Arch(8, "UEFI XScale", "efi-xscale"),
        Arch(9, "UEFI x64 (EBC)", "efi-x64", "efi", "x86_64"),
        Arch(10, "UEFI ARM32", "efi-arm32", "efi", "arm32"),
        Arch(11, "UEFI ARM64", "efi-arm64", "efi", "arm64"),
        Arch(12, "PowerPC Open Firmware", "openfirmware-ppc"),
        Arch(13, "PowerPC ePAPR", "epapr-ppc"),
        Arch(14, "POWER OPAL v3", "opal"),
        Arch(15, "UEFI IA32 HTTP", "efi-ia32", "efi", "i386", http=True),
        Arch(16, "UEFI x64 HTTP", "efi-x64", "efi", "x86_64", http=True),
        Arch(17, "UEFI x64 (EBC) HTTP", "efi-x64", "efi", "x86_64", http=True),
        Arch(18, "UEFI ARM32 HTTP", "efi-arm32", "efi", "arm32", http=True),
        Arch(19, "UEFI ARM64 HTTP", "efi-arm64", "efi", "arm64", http=True),
        Arch(20, "BIOS x86 HTTP", "bios-http", "pcbios", "i386", http=True),
        Arch(21, "U-Boot ARM32", "uboot-arm32"),
        Arch(22, "U-Boot ARM64", "uboot-arm64"),
        Arch(23, "U-Boot ARM32 HTTP", "uboot-arm32", http=True),
        Arch(24, "U-Boot ARM64 HTTP", "uboot-arm64", http=True),
        Arch(25, "UEFI RISC-V 32", "efi-riscv32", "efi", "riscv32"),
        Arch(26, "UEFI RISC-V 32 HTTP", "efi-riscv32", "efi", "riscv32", http=True),
        Arch(27, "UEFI RISC-V 64", "efi-riscv64", "efi", "riscv64"),
        Arch(28, "UEFI RISC-V 64 HTTP", "efi-riscv64", "efi", "riscv64", http=True),
        Arch(29, "UEFI RISC-V 128", "efi-riscv128"),
        Arch(30, "UEFI RISC-V 128 HTTP", "efi-riscv128", http=True),
        Arch(31, "s390 basic", "s390"),
        Arch(32, "s390 extended", "s390x"),
        Arch(33, "UEFI MIPS 32", "efi-mips32"),
        Arch(34, "UEFI MIPS 64", "efi-mips64"),
        Arch(35, "UEFI Sunway 32", "efi-sunway32"),
        Arch(36, "UEFI Sunway 64", "efi-sunway64"),
        Arch(37, "UEFI LoongArch 32", "efi-loong32", "efi", "loong32"),
        Arch(38, "UEFI LoongArch 32 HTTP", "efi-loong32", "efi", "loong32", http=True),
        Arch(39, "UEFI LoongArch 64", "efi-loong64", "efi", "loong64"),
        Arch(40, "UEFI LoongArch 64 HTTP", "efi-loong64", "efi", "loong64", http=True),
        Arch(41, "ARM rpiboot", "rpiboot"),
    )
}

#: Every word by which the configuration may name an architecture.
FAMILIES = frozenset(arch.family for arch in TABLE.values())

BIOS = TABLE[0]
POWER_OPAL = TABLE[14]
EFI_X64 = TABLE[7]
EFI_X64_HTTP = TABLE[16]


def arch_of(number: int) -> Arch:
    """The row for *number*; an unknown one gets a row of its own, its family the number."""
    return TABLE.get(number) or Arch(number, f"unknown architecture {number}", str(number))
