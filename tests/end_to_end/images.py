"""
What test machines boot beside the small Linux of guest.py: other people's software, as it is.

``python -m tests.end_to_end.images`` (the set-up does it) makes what is missing, as root;
``--missing`` says what that is.
"""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.end_to_end import foreign, guest, nameserver, neighbours, nfs, routers, secureboot
from tests.end_to_end.cache import Part, download, newest, run, unpack, with_libraries

MULTIBOOT = Path(__file__).with_name("multiboot.s")

CD_LINE = "CD-RUNS"
DOM0_UP = "DOM0-UP"  # DOM0-UP <kind of hypervisor>: Linux runs its first program
DOM0_ARGUMENTS = "DOM0-ARGS"  # DOM0-ARGS <the kernel's command line>
LIVE_UP = "LIVE-UP"  # LIVE-UP <type of the root file system>: the fetched system runs


def _installer(folder: Path) -> None:
    """The Debian installer for network boot: its kernel and its initrd."""
    package = newest(r"debian-installer-[0-9]+-netboot-amd64")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tree = unpack(Path(scratch), package)
        (found,) = tree.glob("usr/lib/debian-installer/images/*/amd64/text/debian-installer/amd64")
        for name in ("linux", "initrd.gz"):
            shutil.copy(found / name, folder / name)


def _xen(folder: Path) -> None:
    """Xen's hypervisor, unpacked as multiboot wants it, and an initrd for its first domain."""
    package = newest(r"xen-hypervisor-[0-9.]+-amd64")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tree = unpack(Path(scratch), package, "busybox-static")
        (packed,) = (path for path in tree.glob("boot/xen-*.gz") if not path.is_symlink())
        (folder / "xen").write_bytes(gzip.decompress(packed.read_bytes()))
        (busybox,) = tree.glob("**/bin/busybox")
        files = {"init": DOM0_INIT.encode(), "bin/busybox": busybox.read_bytes()}
        (folder / "dom0.cpio").write_bytes(guest.cpio(files))


DOM0_INIT = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox echo "{DOM0_UP} $(/bin/busybox cat /sys/hypervisor/type)"
/bin/busybox echo "{DOM0_ARGUMENTS} $(/bin/busybox cat /proc/cmdline)"
/bin/busybox poweroff -f
"""


def _multiboot(folder: Path) -> None:
    """A kernel that prints what its multiboot loader gave it."""
    run("as", "--32", str(MULTIBOOT), "-o", str(folder / "multiboot.o"))
    run(
        *("ld", "-m", "elf_i386", "-N", "-Ttext", "0x100000", "-z", "noexecstack"),
        *(str(folder / "multiboot.o"), "-o", str(folder / "multiboot")),
    )


def _cd(folder: Path) -> None:
    """A CD that boots isolinux, which says CD_LINE on the serial line."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tree = Path(scratch)
        shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", tree)
        shutil.copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", tree)
        (tree / "isolinux.cfg").write_text(f"SERIAL 0 115200\nSAY {CD_LINE}\nPROMPT 1\n")
        run(
            *("xorriso", "-as", "mkisofs", "-o", str(folder / "cd.iso")),
            *("-b", "isolinux.bin", "-c", "boot.cat"),
            *("-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", str(tree)),
        )


def _live(folder: Path) -> None:
    """A live system: Debian's kernel, an initramfs with live-boot, a root file system to fetch."""
    debian = nfs.make()
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        scratch = Path(name)
        _live_initramfs(debian.root, scratch, folder)
        root = scratch / "root"
        for path in ("bin", "dev", "etc", "proc", "run", "sbin", "sys", "tmp", "usr", "var"):
            (root / path).mkdir(parents=True)
        shutil.copy(next(scratch.glob("upper/**/bin/busybox")), root / "bin")
        (root / "bin" / "sh").symlink_to("busybox")
        (root / "sbin" / "init").write_text(LIVE_INIT)
        (root / "sbin" / "init").chmod(0o755)
        squashfs = folder / "filesystem.squashfs"
        run("mksquashfs", str(root), str(squashfs), "-all-root", "-no-progress", "-quiet")
    shutil.copy(debian.kernel, folder / "vmlinuz")


def _live_initramfs(debian: Path, scratch: Path, folder: Path) -> None:
    """It is made in the *debian* of diskless machines, by a layer over it: that one stays clean."""
    for name in ("upper", "work", "merged", "debs"):
        (scratch / name).mkdir()
    download(scratch / "debs", "live-boot", "live-boot-initramfs-tools", "busybox-static")
    run("unshare", "--mount", "sh", "-ec", LAYER, "sh", str(debian), str(folder), cwd=scratch)


LAYER = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=upper,workdir=work" merged
mount -t proc proc merged/proc
mount --rbind /dev merged/dev
mkdir merged/debs merged/out
mount --bind debs merged/debs
mount --bind "$2" merged/out
chroot merged sh -ec '
    dpkg --unpack --force-depends --no-triggers /debs/*.deb
    mkinitramfs -o /out/initrd.img "$(ls /lib/modules)"'
"""

LIVE_INIT = f"""#!/bin/sh
busybox=/bin/busybox
$busybox echo "{LIVE_UP} $($busybox awk '$2 == "/" {{ print $3 }}' /proc/mounts)"
$busybox poweroff -f
"""


def _tgt(folder: Path) -> None:
    """An iSCSI server that runs in user space, and those of its libraries that are not here."""
    unpack(folder / "tree", *with_libraries("tgt"))


PARTS = {
    "installer": Part("installer", _installer),
    "xen": Part("xen", _xen, (DOM0_INIT,)),
    "multiboot": Part("multiboot", _multiboot, (MULTIBOOT.read_text(),)),
    "cd": Part("cd", _cd),
    "nfsroot": nfs.IMAGE,
    "ganesha": nfs.GANESHA,
    "live": Part("live", _live, (LAYER, LIVE_INIT)),
    "tgt": Part("tgt", _tgt),
    "neighbours": neighbours.NEIGHBOURS,
    "nameserver": nameserver.NAMESERVER,
    "radvd": routers.RADVD,
    **foreign.PARTS,
    **secureboot.PARTS,
}


def missing() -> list[str]:
    """The names of parts that are still to be made."""
    return [name for name, part in PARTS.items() if not part.ready and not part.unavailable]


#: The diskless machines' root takes as long as all others together; "live" is made in it.
BESIDE_THE_OTHERS = ("nfsroot", "ganesha", "live")


def make() -> None:
    """Everything that is missing; what this Debian does not have is said and left out."""
    names = missing()
    lanes = (
        [name for name in names if name in BESIDE_THE_OTHERS],
        [name for name in names if name not in BESIDE_THE_OTHERS],
    )
    with ThreadPoolExecutor() as pool:
        for made in [pool.submit(_make, lane) for lane in lanes]:
            made.result()


def _make(names: list[str]) -> None:
    for name in names:
        part = PARTS[name]
        part.make()
        print(f"{name}: {part.unavailable or f'in {part.folder}'}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--missing"]:
        print(*missing())
    else:
        make()
