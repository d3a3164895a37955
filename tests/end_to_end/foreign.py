"""
What machines boot that are no 64-bit PCs: a Linux for each processor, and iPXE for their firmware.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
from pathlib import Path

from tests.end_to_end import debian, guest
from tests.end_to_end.cache import CACHE, Part


def _ipxe(folder: Path) -> None:
    """
    Debian 13's builds of iPXE, the first for processors other than x86.

    They are under the names by which netbootd knows them.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        with debian.packages("trixie", "amd64") as trixie:
            tree = trixie.unpack(Path(scratch), "ipxe")
        for name in ("ipxe-arm64.efi", "ipxe-riscv64.efi"):
            shutil.copy(tree / "usr" / "lib" / "ipxe" / name, folder / name)


def _ipxe_x64(folder: Path) -> None:
    """Debian 13's iPXE for PCs, of BIOS and of 64-bit UEFI: the first of Debian's with VLANs."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        with debian.packages("trixie", "amd64") as trixie:
            tree = trixie.unpack(Path(scratch), "ipxe")
        for name in ("snponly.efi", "undionly.kpxe"):
            shutil.copy(tree / "usr" / "lib" / "ipxe" / name, folder)


def _grub(folder: Path) -> None:
    """
    Debian 13's GRUB for the network: the first that learns of its server behind ProxyDHCP.

    That of 32-bit PCs comes unsigned in the 64-bit PC's release.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tree = Path(scratch)
        with debian.packages("trixie", "amd64") as trixie:
            trixie.unpack(tree, "grub-efi-ia32-unsigned")
        (image,) = tree.rglob("grubnetia32.efi")
        shutil.copy(image, folder / "grubia32.efi")


def _u_boot(folder: Path) -> None:
    """Debian 13's U-Boot, with "standard boot"; that of Debian 12 is installed."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        with debian.packages("trixie", "amd64") as trixie:
            tree = trixie.unpack(Path(scratch), "u-boot-qemu")
        for board, name in (("qemu_arm64", "u-boot.bin"), ("qemu-x86_64", "u-boot.rom")):
            (folder / board).mkdir()
            shutil.copy(tree / "usr" / "lib" / "u-boot" / board / name, folder / board)


def _arm64(folder: Path) -> None:
    _linux(folder, "bookworm", "arm64", "linux-image-cloud-arm64")


def _i386(folder: Path) -> None:
    """Debian 12 is the last with a kernel for 32-bit PCs."""
    _linux(folder, "bookworm", "i386", "linux-image-686")


def _riscv64(folder: Path) -> None:
    """Debian 13 is the first with RISC-V."""
    _linux(folder, "trixie", "riscv64", "linux-image-riscv64")


def _linux(folder: Path, suite: str, arch: str, metapackage: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        with debian.packages(suite, arch) as release:
            kernel = release.behind(metapackage)
            tree = release.unpack(Path(scratch), kernel, "busybox-static")
        guest.keep(folder, tree)
    guest.write_initrd(folder)


INITRD = (inspect.getsource(_linux), guest.INIT, guest.LEASE)

IPXE = Part("ipxe-foreign", _ipxe)
IPXE_X64 = Part("ipxe-13", _ipxe_x64)
U_BOOT = Part("u-boot-13", _u_boot)
GRUB = Part("grub-foreign", _grub)
ARM64 = Part("linux-arm64", _arm64, INITRD)
I386 = Part("linux-i386", _i386, INITRD)
RISCV64 = Part("linux-riscv64", _riscv64, INITRD)

#: Where a build of iPXE of one's own may be put.
BUILT = CACHE / "ipxe-built"

PARTS = {part.name: part for part in (IPXE, IPXE_X64, GRUB, U_BOOT, ARM64, I386)}
