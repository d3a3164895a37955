"""
Other people's TFTP and web servers, to measure beside netbootd.

Those of Debian are unpacked below ``.cache/`` and not installed, as an installed one is a service
that starts; a program that this host has already is taken as it is.  Those of PyPI have a virtual
environment of their own.  ``python -m tests.bench.peers`` (the set-up does it) makes what is
missing, ``--missing`` says what that is.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.end_to_end.cache import CACHE, Part, run, unpack, with_libraries
from tests.end_to_end.neighbours import NEIGHBOURS
from tests.end_to_end.process import LabError

#: Packages by program; they are looked at one by one, since some conflict with others.
DEBIAN = {"nginx": "nginx", "atftpd": "atftpd", "in.tftpd": "tftpd-hpa"}
PYPI = ("PyPXE", "tftpy")


def _unpack(folder: Path) -> None:
    wanted: set[str] = set()
    for program, package in DEBIAN.items():
        if shutil.which(program) is None:
            wanted |= with_libraries(package)
    if wanted:
        unpack(folder / "tree", *sorted(wanted))


def _environment(folder: Path) -> None:
    run(sys.executable, "-m", "venv", str(folder / "venv"))
    pip = (str(folder / "venv/bin/python"), "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "-q", *PYPI)


PARTS = {
    "peers": Part("bench-peers", _unpack, tuple(DEBIAN.values())),
    "python": Part("bench-python", _environment, PYPI),
    "kea": NEIGHBOURS,
}


def program(name: str) -> list[str]:
    """The command of a server of Debian's; LabError if there is none."""
    if found := shutil.which(name):
        return [found]
    tree = PARTS["peers"].folder / "tree"
    for folder in ("usr/sbin", "usr/bin"):
        if (tree / folder / name).exists():
            libraries = {str(path.parent) for path in tree.glob("usr/lib/**/*.so*")}
            set_up = [f"LD_LIBRARY_PATH={':'.join(sorted(libraries))}"] if libraries else []
            return ["env", *set_up, str(tree / folder / name)]
    raise LabError(f"{name} is not there: run tools/setup.sh bench")


def python() -> str:
    """The interpreter of those from PyPI; LabError if there is none."""
    found = PARTS["python"].folder / "venv/bin/python"
    if not found.exists():
        raise LabError("PyPXE and tftpy are not there: run tools/setup.sh bench")
    return str(found)


def missing() -> list[str]:
    return [name for name, part in PARTS.items() if not part.ready and not part.unavailable]


if __name__ == "__main__":
    if sys.argv[1:] == ["--missing"]:
        print(*missing())
    else:
        CACHE.mkdir(exist_ok=True)
        for name in missing():
            PARTS[name].make()
            print(f"{name}: {PARTS[name].unavailable or f'in {PARTS[name].folder}'}", flush=True)
