"""
Reading the log: all of it in order, over the cuts, or the last lines of one machine.

Both read what another thread writes.  A line is there when its newline is.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from netbootd.logbook import files
from netbootd.logbook.files import Place
from netbootd.logbook.marks import BLOCK, Mark

_CHUNK = 1 << 18  # bytes of one read
_BROKEN = (OSError, EOFError, zlib.error)  # what a damaged or vanished file raises


class Tape:
    """
    The log from *place* on, None for its beginning; goes on in the next file where one ends.

    A file that was removed is left out: the next that there is goes on at its beginning.
    """

    def __init__(self, folder: Path, place: Place | None = None) -> None:
        self.place = place or Place("", 0)
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._whole: deque[bytes] = deque()
        self._rest = b""

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""
        self._whole.clear()

    def seek(self, place: Place) -> None:
        """Go on at *place*."""
        self.close()
        self.place = place

    def read(self, most: int, size: int = 1 << 22) -> list[tuple[Place, bytes]]:
        """
        The next lines without their newline, each with the place behind it: at most *most*, and not
        many more than *size* bytes.  Empty when there is no more yet.

        Raises OSError where a file is there and cannot be opened: it may be another time.
        """
        found: list[tuple[Place, bytes]] = []
        length = 0
        while len(found) < most and length < size:
            # In this order: what is written to a file stands there before the next one begins.
            identities = files.identities(self._folder)
            if self._fill():
                while self._whole and len(found) < most and length < size:
                    line = self._whole.popleft()
                    length += len(line) + 1
                    self.place = Place(self.place.file, self.place.offset + len(line) + 1)
                    found.append((self.place, line))
                continue
            after = [one for one in identities if one > self.place.file]
            if not after:
                break
            self.seek(Place(after[0], 0))
        return found

    def _fill(self) -> bool:
        """Have whole lines at hand; False where there are none yet, or no such file."""
        try:
            file = self._file or self._open()
        except (FileNotFoundError, gzip.BadGzipFile, EOFError, zlib.error):
            return False
        try:
            while not self._whole and (more := file.read(_CHUNK)):
                *whole, self._rest = (self._rest + more).split(b"\n")
                self._whole.extend(whole)
        except _BROKEN:
            pass
        return bool(self._whole)

    def _open(self) -> IO[bytes]:
        if not self.place.file:
            raise FileNotFoundError
        self._file = files.opened(self._folder, self.place.file)
        self._file.seek(self.place.offset)
        return self._file


def offsets(folder: Path, identity: str) -> Iterator[tuple[int, bytes]]:
    """Every whole line of *identity* and where it begins; ends where the file is damaged."""
    offset = 0
    with contextlib.suppress(*_BROKEN), files.opened(folder, identity) as file:
        for line in file:
            if line.endswith(b"\n"):
                yield offset, line
            offset += len(line)


def backwards(
    folder: Path, key: str, boot: int, where: Iterable[tuple[str, Mark | None]]
) -> Iterator[dict[str, Any]]:
    """
    The documents of the machine *key*, the last one first; *boot* 0 for all its boots.

    *where*: files in the order in which they are to be read, with the blocks to look at, or None
    for all.
    """
    said = b'"' + json.dumps(key, ensure_ascii=False)[1:].encode("utf-8", "replace")
    for identity, mark in where:
        if mark is not None and not mark.has(boot):
            continue
        for block in _blocks(folder, identity, mark):
            for line in reversed(block):
                document = _document(line) if said in line else None
                if document is not None and _is_of(document, key, boot):
                    yield document


def _is_of(document: dict[str, Any], key: str, boot: int) -> bool:
    """Whether it is a line of *key*, and of *boot*; an address finds those of nobody's machine."""
    ours = document.get("netbootd", {})
    owner = ours.get("machine") or document.get("source", {}).get("ip")
    return owner == key and (boot == 0 or ours.get("boot_id", 0) == boot)


def _document(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _blocks(folder: Path, identity: str, mark: Mark | None) -> Iterator[list[bytes]]:
    """The lines of each block in *mark*, the last block first."""
    with contextlib.suppress(*_BROKEN), files.opened(folder, identity) as file:
        if mark is None:
            # It is not indexed yet: all of it, as one block.
            yield file.read().splitlines(keepends=True)
            return
        if not file.name.endswith(".gz"):
            for number in mark.numbers():
                yield _block(file, number)
            return
        pieces = {number: _block(file, number) for number in reversed(mark.numbers())}
        yield from reversed(pieces.values())


def _block(file: IO[bytes], number: int) -> list[bytes]:
    """The lines that begin in block *number*; reading on is all that a compressed file can do."""
    start = number * BLOCK
    # From the byte before: it tells whether a line begins with the block.
    file.seek(max(0, start - 1))
    skipped = len(file.readline()) - 1 if start else 0
    at = start + skipped
    lines = []
    while at < start + BLOCK and (line := file.readline()):
        lines.append(line)
        at += len(line)
    return lines
