"""
A diskless machine's root, and a server for it: a small Debian over NFS.

Both are made once, below ``.cache/``; ``python -m tests.end_to_end.nfs`` (the set-up does it) makes
what is missing, and tests only use what is there.  The root is a Debian as the installer leaves it,
with the smallest set of packages: systemd, and of the programs that can fetch a URL none but Perl's
and bash's own.  Kernel and initrds are stock: nothing in them knows netbootd, and Debian's own
initramfs has neither the module ``overlay`` nor a BusyBox.

The server is nfs-ganesha, which needs no help of the kernel and so runs in a namespace of the lab.
It is unpacked, not installed: no service of this machine is touched.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.cache import Part, output, run, unpack, with_libraries
from tests.end_to_end.lab import Lab
from tests.end_to_end.process import Process

SERVER = "192.0.2.20"
INITRAMFS_TOOLS, DRACUT = "initrd-initramfs-tools", "initrd-dracut"
#: What the image's own table of file systems names, and no node has.
FOREIGN_DISK = "UUID=0e7a2b1c-0000-4000-8000-000000000001"


def _make_root(folder: Path) -> None:
    """About 130 MB to download, and five minutes."""
    packages = [
        *("systemd-sysv", "udev", "iproute2", "linux-image-cloud-amd64", "initramfs-tools"),
        # For an initramfs by dracut, which takes the programs of these along.
        *("dracut-network", "nfs-common", "isc-dhcp-client", "iputils-arping", "procps"),
    ]
    root = folder / "root"
    run(
        *("debootstrap", "--variant=minbase", f"--include={','.join(packages)}"),
        *("bookworm", str(root), _mirror()),
    )
    kernel = next((root / "boot").glob("vmlinuz-*"))
    version = kernel.name.partition("-")[2]
    _inside(
        *(root, "dracut", "--no-hostonly", "--add", "network-legacy nfs", "--kver", version),
        *("--compress", "zstd -3 -q", "/boot/dracut.img"),
    )
    shutil.move(root / "boot" / "dracut.img", folder / DRACUT)
    shutil.copy(root / "boot" / f"initrd.img-{version}", folder / INITRAMFS_TOOLS)
    shutil.copy(kernel, folder / "vmlinuz")
    for unused in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
        shutil.rmtree(root / unused)
    # An image that was installed on a disk, and would wait for it.
    (root / "etc" / "fstab").write_text(f"{FOREIGN_DISK} / ext4 defaults 0 1\n")
    (root / "etc" / "hostname").write_text("image\n")
    (root / "etc" / "resolv.conf").write_text("")


def _unpack_server(folder: Path) -> None:
    packages = {
        name
        for package in ("nfs-ganesha", "nfs-ganesha-vfs", "rpcbind")
        for name in with_libraries(package)
    }
    unpack(folder / "tree", *sorted(packages))


def _inside(root: Path, *command: str) -> None:
    """*command* with *root* as its root, and with what a program expects in /proc and /dev."""
    mounts = 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$@"'
    run("unshare", "--mount", "sh", "-c", mounts, "sh", str(root), *command)


def _mirror() -> str:
    """Where this machine gets Debian from."""
    said = output("apt-get", "indextargets", "--format", "$(CREATED_BY) $(LABEL) $(REPO_URI)")
    found = re.search(r"^Packages Debian (\S+)$", said, re.MULTILINE)
    if not found:
        raise SystemExit("apt names no source of Debian")
    return found[1].rstrip("/")


IMAGE = Part("nfsroot", _make_root)
GANESHA = Part("ganesha", _unpack_server)


@dataclass(frozen=True)
class Made:
    """A *root* to export, the *kernel* in it, and its initrds by their names."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    def initrd(self, name: str) -> Path:
        """INITRAMFS_TOOLS or DRACUT."""
        return self.folder / name


def made() -> Made:
    """What the set-up made."""
    if not (IMAGE.ready and GANESHA.ready):
        raise SystemExit("no root for diskless machines; run tools/setup.sh test")
    return Made(IMAGE.folder)


def make() -> Made:
    """The same, made now if it is not there."""
    for part in (IMAGE, GANESHA):
        if not part.ready:
            part.make()
    return made()


# --- serving it --------------------------------------------------------------------------------

CONFIGURATION = """
NFS_CORE_PARAM { Protocols = 3, 4; Plugins_Dir = "%(plugins)s"; Enable_NLM = false; }
NFSv4 { Graceless = true; RecoveryBackend = fs; UseGetpwnam = true; Only_Numeric_Owners = true; }
EXPORT_DEFAULTS { Squash = No_Root_Squash; SecType = sys; Transports = TCP, UDP; }
LOG { Default_Log_Level = EVENT; }
%(exports)s
"""
EXPORT = """
EXPORT {
    Export_Id = %(number)d; Path = "%(path)s"; Pseudo = "%(path)s"; Access_Type = %(access)s;
    FSAL { Name = VFS; }
}
"""


#: What a client names: the read-only root, and a place that can be written to.
ROOT, KEEP = "/run/export/root", "/run/export/keep"


def serve(lab: Lab, *, root: Path, keep: Path | None = None) -> Process:
    """A file server of its own on the LAN, at SERVER: *root* read-only at ROOT, *keep* at KEEP."""
    lab.plug("nfs", SERVER)
    tree = GANESHA.folder / "tree"
    shares = {ROOT: (root, "RO")} | ({KEEP: (keep, "RW")} if keep else {})
    exports = "".join(
        EXPORT % {"number": number, "path": path, "access": access}
        for number, (path, (_, access)) in enumerate(shares.items(), start=1)
    )
    config = lab.folder / "ganesha.conf"
    plugins = next(tree.glob("usr/lib/*/ganesha"))
    config.write_text(CONFIGURATION % {"plugins": plugins, "exports": exports})
    users = lab.folder / "passwd"
    users.write_text(f"{Path('/etc/passwd').read_text()}_rpc:x:65533:65534::/run:/bin/false\n")
    script = "\n".join(
        [
            "set -e",
            # Its sockets, pid file and state are nobody else's business.
            "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib",
            "mkdir -p /run/ganesha /var/lib/nfs/ganesha",
            *(f"mkdir -p {at} && mount --bind {here} {at}" for at, (here, _) in shares.items()),
            f"mount --bind {users} /etc/passwd",
            f"{_program(tree, 'rpcbind')} -f &",
            "until [ -S /run/rpcbind.sock ]; do sleep 0.1; done",
            f"exec {_program(tree, 'ganesha.nfsd')} -F -L STDOUT -p /run/ganesha.pid -f {config}",
        ]
    )
    libraries = [*tree.glob("usr/lib/*-linux-gnu"), *tree.glob("lib/*-linux-gnu")]
    paths = ":".join(map(str, [*libraries, tree / "usr/lib/ganesha"]))
    server = lab.spawn(
        *("nfs", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("env", f"LD_LIBRARY_PATH={paths}", "sh", "-c", script),
    )
    server.wait_for("NFS SERVER INITIALIZED", 30)
    return server


def _program(tree: Path, name: str) -> Path:
    return next(path for path in tree.rglob(name) if path.parent.name in ("bin", "sbin"))


def checksum(tree: Path) -> str:
    """Of every name, type, mode, owner, time of change and content below *tree*."""
    whole = hashlib.sha256()
    for path in _all_below(tree):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        facts = (path.relative_to(tree), status.st_mode, status.st_uid, status.st_gid)
        whole.update(repr((*facts, status.st_mtime_ns)).encode())
        if kind == stat.S_IFREG:
            whole.update(hashlib.sha256(path.read_bytes()).digest())
        elif kind == stat.S_IFLNK:
            whole.update(os.fsencode(os.readlink(path)))
    return whole.hexdigest()


def _all_below(tree: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(tree):
        folders.sort()
        yield from (Path(folder, name) for name in sorted((*folders, *files)))


if __name__ == "__main__":
    print(f"NFS root: {make().folder}")
