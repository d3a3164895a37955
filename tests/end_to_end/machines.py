"""
The kinds of machines that QEMU plays: a processor and the firmware on it.

Firmware is what Debian packages: SeaBIOS, EDK2 for PCs of 64 and 32 bits (ovmf, ovmf-ia32) and for
ARM (qemu-efi-aarch64), U-Boot (u-boot-qemu).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

SHARE = Path("/usr/share")
OVMF = SHARE / "OVMF"
AAVMF = SHARE / "AAVMF"
U_BOOT = Path("/usr/lib/u-boot")


@dataclass(frozen=True)
class Machine:
    """
    The QEMU *program* that plays it and its *options*.

    *variables*: what the firmware's variable store holds when it is sold; each machine has its own
    copy.  *rom*: the option ROM of its network card, None for QEMU's iPXE, "" for none.
    """

    program: str
    options: tuple[str, ...]
    variables: Path | None = None
    rom: str | None = None

    def but(self, *options: str) -> Machine:
        """The same with more *options*."""
        return replace(self, options=(*self.options, *options))

    def with_bios(self, image: Path) -> Machine:
        """The same with another build of its firmware."""
        return self.but("-bios", str(image))

    def with_variables(self, store: Path | None) -> Machine:
        """The same with the variable store *store*."""
        return replace(self, variables=store)


def _flash(code: Path) -> tuple[str, str]:
    return "-drive", f"if=pflash,format=raw,readonly=on,file={code}"


def setting(name: str, value: str) -> tuple[str, str]:
    """A setting of EDK2's (its OvmfPkg and ArmVirtPkg read fw_cfg)."""
    return "-fw_cfg", f"name=opt/org.tianocore/{name},string={value}"


# Each of these saves a minute of IPv6 attempts in a network that has no such server.
_NO_IPV6 = (*setting("IPv6Support", "n"), *setting("IPv6PXESupport", "n"))
# EDK2 tries PXE first, and waits long before it gives up.
HTTP_ONLY = setting("IPv4PXESupport", "n")
# Keys are kept where only the firmware's system management mode may write.
_SMM = ("-M", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")

# graphics=off makes SeaBIOS write to the serial port.
BIOS = Machine("qemu-system-x86_64", ("-M", "pc,graphics=off", "-m", "256"))

# With a ROM on the card its iPXE would take over from the firmware's own client.
UEFI = Machine(
    "qemu-system-x86_64",
    ("-M", "q35", "-m", "512", *_flash(OVMF / "OVMF_CODE_4M.fd"), *_NO_IPV6),
    variables=OVMF / "OVMF_VARS_4M.fd",
    rom="",
)
SECURE_UEFI = Machine(
    "qemu-system-x86_64",
    (*_SMM, "-m", "512", *_flash(OVMF / "OVMF_CODE_4M.secboot.fd"), *_NO_IPV6),
    variables=OVMF / "OVMF_VARS_4M.ms.fd",
    rom="",
)
# The build can do Secure Boot; with no keys in its store it does not.
UEFI_IA32 = Machine(
    "qemu-system-x86_64",
    (*_SMM, "-m", "512", *_flash(OVMF / "OVMF32_CODE_4M.secboot.fd"), *_NO_IPV6),
    variables=OVMF / "OVMF32_VARS_4M.fd",
    rom="",
)
UEFI_ARM64 = Machine(
    "qemu-system-aarch64",
    (
        *("-M", "virt", "-cpu", "cortex-a57", "-m", "512"),
        *_flash(AAVMF / "AAVMF_CODE.fd"),
        *_NO_IPV6,
    ),
    variables=AAVMF / "AAVMF_VARS.fd",
    rom="",
)

U_BOOT_ARM64 = Machine(
    "qemu-system-aarch64",
    (
        *("-M", "virt", "-cpu", "cortex-a57", "-m", "512"),
        *("-bios", str(U_BOOT / "qemu_arm64" / "u-boot.bin")),
    ),
    rom="",
)
U_BOOT_X86 = Machine(
    "qemu-system-x86_64",
    ("-M", "q35", "-m", "512", "-bios", str(U_BOOT / "qemu-x86_64" / "u-boot.rom")),
    rom="",
)
U_BOOT_RISCV64 = Machine(
    "qemu-system-riscv64",
    (
        *("-M", "virt", "-m", "512"),
        *("-kernel", str(U_BOOT / "qemu-riscv64_smode" / "uboot.elf")),
    ),
    rom="",
)
