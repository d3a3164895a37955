"""
Packages of another Debian than this machine's, or for another processor.

apt is given lists and a state of its own for it, in a folder that goes away afterwards: what this
machine knows and has installed stays as it is.  Packages are unpacked, never installed.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.end_to_end.cache import UnknownPackageError, output, run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Packages:
    """What a release of Debian has for a processor, once its lists are in *folder*."""

    def __init__(self, folder: Path, suite: str, arch: str) -> None:
        self._folder = folder
        self._name = f"{suite}/{arch}"
        (folder / "status").touch()
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        source = f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n"
        (folder / "sources.list").write_text(source)
        self._options = (
            *("-o", f"Dir::Etc::sourcelist={folder}/sources.list"),
            *("-o", "Dir::Etc::sourceparts=/dev/null"),
            *("-o", f"Dir::State={folder}", "-o", f"Dir::State::status={folder}/status"),
            *("-o", f"Dir::Cache={folder}/cache", "-o", "Acquire::Languages=none"),
            *("-o", f"APT::Architecture={arch}", "-o", f"APT::Architectures={arch}"),
            # As root apt would drop to the user _apt, who may not write here.
            *("-o", "APT::Sandbox::User=root"),
        )
        run("apt-get", *self._options, "update")

    def behind(self, metapackage: str) -> str:
        """The kernel package that *metapackage* stands for: it changes with every update."""
        said = output("apt-cache", *self._options, "depends", "--important", metapackage)
        real = re.findall(r"Depends: (linux-image-[0-9]\S+)", said)
        if not real:
            raise UnknownPackageError(f"{self._name} has no {metapackage}")
        return real[0]

    def unpack(self, tree: Path, *packages: str) -> Path:
        """What *packages* would install, below *tree*."""
        debs = self._folder / "debs"
        debs.mkdir()
        run("apt-get", *self._options, "-q", "download", *packages, cwd=debs)
        for package in debs.iterdir():
            run("dpkg-deb", "-x", str(package), str(tree))
        return tree


@contextlib.contextmanager
def packages(suite: str, arch: str) -> Iterator[Packages]:
    """Those of the release *suite* for the processor *arch*, in Debian's words."""
    with tempfile.TemporaryDirectory(prefix="netbootd-apt-") as folder:
        yield Packages(Path(folder), suite, arch)


def _mirror() -> str:
    """Where this machine has its Debian from."""
    wanted = ("Created-By: Packages", "Label: Debian", "Component: main")
    known = output("apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted).split()
    return known[0] if known else "http://deb.debian.org/debian"
