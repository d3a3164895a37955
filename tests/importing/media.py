"""
Small media of each family, made by the tools that make the real ones: xorriso, tar and dpkg-deb.

Their files hold a few bytes each under the names that the real media use.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.simulate.kernels import bzimage, multiboot


def kernel(name: str) -> bytes:
    """What firmware takes for a Linux kernel, and no two the same."""
    return bzimage() + name.encode()


UNIX = multiboot()
DEBIAN_NETBOOT = {
    "debian-installer/amd64/linux": kernel("debian"),
    "debian-installer/amd64/initrd.gz": "initrd of debian",
    "debian-installer/amd64/pxelinux.0": "not wanted",
    "version.info": "Debian version:  12 (bookworm)\nInstaller build: 20230607+deb12u5\n",
}
DEBIAN_DISC = {
    ".disk/info": 'Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST 20240210-11:27',
    "install.amd/vmlinuz": kernel("the disc"),
    "install.amd/initrd.gz": "initrd of the disc",
    "install.amd/gtk/initrd.gz": "not wanted",
}
UBUNTU_LIVE = {
    ".disk/info": 'Ubuntu-Server 22.04.4 LTS "Jammy Jellyfish" - Release amd64 (20240216.1)',
    "casper/vmlinuz": kernel("ubuntu"),
    "casper/initrd": "initrd of ubuntu",
    "casper/filesystem.squashfs": "not wanted on its own",
}
UBUNTU_NETBOOT = {
    "amd64/linux": kernel("ubuntu"),
    "amd64/initrd": "initrd of ubuntu",
    "amd64/pxelinux.cfg/default": "KERNEL linux\nAPPEND root=/dev/ram0 "
    "url=https://releases.ubuntu.com/24.04/ubuntu-24.04-live-server-amd64.iso ---\n",
}
TREEINFO = (
    "[general]\nfamily = Rocky Linux\nname = Rocky Linux 9.3\nversion = 9.3\narch = x86_64\n"
    "[checksums]\nimages/install.img = sha256:%s\n"
)
RED_HAT_BOOT = {
    ".treeinfo": TREEINFO,
    "images/pxeboot/vmlinuz": kernel("rocky"),
    "images/pxeboot/initrd.img": "initrd of rocky",
    "images/install.img": "runtime",
    "EFI/BOOT/BOOTX64.EFI": "a loader",
}
RED_HAT_DVD = RED_HAT_BOOT | {
    "BaseOS/repodata/repomd.xml": "<repomd/>",
    "BaseOS/Packages/b/bash.rpm": "a package",
}
CENTOS_6 = {
    ".treeinfo": "[general]\nfamily = CentOS\nversion = 6.2\narch = x86_64\n",
    "images/pxeboot/vmlinuz": kernel("centos"),
    "images/pxeboot/initrd.img": "initrd of centos",
    "repodata/repomd.xml": "<repomd/>",
}
STAMP = "20240104T000000Z"
SMARTOS_TAR = {
    f"platform-{STAMP}/i86pc/kernel/amd64/unix": UNIX,
    f"platform-{STAMP}/i86pc/amd64/boot_archive": "archive",
    f"platform-{STAMP}/i86pc/amd64/boot_archive.hash": "0123456789abcdef0123456789abcdef01234567",
    f"platform-{STAMP}/etc/version/platform": "not wanted",
}
SMARTOS_DISC = {
    "platform/i86pc/kernel/amd64/unix": UNIX,
    "platform/i86pc/amd64/boot_archive": "archive",
    "boot/loader.conf": "not wanted",
}
ALPINE = {
    "boot/vmlinuz-lts": kernel("alpine"),
    "boot/initramfs-lts": "initramfs of alpine",
    "boot/modloop-lts": "modules",
    "boot/vmlinuz-virt": "not wanted",
}
LIVE = {
    ".disk/info": "Debian GNU/Linux 12.5.0 Bookworm - Official amd64 live 20240210-10:00",
    "live/vmlinuz-6.1.0-18-amd64": kernel("the live system"),
    "live/initrd.img-6.1.0-18-amd64": "initrd of the live system",
    "live/filesystem.squashfs": "its root",
}


def tree(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """*files* below *folder*."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def iso(file: Path, content: Path, label: str = "CDROM") -> Path:
    """An ISO 9660 image with Rock Ridge and Joliet."""
    command = ["xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-V", label, "-o"]
    subprocess.run([*command, file, content], check=True, capture_output=True)
    return file


def tar(file: Path, content: Path, *options: str) -> Path:
    """A tar, compressed as the ending of its name says."""
    subprocess.run(["tar", "-caf", file, "-C", content, *options, "."], check=True)
    return file


def deb(file: Path, files: Mapping[str, str | bytes]) -> Path:
    """A Debian package."""
    folder = tree(file.with_suffix(".folder"), files)
    control = (
        "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: n <n@example.org>\nDescription: d\n"
    )
    tree(folder, {"DEBIAN/control": control})
    subprocess.run(["dpkg-deb", "-b", folder, file], check=True, capture_output=True)
    return file
