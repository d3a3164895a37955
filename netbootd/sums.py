"""
``SHA256SUMS``: the hashes that files must have, beside them, as ``sha256sum`` writes and checks it.

A loader that is listed there and has another hash is refused; one that is not listed is as good as
it was.  Names may lead into folders below.  Read when programs are, never for a packet.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from netbootd.errors import Finding, Level, Place

NAME = "SHA256SUMS"
#: As sha256sum(1) writes it, and with its option --tag.
_LINE = re.compile(
    r"(?P<hash>[0-9a-fA-F]{64}) [ *](?P<name>.+)"
    r"|SHA256 \((?P<tagged>.+)\) = (?P<digest>[0-9a-fA-F]{64})"
)
_UNREADABLE = f"nothing, for {NAME} cannot be read"


class Sums:
    """What the lists of some folders say; *faults* is what is wrong in them."""

    def __init__(self) -> None:
        self.faults: list[Finding] = []
        self._lists: dict[Path, dict[str, str] | None] = {}

    def of(self, path: Path, folder: Path) -> str:
        """
        The SHA-256 that *path*, which lies in *folder* or below, is to have: in lower case, by the
        list beside it or else by that of *folder*.  Empty where neither names it.
        """
        for there in dict.fromkeys((path.parent, folder)):
            listed = self._list(there)
            if listed is None:
                return _UNREADABLE
            if digest := listed.get(os.path.relpath(path, there)):
                return digest
        return ""

    def _list(self, folder: Path) -> dict[str, str] | None:
        """Hashes by name; None where there is a list that cannot be read."""
        if folder not in self._lists:
            self._lists[folder] = self._read(folder / NAME)
        return self._lists[folder]

    def _read(self, file: Path) -> dict[str, str] | None:
        found: dict[str, str] = {}
        try:
            lines = file.read_text(errors="surrogateescape").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return found
        except OSError as problem:
            told = f"cannot be read: {problem.strerror}; no loader that it may list is served"
            self.faults.append(Finding(Level.RELOAD, "loader-sums", told, Place(str(file))))
            return None
        for number, line in enumerate(lines, start=1):
            if match := _LINE.fullmatch(line):
                digest = match["hash"] or match["digest"]
                found[os.path.normpath(match["name"] or match["tagged"])] = digest.lower()
            elif line.strip() and not line.startswith("#"):
                told = "is no line of sha256sum: a hash of 64 digits, two blanks and a name"
                self.faults.append(
                    Finding(Level.WARNING, "loader-sums", told, Place(str(file), number, 1))
                )
        return found
