"""
What the set-up makes once for the end-to-end tests, below ``.cache/``.

Packages are downloaded by apt and unpacked, never installed: the machine that runs the tests keeps
its own kernels and gets no service.  Tests only use what is there.
"""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"


class UnknownPackageError(Exception):
    """apt has no package of that name: this Debian never had it, or not in its sources."""


@dataclass(frozen=True)
class Part:
    """
    A folder of the cache, filled by *fill*, which is given a new folder for it.

    It appears whole or not at all, and is made again when *fill* has changed, or one of the texts
    *sources* that it uses.
    """

    name: str
    fill: Callable[[Path], None]
    sources: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return CACHE / self.name

    @property
    def ready(self) -> bool:
        return self._written("recipe") == self._recipe()

    @property
    def unavailable(self) -> str:
        """Why it cannot be had on this Debian; empty if it can."""
        return self._written("unavailable")

    def _written(self, name: str) -> str:
        file = self.folder / name
        return file.read_text() if file.exists() else ""

    def _recipe(self) -> str:
        return inspect.getsource(self.fill) + "".join(self.sources)

    def make(self) -> None:
        """Fill it; what was there before stays if that fails."""
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".new-") as scratch:
            new = Path(scratch) / self.name
            new.mkdir()
            try:
                self.fill(new)
                (new / "recipe").write_text(self._recipe())
            except UnknownPackageError as problem:
                (new / "unavailable").write_text(str(problem))
            shutil.rmtree(self.folder, ignore_errors=True)
            new.rename(self.folder)


def newest(pattern: str) -> str:
    """The package that apt knows whose whole name matches *pattern*, with the highest numbers."""
    names = [
        name for name in output("apt-cache", "pkgnames").split() if re.fullmatch(pattern, name)
    ]
    if not names:
        raise UnknownPackageError(f"apt knows no package {pattern}")
    return max(names, key=numbers)


def numbers(name: str) -> list[int]:
    """Those in *name*, to sort versions by."""
    return [int(number) for number in re.findall(r"\d+", name)]


def download(folder: Path, *packages: str) -> list[Path]:
    """The newest versions of *packages*, in *folder*."""
    # As root apt would drop to the user _apt, who may not write here.
    run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *packages, cwd=folder)
    return sorted(folder.glob("*.deb"))


def unpack(tree: Path, *packages: str) -> Path:
    """What *packages* would install, below *tree*."""
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix=".debs-") as folder:
        for package in download(Path(folder), *packages):
            run("dpkg-deb", "-x", str(package), str(tree))
    return tree


def with_libraries(*packages: str) -> set[str]:
    """*packages*, and what they need that is not installed here."""
    simulated = output("apt-get", "install", "--simulate", "--no-install-recommends", *packages)
    return {*packages, *re.findall(r"^Inst (\S+)", simulated, re.MULTILINE)}


def run(*command: str, cwd: Path | None = None) -> None:
    """*command*, which says nothing unless it fails: then all of it, and SystemExit."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-3000:]}")


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
