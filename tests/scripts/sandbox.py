"""
A machine to run node scripts on: this host's programs, and nothing of it that a script could change.

Host name, network, mounts and processes are a namespace's own; all writing goes to a layer in
memory.  Needs root, ``unshare`` and a kernel with overlayfs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

USABLE = os.geteuid() == 0 and shutil.which("unshare") is not None
_SET_UP = """\
set -e
mount -t tmpfs tmpfs "$1/layer"
mkdir "$1/layer/upper" "$1/layer/work" "$1/layer/root"
root=$1/layer/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/layer/upper,workdir=$1/layer/work" "$root"
for folder in run tmp var/tmp; do mount -t tmpfs tmpfs "$root/$folder"; done
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/module" # whose parameters are the host's
mount --rbind /dev "$root/dev"
cp -a "$1/in/." "$root/"
if [ -n "$2" ]; then mkdir -p "$root$2"; mount --rbind "$2" "$root$2"; fi
ip link set lo up
hostname sandbox
set +e
chroot "$root" /bin/sh /sandbox.sh
echo $? >"$1/status"
for path in etc root usbkey var/lib; do
    if [ -e "$1/layer/upper/$path" ]; then
        mkdir -p "$1/out/$path"
        cp -a "$1/layer/upper/$path/." "$1/out/$path/"
    fi
done
"""


@dataclass
class Ran:
    """What came of it: *files* and *links* are those that were made or changed, by their path."""

    status: int
    output: str
    files: dict[str, str]
    links: dict[str, str]
    modes: dict[str, int]


class Sandbox:
    """
    Put files and programs in, then run something once; each run begins anew.

    *shared* is a folder of the host that is there as well, as it is.
    """

    def __init__(self, folder: Path, shared: str = "") -> None:
        self.folder = folder
        self.shared = shared
        for name in ("in", "out", "layer"):
            (folder / name).mkdir()

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file of the machine, from the beginning."""
        file = self.folder / "in" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def program(self, name: str, text: str) -> None:
        """A program that stands in for one that is not to run here."""
        self.put(f"/usr/local/sbin/{name}", text, 0o755)

    def run(self, commands: str) -> Ran:
        """Run *commands* as root of the machine; scripts are where ``put`` has put them."""
        path = "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH\n"
        self.put("/sandbox.sh", f"{path}unset TMPDIR\n{commands}\n")
        words = ["unshare", "--uts", "--net", "--ipc", "--mount", "--pid", "--fork"]
        done = subprocess.run(
            [*words, "sh", "-c", _SET_UP, "sandbox", str(self.folder), self.shared],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        status = self.folder / "status"
        assert status.exists(), done.stdout
        out = self.folder / "out"
        everything = {"/" + str(path.relative_to(out)): path for path in out.rglob("*")}
        links = {name: path for name, path in everything.items() if path.is_symlink()}
        names = {
            name: path for name, path in everything.items() if name not in links and path.is_file()
        }
        return Ran(
            status=int(status.read_text()),
            output=done.stdout,
            links={name: str(path.readlink()) for name, path in links.items()},
            files={name: path.read_text(errors="replace") for name, path in names.items()},
            modes={name: path.stat().st_mode & 0o777 for name, path in names.items()},
        )
