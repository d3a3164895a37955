"""
Write what Linux unpacks as an initramfs: a cpio archive in the "newc" format.

Pure and deterministic: the same entries give the same bytes.  Owner is root, all times are 0.

Three things keep a node from booting that a general cpio program would do gladly:

* The kernel makes no parent folders and silently drops a file without one: here they are added, and
  all folders come before all files.
* An entry for a folder that is a symbolic link in the machine's main initrd removes that link,
  whichever archive comes first; today ``lib``, ``bin`` and ``sbin`` are links into ``usr``, and
  everything below them would be gone.  What is put there goes to ``usr`` itself.
* EFI firmware lays several initrds end to end, and a kernel finds the next one only at a multiple
  of four bytes: the whole is padded to 512.

Sources: cpio(5), "New ASCII Format"; Linux, init/initramfs.c and
Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from netbootd.pieces import Pieces

#: What an archive ends with.
TRAILER = "TRAILER!!!"
#: First parts of a path that are links into ``usr`` where that was merged (file-hierarchy(7)).
MERGED = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32"})
_BLOCK = 512
_LONGEST_PATH = 4095  # PATH_MAX without its end mark; longer names end the unpacking


@dataclass(frozen=True, slots=True)
class Entry:
    """*mode* with the bits of its type, *body* a file's content or where a link leads to."""

    path: str
    mode: int
    body: bytes = b""


def folder(path: str, mode: int = 0o755) -> Entry:
    """A folder; those above it need no entry of their own."""
    return Entry(path, stat.S_IFDIR | mode)


def file(path: str, body: bytes, mode: int = 0o644) -> Entry:
    """A regular file."""
    return Entry(path, stat.S_IFREG | mode, body)


def link(path: str, to: str) -> Entry:
    """A symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, to.encode("utf-8", "surrogateescape"))


def merged(path: str) -> str:
    """*path* as a system whose ``/lib`` is ``/usr/lib`` knows it."""
    return f"usr/{path}" if path.partition("/")[0] in MERGED else path


def archive(entries: Iterable[Entry]) -> Pieces:
    """
    The archive of *entries*, of which a later one replaces an earlier one of the same path.  It has
    the files' own bytes, and no copies of them.

    Raises ValueError for a path that leads out of the archive, and where a file would have to be a
    folder as well.
    """
    by_path: dict[str, Entry] = {}
    for entry in entries:
        path = merged(_checked(entry.path))
        by_path[path] = replace(entry, path=path)
    for path in sorted(by_path):
        _add_parents(path, by_path)
    ordered = sorted(by_path.values(), key=lambda entry: (not _is_folder(entry), entry.path))
    pieces = [piece for at, entry in enumerate(ordered, start=1) for piece in _packed(at, entry)]
    pieces += _packed(0, Entry(TRAILER, 0))
    return Pieces([*pieces, bytes(-sum(map(len, pieces)) % _BLOCK)])


def _checked(path: str) -> str:
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\0" in path or parts[0] == TRAILER:
        raise ValueError(f"{path!r} is no path inside an archive")
    if len(_name(path)) > _LONGEST_PATH:
        raise ValueError(f"{path[:40]!r}... is too long a path")
    return path


def _add_parents(path: str, by_path: dict[str, Entry]) -> None:
    parent = path.rpartition("/")[0]
    while parent:
        if not _is_folder(by_path.setdefault(parent, folder(parent))):
            raise ValueError(f"{parent} is a file, and {path} is to be in it")
        parent = parent.rpartition("/")[0]


def _is_folder(entry: Entry) -> bool:
    return stat.S_ISDIR(entry.mode)


def _name(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _packed(inode: int, entry: Entry) -> Iterator[bytes]:
    """Header, name and content, the last two each padded to a multiple of four."""
    name = _name(entry.path) + b"\0"
    links = 2 if _is_folder(entry) else 1
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor,
    # namesize, check
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.body), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    yield head + bytes(-len(head) % 4)
    yield entry.body
    yield bytes(-len(entry.body) % 4)
