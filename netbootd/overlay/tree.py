"""
An admin's folder of files for the root of machines, read whole when the configuration is loaded.

Files are taken as they are, with their modes; a name that ends in ``.j2`` is rendered for each
machine and loses that ending.  A symbolic link stays one: it means a place in the machine's root,
and what it names here is never looked at.  So an absolute link is fine, while one that leads out of
the folder by ``..`` is most likely a mistake, and a fault.  Each file is opened without following
links, from its folder's own descriptor: a link put in the way at that moment gains nothing.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netbootd.errors import RenderError
from netbootd.overlay import cpio
from netbootd.rendering import SUFFIX, TextTemplate, compile_text

#: Bytes of one overlay: it goes into the memory of each machine, beside kernel and initrd.
LARGEST = 16 << 20
#: Mounted over when the system starts, or the machine's own: files there would never be seen.
HIDDEN = ("dev", "proc", "run", "sys", "var/run", "var/lock", ".netbootd")


@dataclass(frozen=True, slots=True)
class Item:
    """One entry: *mode* with the bits of its type, *content* of a file, or where a link leads."""

    path: str
    mode: int
    content: bytes | TextTemplate = b""

    def entry(self, names: Mapping[str, Any]) -> cpio.Entry:
        """The same for one machine; raises RenderError."""
        if isinstance(self.content, bytes):
            return cpio.Entry(self.path, self.mode, self.content)
        text = self.content.render(names)
        return cpio.Entry(self.path, self.mode, text.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with *file* of an overlay."""

    code: str
    file: Path
    text: str


@dataclass(frozen=True, slots=True)
class Tree:
    """
    The overlay *name*; *read* are the files and folders it was made from.

    *broken* is why it must not be used, empty where it may.
    """

    name: str
    items: tuple[Item, ...] = ()
    broken: str = ""
    read: tuple[Path, ...] = field(default=(), compare=False)

    @property
    def templates(self) -> tuple[TextTemplate, ...]:
        """Those of its files that are rendered."""
        return tuple(i.content for i in self.items if isinstance(i.content, TextTemplate))


def read(folder: Path, faults: list[Fault]) -> Tree:
    """
    The overlay in *folder*; what is wrong goes to *faults*, and what is not is in the Tree.

    Raises OSError where *folder* itself cannot be read; NotADirectoryError if it is a link.
    """
    return _Reading(folder, faults).tree()


class _Reading:
    def __init__(self, folder: Path, faults: list[Fault]) -> None:
        self._folder = folder
        self._faults = faults
        self._size = 0
        self._items: dict[str, Item] = {}
        self._read: list[Path] = []

    def tree(self) -> Tree:
        self._walk("", _open_folder(str(self._folder)))
        items = tuple(self._items[path] for path in sorted(self._items))
        return Tree(self._folder.name, items, read=tuple(self._read))

    def _walk(self, above: str, fd: int) -> None:
        self._read.append(self._folder / above)
        try:
            with os.scandir(fd) as found:
                entries = sorted(found, key=lambda entry: entry.name)
            for entry in entries:
                if self._size <= LARGEST:
                    self._take(posixpath.join(above, entry.name), entry, fd)
        finally:
            os.close(fd)

    def _take(self, path: str, entry: os.DirEntry[str], fd: int) -> None:
        if told := _unusable(path):
            return self._fault("overlay-path", path, told)
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                self._take_link(path, mode, os.readlink(entry.name, dir_fd=fd))
            elif stat.S_ISDIR(mode):
                self._keep(Item(cpio.merged(path), mode))
                self._walk(path, _open_folder(entry.name, fd))
            elif stat.S_ISREG(mode):
                self._take_file(path, *self._content(path, entry.name, fd))
            else:
                self._fault("overlay-path", path, "only files, folders and links go with a node")
        except FileNotFoundError:
            pass  # deleted while we read: the watch on its folder rings
        except OSError as problem:
            self._fault("overlay-unreadable", path, problem.strerror or str(problem))

    def _content(self, path: str, name: str, fd: int) -> tuple[int, bytes]:
        self._read.append(self._folder / path)
        # Non-blocking: a pipe that took the file's place would keep us waiting for ever.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(name, flags, dir_fd=fd), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "it was another kind of file a moment ago")
            body = file.read(LARGEST + 1 - self._size)
        self._size += len(body)
        if self._size > LARGEST:
            told = (
                f"the overlay is larger than {LARGEST >> 20} MiB; each machine keeps it in memory"
            )
            self._fault("overlay-large", "", told)
        return mode, body

    def _take_file(self, path: str, mode: int, body: bytes) -> None:
        if not path.endswith(SUFFIX):
            return self._keep(Item(cpio.merged(path), mode, body))
        try:
            template = compile_text(str(self._folder / path), body.decode())
        except RenderError as problem:
            return self._fault("template-error", path, str(problem))
        except UnicodeDecodeError:
            return self._fault("template-error", path, "is not UTF-8; only text can be rendered")
        return self._keep(Item(cpio.merged(path.removesuffix(SUFFIX)), mode, template))

    def _take_link(self, path: str, mode: int, to: str) -> None:
        ends = posixpath.normpath(posixpath.join(posixpath.dirname(path), to))
        if ends == ".." or ends.startswith("../"):
            told = f"the link leads out of the overlay, to {to}; the machine's root is /"
            return self._fault("overlay-leaves", path, told)
        return self._keep(Item(cpio.merged(path), mode, to.encode("utf-8", "surrogateescape")))

    def _keep(self, item: Item) -> None:
        before = self._items.setdefault(item.path, item)
        both_folders = stat.S_ISDIR(before.mode) and stat.S_ISDIR(item.mode)
        if before is not item and not both_folders:
            told = "is there twice: as it is and to be rendered, or below / and below /usr"
            self._fault("overlay-path", item.path, told)

    def _fault(self, code: str, path: str, text: str) -> None:
        self._faults.append(Fault(code, self._folder / path, text))


def _open_folder(name: str, fd: int | None = None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=fd)


def _unusable(path: str) -> str | None:
    if not path.isprintable():
        return "the names of files are printable characters"
    if any(f"{path.removesuffix(SUFFIX)}/".startswith(f"{hidden}/") for hidden in HIDDEN):
        return "would not be seen: something else is mounted there when the machine is up"
    if posixpath.basename(path) == SUFFIX:
        return f'"{SUFFIX}" alone is no name'
    return None


def entries(trees: tuple[Tree, ...], names: Mapping[str, Any]) -> Iterator[cpio.Entry]:
    """What *trees* together put on the root of one machine, later ones over earlier ones."""
    for tree in trees:
        for item in tree.items:
            yield item.entry(names)
