"""
Every medium as one stream of entries: ISO image, tar, Debian package, folder or disk image.

**libarchive, only here** (https://www.libarchive.org): ISO 9660 with Rock Ridge, Joliet and files
of more than 4 GiB, and tar in every compression, read as a stream and never whole.  The first bytes
of a file say what it is, not its name, and libarchive is told that one format and compression.
Left to guess it would also try formats that no medium has, such as mtree, which can name any file
of this host as its content, and compressions for which it starts other programs.

An entry says what its medium says: a path may be anything here, hostile ones included.  What may be
made of it is decided in ``tree`` and ``copy``.
"""

from __future__ import annotations

import gzip
import logging
import os
import stat
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from netbootd.errors import MediaError
from netbootd.printable import printable

BLOCK = 1 << 20
"""Bytes that are read and written at a time."""

_SECTOR = 2048
_DESCRIPTOR = 16 * _SECTOR  # ECMA-119, 6.2.1: where the volume descriptors begin
_DEB = b"!<arch>\n"
_TAR_MARK = 257  # POSIX.1-1988 ustar: where a header has "ustar"

#: First bytes, and what libarchive calls the compression that begins so.
_FILTERS = (
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
)
_HOW_TO_INSTALL = (
    "libarchive is missing, which reads ISO images and archives: "
    "apt install libarchive13 (libarchive13t64 from Debian 13 on), "
    "and in netbootd's Python environment: pip install libarchive-c"
)


class Kind(Enum):
    """What an entry is."""

    FILE = auto()
    FOLDER = auto()
    SYMLINK = auto()
    HARDLINK = auto()
    SPECIAL = auto()


class Form(Enum):
    """What a medium is; the value is how a person calls it."""

    ISO = "ISO image"
    ARCHIVE = "archive"
    FOLDER = "folder"
    DISK = "disk image"


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One thing on a medium; *size* in bytes, *link* what a link names.

    *blocks* reads a file's content, once, before the next entry is asked for.
    """

    path: str
    kind: Kind
    size: int
    link: str
    blocks: Callable[[], Iterator[bytes]]


Entries: TypeAlias = Generator[Entry, None, None]


@dataclass(frozen=True, slots=True)
class Source:
    """A medium; *entries* begins anew each time.  *label* is an ISO's volume name."""

    file: Path
    form: Form
    entries: Callable[[], Entries]
    label: str = ""

    @property
    def size(self) -> int:
        """Of the file itself, in bytes."""
        return self.file.stat().st_size


def open_source(file: Path) -> Source:
    """The medium in *file*; raises MediaError where it is none, and OSError."""
    if file.is_dir():
        return Source(file, Form.FOLDER, lambda: _folder_entries(file))
    if not file.is_file():
        _ = file.stat()
        raise MediaError(f"{_name(file)} is neither a file nor a folder")
    with file.open("rb") as opened:
        return _recognised(file, opened)


def read_blocks(file: Path) -> Iterator[bytes]:
    """All of *file*, a block at a time; OSError where a link is in its place."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as opened:
        while block := opened.read(BLOCK):
            yield block


def _recognised(file: Path, opened: BinaryIO) -> Source:
    head = opened.read(_DESCRIPTOR + _SECTOR)
    if head[_DESCRIPTOR + 1 : _DESCRIPTOR + 6] == b"CD001":
        _must_be_whole(file, head[_DESCRIPTOR:])
        entries = _Archive(file, "iso9660", "none").entries
        return Source(file, Form.ISO, entries, _text(head[_DESCRIPTOR + 40 : _DESCRIPTOR + 72]))
    if head.startswith(_DEB):
        offset, compression = _package_data(file, opened)
        return Source(file, Form.ARCHIVE, _Archive(file, "tar", compression, offset).entries)
    compression = _compression(head)
    if compression != "none" or head[_TAR_MARK : _TAR_MARK + 5] == b"ustar":
        archive = _Archive(file, "tar", compression)
        if compression == "none" or archive.opens():
            return Source(file, Form.ARCHIVE, archive.entries)
    if _is_disk(_first_sector(file, head, compression)):
        return Source(file, Form.DISK, lambda: _disk_entries(file))
    raise MediaError(
        f"{_name(file)} is neither an ISO image nor a tar, a Debian package or a disk image"
    )


def _compression(head: bytes) -> str:
    return next((name for magic, name in _FILTERS if head.startswith(magic)), "none")


def _first_sector(file: Path, head: bytes, compression: str) -> bytes:
    """Of a disk image, which may be compressed as memdisk can take it, by gzip; else nothing."""
    if compression != "gzip":
        return head[:512] if file.stat().st_size % 512 == 0 else b""
    try:
        with gzip.open(file) as opened:
            return opened.read(512)
    except (OSError, EOFError, zlib.error):
        return b""


def _is_disk(sector: bytes) -> bool:
    """Whether a BIOS would start it, or DOS made it a floppy: those begin with a jump."""
    return len(sector) == 512 and (sector.endswith(b"\x55\xaa") or sector[:1] in (b"\xeb", b"\xe9"))


def _must_be_whole(file: Path, descriptor: bytes) -> None:
    """Compare an ISO's size with what its first descriptor says (ECMA-119, 8.4.8 and 8.4.12)."""
    blocks = int.from_bytes(descriptor[80:84], "little")
    wanted = blocks * int.from_bytes(descriptor[128:130], "little")
    there = file.stat().st_size
    if there < wanted:
        raise MediaError(f"{_name(file)} is cut off: it has {there} of {wanted} bytes")


def _package_data(file: Path, opened: BinaryIO) -> tuple[int, str]:
    """
    Where in a Debian package the tar of its files begins, and how that is compressed.

    The package is an ar archive (deb(5)): headers of 60 bytes, each member on an even offset.
    """
    offset = len(_DEB)
    while True:
        opened.seek(offset)
        header = opened.read(60)
        size = header[48:58].strip()
        if len(header) < 60 or header[58:] != b"`\n" or not size.isdigit():
            raise MediaError(f"{_name(file)} is no Debian package: it has no data.tar")
        if header.startswith(b"data.tar"):
            return offset + 60, _compression(opened.read(6))
        offset += 60 + int(size) + int(size) % 2


def _text(field: bytes) -> str:
    return field.decode("ascii", "replace").strip(" \0")


def _name(file: Path) -> str:
    return printable(os.fsencode(file).decode("utf-8", "backslashreplace"))


# -- archives --------------------------------------------------------------------------------------


def _library() -> Any:
    """libarchive's binding; raises MediaError, which says how to install it."""
    try:
        import libarchive  # noqa: PLC0415  looks for the C library, which may be missing
    except (ImportError, OSError, AttributeError):  # the latter two: no C library, or none of ours
        raise MediaError(_HOW_TO_INSTALL) from None
    logging.getLogger("libarchive").addHandler(logging.NullHandler())  # odd names, by the thousand
    return libarchive


@dataclass(frozen=True, slots=True)
class _Archive:
    """*file* from *offset* on, in the one *form* and *compression* of libarchive's that it has."""

    file: Path
    form: str
    compression: str
    offset: int = 0

    def entries(self) -> Entries:
        library = _library()
        with self._told(library), self.file.open("rb", buffering=0) as opened:
            opened.seek(self.offset)
            with library.fd_reader(opened.fileno(), self.form, self.compression) as archive:
                for entry in archive:
                    yield self._entry(entry, library)

    def opens(self) -> bool:
        """Whether a tar is inside the compression; what is not may be a compressed disk image."""
        _library()
        with closing(self.entries()) as entries:
            try:
                return next(entries, None) is not None
            except MediaError:
                return False

    def _entry(self, entry: Any, library: Any) -> Entry:
        def blocks() -> Iterator[bytes]:
            with self._told(library):
                yield from entry.get_blocks(BLOCK)

        return Entry(
            path=_path_text(entry.pathname),
            kind=Kind.HARDLINK if entry.islnk else _kind(entry.filetype),
            size=entry.size or 0,
            link=_path_text(entry.linkpath),
            blocks=blocks,
        )

    @contextmanager
    def _told(self, library: Any) -> Iterator[None]:
        """libarchive's own error as ours."""
        try:
            yield
        except library.ArchiveError as problem:
            told = printable(str(problem.msg or problem))
            raise MediaError(f"{_name(self.file)} cannot be read: {told}") from None


def _path_text(path: str | bytes | None) -> str:
    """libarchive gives bytes where a name is not of the locale's encoding."""
    return os.fsdecode(path or "")


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.FOLDER
    return Kind.SYMLINK if stat.S_ISLNK(mode) else Kind.SPECIAL


# -- folders and disk images -----------------------------------------------------------------------


def _folder_entries(root: Path) -> Entries:
    """What is in *root*, in the order of the names, symbolic links as such."""
    for folder, subfolders, files in os.walk(root, onerror=_fail):
        subfolders.sort()
        for name in sorted((*subfolders, *files)):
            path = Path(folder, name)
            yield _path_entry(path, str(path.relative_to(root)))


def _fail(problem: OSError) -> None:
    raise problem


def _path_entry(path: Path, shown: str) -> Entry:
    status = path.lstat()
    kind = _kind(status.st_mode)
    link = os.readlink(path) if kind is Kind.SYMLINK else ""
    return Entry(shown, kind, status.st_size, link, lambda: read_blocks(path))


def _disk_entries(file: Path) -> Entries:
    yield _path_entry(file.resolve(), file.name)
