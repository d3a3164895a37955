"""
Boot programs: found when the configuration is loaded, and held in memory from then on.

A program that is replaced on disk while a node fetches it can neither tear nor, as a map would,
kill the daemon; and which loader a machine gets is decided without a look at the disk.  One that is
replaced, or put there, counts from the next reload.

A *firmware* folder gives all boot programs that lie in it, by the endings of their names; an
earlier folder wins, and the file root over all of them.  Of the file root only those files are
programs that a firmware folder or the configuration calls by name: the rest are files.

Some have another name than the one by which clients ask.  Debian's signed files end in ``.signed``,
and its GRUB for the network is the ``grubx64.efi`` that a shim looks for beside itself.  The
modules of SYSLINUX have the same names for BIOS and both kinds of UEFI: those of UEFI stand in
folders of their own here, ``efi32`` and ``efi64``, with the ``syslinux.efi`` that asks for them.

One whose SHA-256 is not what the ``SHA256SUMS`` of its folder lists is found, and said to be so: it
takes its place, and nobody may get it (``sums``).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from netbootd import loaders
from netbootd.sums import Sums

#: Bytes of the largest program that is held.
LARGEST = 16 << 20
_SUFFIXES = (
    *(".efi", ".efi.signed", ".kpxe", ".kkpxe", ".pxe", ".lkrn", ".0"),
    *(".c32", ".e32", ".e64", ".elf", ".bin", ".dat", ".dtb"),
)
_NAMES = frozenset({loaders.MEMDISK, "wimboot"})
#: Folders below a firmware folder that hold programs as well, and what goes before their names.
_INSIDE = {
    "": "",
    **dict.fromkeys(("x86_64-efi-signed", "i386-efi-signed", "arm64-efi-signed"), ""),
    **dict.fromkeys(("bios", "modules/bios"), ""),
    **dict.fromkeys(("efi32", "modules/efi32"), "efi32/"),
    **dict.fromkeys(("efi64", "modules/efi64"), "efi64/"),
    "ipxeboot": "ipxeboot/",
    **{
        f"ipxeboot/{cpu}{signed}": f"ipxeboot/{cpu}{signed}/"
        for cpu in ("i386", "x86_64", "arm32", "arm64", "riscv32", "riscv64", "loong64")
        for signed in ("", "-sb")
    },
}
#: Images of GRUB that are not for the network: they look for their disk.
_NOT_FOR_US = re.compile(r"gcd\w+\.efi.*|grub(?!net)\w+\.efi\.signed|grubnet\w+-installer\..*")


@dataclass(frozen=True, slots=True)
class Program:
    """
    A loader, held whole; *path* is where it was found, and *listed* the SHA-256 that it is to have,
    empty where nobody says one.
    """

    name: str
    path: Path
    data: bytes
    sha256: str
    listed: str = ""

    @property
    def altered(self) -> bool:
        """Whether it is another than the one that is listed."""
        return self.listed not in ("", self.sha256)


def find_programs(
    root: Path,
    folders: Iterable[Path] = (),
    wanted: Iterable[str] = (),
    sums: Sums | None = None,
) -> dict[str, Program]:
    """
    The programs in the firmware *folders*, and those of *root* that take their place, that every
    set knows, or that are *wanted*: names or paths below it.

    What is empty or cannot be read is as good as absent; the banner and ``netbootd firmware`` list
    the rest.  *sums* are told what is wrong with lists of hashes.
    """
    places: dict[str, list[tuple[Path, Path]]] = {}
    for folder in folders:
        for name, path in _of_folder(folder):
            places.setdefault(name, []).append((folder, path))
    real_root = os.path.realpath(root)
    for name in {*places, *loaders.NAMES, loaders.MEMDISK, *wanted}:
        real = os.path.realpath(os.path.join(real_root, name))
        if real.startswith(real_root.rstrip("/") + "/") and os.path.isfile(real):
            places.setdefault(name, []).insert(0, (root, root / name))
    sums = sums or Sums()
    found = (_first(name, those, sums) for name, those in sorted(places.items()))
    return {program.name: program for program in found if program}


def name_of(file: str) -> str:
    """The name by which clients ask for *file*; empty for what is no boot program of theirs."""
    if _NOT_FOR_US.fullmatch(file) or not (file in _NAMES or file.endswith(_SUFFIXES)):
        return ""
    name = file.removesuffix(".signed")
    return name.replace("grubnet", "grub", 1) if name.startswith("grubnet") else name


def _of_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and paths; a folder that is not there has none."""
    for inside, prefix in _INSIDE.items():
        try:
            files = sorted(os.listdir(folder / inside))
        except OSError:
            continue
        for file in files:
            # Signed before not: one who has both beside each other wants the former.
            if (name := name_of(file)) and not (
                not file.endswith(".signed") and f"{file}.signed" in files
            ):
                yield prefix + name, folder / inside / file


def _first(name: str, places: Iterable[tuple[Path, Path]], sums: Sums) -> Program | None:
    """What stands at the first of *places* that can be read; of each the folder goes first."""
    return next(filter(None, (_read(name, path, folder, sums) for folder, path in places)), None)


def _read(name: str, path: Path, folder: Path, sums: Sums) -> Program | None:
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    if not data:
        return None
    return Program(name, path, data, hashlib.sha256(data).hexdigest(), sums.of(path, folder))
