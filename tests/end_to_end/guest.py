"""
What the test machines boot: a small Linux, and disks of one sector that say who they are.

The kernel and busybox are Debian's packages, downloaded by apt and unpacked below ``.cache/``;
nothing is installed, so the machine that runs the tests keeps its own.  ``python guest.py`` (the
set-up does it) fetches them, ``--missing`` says whether that is wanted; tests only use what is
there and never touch the outside network.

The Linux prints its MAC and command line, takes an address with an ordinary DHCP client, fetches
an address named on its command line, and powers off.  A test reads all that on the serial line.
"""

from __future__ import annotations

import gzip
import inspect
import lzma
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end import cache

CACHE = cache.CACHE / "guest"
METAPACKAGE = "linux-image-cloud-amd64"  # lz4 and virtio only: at init two seconds after its start

UP = "NODE-UP"  # NODE-UP mac=<mac>: Linux runs its first program
ARGUMENTS = "NODE-ARGS"  # NODE-ARGS <the kernel's command line>
ADDRESS = "NODE-IP"  # NODE-IP <address>: the LAN's DHCP server answered a plain client
FETCHED = "NODE-FETCHED"  # NODE-FETCHED <first line of netbootd.fetch=URL>
DONE = "NODE-DONE"

FLOPPY_LINE = "FLOPPY-RUNS"
FLOPPY_SIZE = 1474560  # memdisk takes an image of this size for a floppy

# Debian builds none of these in; the rest follows from each module's own "depends".
MODULES = ("virtio_pci", "virtio_net")
#: Kept beside the initrd, for the test that puts them into one.
NETCONSOLE = ("netconsole",)

INIT = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
for module in /modules/*.ko; do insmod "$module"; done
card=$(ls /sys/class/net | grep -v '^lo$' | head -n 1)
echo "{UP} mac=$(cat /sys/class/net/$card/address)"
echo "{ARGUMENTS} $(cat /proc/cmdline)"
ip link set "$card" up
udhcpc -i "$card" -n -q -t 8 -T 1 -s /lease >/dev/null 2>&1
echo "{ADDRESS} $(cat /address 2>/dev/null)"
for word in $(cat /proc/cmdline); do
    case $word in
    netbootd.fetch=*) echo "{FETCHED} $(wget -q -T 10 -O - "${{word#*=}}" | head -n 1)" ;;
    esac
done
echo "{DONE}"
poweroff -f
"""

LEASE = """#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/${mask:-24}" dev "$interface"
echo "$ip" > /address
"""


@dataclass(frozen=True)
class Guest:
    """Files to boot: *kernel* and *initrd*, of the Debian kernel *version*."""

    version: str
    kernel: Path
    initrd: Path

    @property
    def netconsole(self) -> list[Path]:
        """The kernel's netconsole, and before it the modules that it needs."""
        return sorted((self.kernel.parent / "netconsole").glob("*.ko"))


def installed() -> Guest | None:
    """The newest guest in the cache, its initrd rebuilt if this file changed; None if none."""
    folders = sorted(
        (path.parent for path in CACHE.glob("*/complete") if path.read_text() == _RECIPE),
        key=lambda folder: cache.numbers(folder.name),
    )
    if not folders:
        return None
    folder = folders[-1]
    initrd = folder / "initrd.gz"
    if not initrd.exists() or initrd.stat().st_mtime < Path(__file__).stat().st_mtime:
        write_initrd(folder)
    return Guest(folder.name, folder / "vmlinuz", initrd)


def fetch() -> Guest:
    """The guest, downloaded if the cache has none."""
    found = installed()
    if found:
        return found
    package = _real_package(METAPACKAGE)
    version = package.removeprefix("linux-image-")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".new-") as scratch:
        new = Path(scratch) / version
        new.mkdir()
        keep(new, cache.unpack(Path(scratch) / "tree", package, "busybox-static"))
        (new / "complete").write_text(_RECIPE)
        shutil.rmtree(CACHE / version, ignore_errors=True)
        new.rename(CACHE / version)
    guest = installed()
    assert guest is not None
    return guest


def _real_package(name: str) -> str:
    """The kernel package behind the metapackage *name*: it changes with every Debian update."""
    said = cache.output("apt-cache", "depends", "--important", name)
    real = re.findall(r"Depends: (linux-image-[0-9]\S+)", said)
    if not real:
        raise SystemExit(f"apt knows no kernel behind {name}; run apt-get update")
    return real[0]


def keep(target: Path, tree: Path) -> None:
    """Copy what a guest needs of *tree*: kernel, busybox, and the modules in load order."""
    shutil.copy(next(tree.glob("boot/vmlinuz-*")), target / "vmlinuz")
    shutil.copy(next(path for path in tree.glob("**/bin/busybox")), target / "busybox")
    (target / "netconsole").mkdir()
    for folder, wanted in ((target, MODULES), (target / "netconsole", NETCONSOLE)):
        for index, (name, body) in enumerate(_modules(tree, wanted)):
            (folder / f"{index:02}-{name}.ko").write_bytes(body)


#: What a guest is made of; one that was made of less is fetched anew.
_RECIPE = inspect.getsource(keep) + " ".join((*MODULES, *NETCONSOLE))


def _modules(tree: Path, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """
    The modules *wanted* and what they depend on, in the order in which they load.

    The package has no modules.dep (depmod runs on installing), but each module names what it
    needs in its .modinfo section.  A name without a file is built into the kernel.
    """
    files = {path.name.split(".ko")[0].replace("-", "_"): path for path in tree.rglob("*.ko*")}
    seen: set[str] = set()

    def walk(name: str) -> Iterator[tuple[str, bytes]]:
        if name in seen or name not in files:
            return
        seen.add(name)
        body = files[name].read_bytes()
        if files[name].suffix == ".xz":  # since Debian 13
            body = lzma.decompress(body)
        depends = re.search(rb"\0depends=([^\0]*)\0", body)
        for need in depends[1].decode().split(",") if depends else ():
            yield from walk(need.replace("-", "_"))
        yield name, body

    for name in wanted:
        yield from walk(name)


def write_initrd(folder: Path) -> None:
    """The initramfs of the guest in *folder*, beside its parts."""
    files = {
        "init": INIT.encode(),
        "lease": LEASE.encode(),
        "bin/busybox": (folder / "busybox").read_bytes(),
        **{f"modules/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.ko"))},
    }
    new = folder / "initrd.new"
    new.write_bytes(gzip.compress(cpio(files), compresslevel=1))
    new.rename(folder / "initrd.gz")


def cpio(files: dict[str, bytes]) -> bytes:
    """*files* (path to content) as a "newc" archive: what Linux takes as an initramfs."""
    folders = sorted({str(parent) for name in files for parent in Path(name).parents} - {"."})
    entries = [(name, 0o040755, b"") for name in folders]
    entries += [("dev", 0o040755, b"")]
    entries += [(name, 0o100755, body) for name, body in files.items()]
    entries += [("TRAILER!!!", 0, b"")]
    return b"".join(_cpio_entry(index, *entry) for index, entry in enumerate(entries, start=1))


def _cpio_entry(inode: int, name: str, mode: int, body: bytes) -> bytes:
    """One entry (cpio(5), "New ASCII Format"): header and body each padded to four bytes."""
    path = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + bytes(-len(head) % 4) + body + bytes(-len(body) % 4)


def boot_sector(line: str) -> bytes:
    """
    A boot sector (512 bytes) that prints *line* on the first serial port and stops.

    It talks to the port itself (8250 at 0x3F8: wait for "transmitter empty" in the line status,
    then write), since memdisk and the BIOS differ in where INT 10h output ends up.
    """
    code = bytes.fromhex(
        "fa"  # cli
        "31c0 8ed8"  # xor ax,ax; mov ds,ax: the BIOS loads us at 0000:7C00
        "be 407c"  # mov si,0x7C40: the text below
        "fc"  # cld
        "ac"  # next: lodsb
        "84c0"  # test al,al
        "74 11"  # jz stop
        "88c4"  # mov ah,al
        "ba fd03"  # mov dx,0x3FD
        "ec"  # wait: in al,dx
        "a8 20"  # test al,0x20
        "74 fb"  # jz wait
        "b2 f8"  # mov dl,0xF8
        "88e0"  # mov al,ah
        "ee"  # out dx,al
        "eb ea"  # jmp next
        "f4"  # stop: hlt
        "eb fd"  # jmp stop
    )
    text = line.encode("ascii") + b"\r\n\0"
    return (code.ljust(0x40, b"\0") + text).ljust(510, b"\0") + b"\x55\xaa"


def disk(line: str, size: int) -> bytes:
    """A disk of *size* bytes whose boot sector prints *line*; 1474560 is a floppy."""
    return boot_sector(line).ljust(size, b"\0")


LINUX_ARGUMENTS = "console=ttyS0 quiet"


def fill(root: Path) -> Path:
    """A file root below *root* as a small site has it: kernel, initrd, the image of an updater."""
    guest = installed()
    if guest is None:
        raise SystemExit("no kernel for the test machines; run tools/setup.sh test")
    for folder in ("images", "biosupdate"):
        (root / folder).mkdir(parents=True)
    shutil.copy(guest.kernel, root / "images" / "vmlinuz")
    shutil.copy(guest.initrd, root / "images" / "initrd.gz")
    (root / "biosupdate" / "floppy.img").write_bytes(disk(FLOPPY_LINE, FLOPPY_SIZE))
    return root


def configuration(root: Path, http: str) -> dict[str, Any]:
    """A configuration that serves *root*, filled as above, at the address *http*."""
    linux = {"kernel": "images/vmlinuz", "initrd": "images/initrd.gz"}
    return {
        "boot_servers": {"default": http},
        "targets": {
            "linux": {
                "one": {**linux, "boot_args": f"{LINUX_ARGUMENTS} netbootd.word=one"},
                "two": {**linux, "boot_args": f"{LINUX_ARGUMENTS} netbootd.word=two"},
                "lost": {**linux, "kernel": "images/not-there"},
            },
            "biosupdate": {"floppy": {"initrd": "biosupdate/floppy.img"}},
            "localboot": {"disk": {}},
        },
        "machines": {},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(root),
            "firmware": ["/usr/lib/ipxe", "/usr/lib/syslinux"],
            "state": str(root.with_name("state")),
        },
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["--missing"]:
        print("" if installed() else METAPACKAGE)
    else:
        print(f"guest: Linux {fetch().version} in {CACHE}")
