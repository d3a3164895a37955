"""
The files of another server's configuration: read whole as text, never too much of it, and those
that they include, which may stand elsewhere here than there.
"""

from __future__ import annotations

import os
from pathlib import Path

from netbootd.dropins.reading import bytes_of
from netbootd.errors import MediaError, Place
from netbootd.printable import printable

#: Bytes of all files together: 100,000 reservations take a fifth of it.
MOST = 64 << 20
#: Files in all, and inside each other.
_MOST_FILES, _DEEPEST = 1000, 20


class Files:
    """What was read so far.  *folder* is that of the first file, where includes are looked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bytes = 0
        self._files = 0
        self._chain: list[str] = []

    def text(self, file: Path) -> str:
        """All of *file*; raises MediaError where that is no text, and OSError."""
        self._files += 1
        size = os.stat(file).st_size
        self._bytes += size
        if self._bytes > MOST or self._files > _MOST_FILES:
            raise MediaError(f"{printable(str(file))}: more than a configuration can be")
        return decoded(bytes_of(file), file)

    def enter(self, file: Path, by: Place) -> str:
        """
        The text of a file that is included at *by*, until ``leave``.

        Raises MediaError where it includes itself, or cannot be read.
        """
        real = os.path.realpath(file)
        if real in self._chain or len(self._chain) >= _DEEPEST:
            raise MediaError(f"{by}: {printable(str(file))} is included by itself, or too deep")
        try:
            text = self.text(file)
        except OSError as problem:
            told = f"{by}: {printable(str(file))} cannot be read: {problem.strerror}"
            raise MediaError(told) from None
        self._chain.append(real)
        return text

    def leave(self) -> None:
        """The file that was entered last is read."""
        self._chain.pop()

    def begin(self, file: Path) -> str:
        """The text of the first file; raises MediaError and OSError."""
        text = self.text(file)
        self._chain.append(os.path.realpath(file))
        return text

    def found(self, written: str, by: Place) -> Path | None:
        """
        The file that is called *written* there: as it says, from the folder of the file that names
        it, else one of the same name beside the first file, to where the admin copied them.
        """
        if not written or "\0" in written:
            return None
        beside = Path(by.file).parent
        for path in (beside / written, self.folder / Path(written).name):
            if path.exists():
                return path
        return None


def decoded(raw: bytes, file: Path) -> str:
    """Text in UTF-8, else in Latin-1, in which comments are met; raises MediaError for neither."""
    if b"\0" in raw:
        raise MediaError(f"{printable(str(file))} is no text: it holds a byte of zero")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
