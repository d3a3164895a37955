"""
``netbootd firmware``: the boot programs that are there, by the architecture that loads them, and
those that are chosen and are not.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from netbootd import loaders
from netbootd.arch import Arch
from netbootd.loaderfile import LoaderFile, inspect
from netbootd.printable import printable
from netbootd.programs import Program
from netbootd.registry.programs import FIRSTS, Chosen
from netbootd.registry.snapshot import Registry
from netbootd.sums import NAME

_LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    A program as one *family* of architectures loads it; *set* is what it belongs to, or empty.

    *chosen*: some machine of that family may get it.  *origin* is the package that owns the file,
    with its version, or empty.  *wrong* is why it cannot work, empty if nothing speaks against it.
    *listed* is the SHA-256 that it is to have by the ``SHA256SUMS`` of its folder, or empty.
    """

    family: str
    arch: str
    set: str
    file: str
    path: str
    origin: str
    product: str
    version: str
    sha256: str
    listed: str
    signed: bool
    signers: tuple[str, ...]
    brand: str
    chosen: bool
    wrong: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """
    What a family would load and is not there: *files*, any of which would do, and *sources*, where
    they are to be had.  *needed*: the choice *by* has no file for any architecture.
    """

    family: str
    arch: str
    set: str
    files: tuple[str, ...]
    sources: tuple[str, ...]
    needed: bool
    by: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """All of it; *well* is False where something that was chosen is missing or cannot work."""

    rows: tuple[Row, ...]
    missing: tuple[Missing, ...]

    @property
    def well(self) -> bool:
        """Whether everything that was chosen is there and is what it is called."""
        return not any(row.chosen and row.wrong for row in self.rows) and not any(
            one.needed for one in self.missing
        )


def take(registry: Registry) -> Inventory:
    """Look at every program that *registry* holds; the files were read when it was loaded."""
    held = {id(program): program for program in registry.library.programs.values()}
    origins = owners(program.path for program in held.values())
    looked: dict[int, LoaderFile] = {}
    rows: list[Row] = []
    for arch, word, name in _places(registry.chosen):
        program = registry.library.program(name) or registry.library.programs.get(name)
        if program is None:
            continue
        seen = looked.setdefault(id(program), inspect(program.data))
        later = any((row.family, row.set) == (arch.family, word) for row in rows) and bool(word)
        row = _row(arch, word, program, seen, origins, () if later else registry.chosen)
        rows.append(row)
    return Inventory(tuple(rows), tuple(_missing(registry, registry.chosen)))


def _places(chosen: Iterable[Chosen]) -> Iterator[tuple[Arch, str, str]]:
    """Each architecture with each set's names for it, and the files that were chosen by name."""
    named = [one for one in chosen if one.word not in loaders.SETS]
    arches = {arch.family: arch for arch in FIRSTS}
    arches |= {one.arch.family: one.arch for one in chosen if one.arch}
    for arch in arches.values():
        told: set[str] = set()
        for word in loaders.SETS:
            for name in loaders.names(word, arch):
                if name not in told:
                    told.add(name)
                    yield arch, word, name
        for one in named:
            if one.arch is not None and one.arch.family == arch.family and one.word not in told:
                told.add(one.word)
                yield arch, "", one.word
    for one in named:
        if one.arch is None:
            yield FIRSTS[0], "", one.word


def _row(
    arch: Arch,
    word: str,
    program: Program,
    seen: LoaderFile,
    origins: Mapping[Path, str],
    chosen: Iterable[Chosen],
) -> Row:
    return Row(
        family=arch.family,
        arch=arch.name,
        set=word,
        file=program.name,
        path=str(program.path),
        origin=origins.get(program.path, ""),
        product=seen.product,
        version=seen.version,
        sha256=program.sha256,
        listed=program.listed,
        signed=seen.signed,
        signers=seen.signers,
        brand=seen.brand,
        chosen=any(
            one.word in (word, program.name)
            and (one.arch is None or one.arch.family == arch.family)
            for one in chosen
        ),
        wrong=_altered(program)
        or ("its end is missing" if seen.cut else _wrong(arch, seen) if word else ""),
    )


def _altered(program: Program) -> str:
    return f"refused: {NAME} lists {program.listed}" if program.altered else ""


def _wrong(arch: Arch, seen: LoaderFile) -> str:
    """A file for another machine would only make its firmware go on to the next boot device."""
    by_efi = arch.family.startswith("efi-")
    if not seen.family or seen.family == arch.family or not (by_efi or arch.family == "bios"):
        return ""
    return "it is no UEFI program" if seen.family == "bios" else f"it is for {seen.family}"


def _missing(registry: Registry, chosen: Iterable[Chosen]) -> Iterator[Missing]:
    told: set[tuple[str, str]] = set()
    for one in chosen:
        needed = not one.there(registry.library)
        for arch in one.arches():
            names = loaders.names(one.word, arch)
            if (arch.family, one.word) in told or any(map(registry.library.program, names)):
                continue
            if names or (needed and one.arch):
                told.add((arch.family, one.word))
                yield Missing(
                    family=arch.family,
                    arch=arch.name,
                    set=one.word if one.word in loaders.SETS else "",
                    files=names,
                    sources=loaders.origins(names),
                    needed=needed,
                    by=one.by,
                )


def owners(paths: Iterable[Path]) -> dict[Path, str]:
    """The Debian package that owns each of *paths*, with its version; nothing where dpkg is not."""
    real = {path: {str(path), os.path.realpath(path)} for path in paths}
    wanted = sorted(set().union(*real.values())) if real else []
    if not wanted:
        return {}
    owned: dict[str, str] = {}
    for line in _dpkg("-S", *wanted):
        package, _, path = line.partition(": ")
        if not package.startswith("diversion "):
            owned[path] = package.partition(",")[0]
    names = sorted(set(owned.values()))
    fields = "${binary:Package} ${Package} ${Version}\n"
    versions: dict[str, str] = {}
    for line in _dpkg("-W", "-f", fields, *names) if names else ():
        full, plain, version = (*line.split(" "), "", "")[:3]
        versions |= {full: f"{plain} {version}", plain: f"{plain} {version}"}
    return {
        path: versions.get(owned[name], owned[name])
        for path, names_of in real.items()
        for name in names_of
        if name in owned
    }


def _dpkg(*arguments: str) -> list[str]:
    """Lines of dpkg-query's answer; what it does not know makes it complain, and nothing else."""
    try:
        done = subprocess.run(  # noqa: S603  paths that were found, names that dpkg said
            ["/usr/bin/dpkg-query", *arguments],
            capture_output=True,
            text=True,
            errors="surrogateescape",  # names of files are bytes
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError:
        return []
    return done.stdout.splitlines()


def as_json(inventory: Inventory) -> str:
    """For programs."""
    told = {
        "programs": [asdict(row) for row in inventory.rows],
        "missing": [asdict(one) for one in inventory.missing],
    }
    return json.dumps(told, indent=1) + "\n"


def as_text(inventory: Inventory) -> str:
    """For a person: what is there, one architecture after the other, then what is not."""
    lines: list[str] = []
    family = ""
    for row in inventory.rows:
        if row.family != family:
            family = row.family
            lines += ["", f"{row.arch} ({family})"]
        lines += _told(row)
    needed = [one for one in inventory.missing if one.needed]
    if needed:
        lines += ["", "chosen, and not there"]
        lines += [f"  {_files(one)}: {one.by}{_sources(one)}" for one in needed]
    others = [one for one in inventory.missing if not one.needed]
    if others:
        lines += ["", "not there for"]
        lines += [f"  {one.arch}: {_files(one)}{_sources(one)}" for one in others]
    return "\n".join(printable(line, _LONGEST) for line in lines[1:]) + "\n"


def _told(row: Row) -> Iterator[str]:
    what = " ".join(filter(None, (row.product or "unknown", row.version)))
    signed = f"signed ({row.signers[0] if row.signers else 'by whom is unknown'})"
    brand = f", user class {row.brand}" if row.brand else ""
    star = "*" if row.chosen else " "
    yield f"{star} {row.file}  {what}{brand}, {signed if row.signed else 'not signed'}"
    yield f"      {row.path}  {row.origin or 'of no package'}"
    as_listed = f", as {NAME} lists it" if row.listed == row.sha256 else ""
    yield f"      sha256 {row.sha256}{as_listed}"
    if row.wrong:
        yield f"      WRONG: {row.wrong}"


def _files(one: Missing) -> str:
    return " or ".join(one.files) or f"nothing that {one.arch} could load"


def _sources(one: Missing) -> str:
    return f"; {'; '.join(one.sources)}" if one.sources else ""
