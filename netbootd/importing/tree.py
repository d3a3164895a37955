"""
The table of contents of a medium: every path that may be taken, and where its bytes are.

A medium is read twice, first for its names and then for what was chosen: so room, progress and the
whole list are known before a byte is written, and a link may name what stands before it.  What is
copied are files only.  A link stands for the file it leads to, as long as that is on the medium;
nothing is ever looked up on this host.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from netbootd.content import parts_of
from netbootd.errors import Forbidden, MediaError
from netbootd.importing.sources import Entry, Kind, Source
from netbootd.printable import printable

_MOST_ENTRIES = 1_000_000
_MOST_LINKS = 40  # as the kernel: MAXSYMLINKS
_LONGEST_TEXT = 1 << 16

#: Small files that say what a medium is: the end of their path.
_TEXTS = (
    *(".disk/info", ".disk/mini-info", ".treeinfo", "version.info", ".alpine-release"),
    "pxelinux.cfg/default",
)


@dataclass(frozen=True, slots=True)
class Node:
    """What stands at a path: the entry's *number* from 0, its kind, size in bytes, and its link."""

    number: int
    kind: Kind
    size: int
    link: str = ""


@dataclass(slots=True)
class Tree:
    """
    *nodes* by clean path; of two with one path the later, as tar has it.

    *skipped* are the paths that were left out with the reason, *texts* what some small files say.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def file(self, path: str) -> Node | None:
        """The regular file that *path* is or leads to; None where there is none on the medium."""
        for _ in range(_MOST_LINKS):
            path, node = self._at(path)
            if node is None or node.kind is Kind.FILE:
                return node
            if node.kind is Kind.HARDLINK:
                path = posixpath.normpath(node.link)
            elif node.kind is Kind.SYMLINK:
                path = posixpath.normpath(posixpath.join(posixpath.dirname(path), node.link))
            else:
                return None
        return None

    def below(self, folder: str) -> Iterator[str]:
        """The paths of all files and links below *folder* (empty: all), relative to it."""
        start = f"{folder}/" if folder else ""
        for path, node in self.nodes.items():
            if path.startswith(start) and node.kind is not Kind.FOLDER:
                yield path.removeprefix(start)

    def _at(self, path: str) -> tuple[str, Node | None]:
        """The node at *path*, and its real path where a folder on the way is a link."""
        if path in self.nodes:
            return path, self.nodes[path]
        for _ in range(_MOST_LINKS):
            above = self._link_above(path)
            if above is None:
                break
            target = posixpath.join(posixpath.dirname(above), self.nodes[above].link)
            path = posixpath.normpath(target + path[len(above) :])
        return path, self.nodes.get(path)

    def _link_above(self, path: str) -> str | None:
        """The first folder on the way to *path* that is a symbolic link."""
        parts = path.split("/")
        ways = ("/".join(parts[:count]) for count in range(1, len(parts)))
        return next(
            (way for way in ways if way in self.nodes and self.nodes[way].kind is Kind.SYMLINK),
            None,
        )


def survey(source: Source) -> Tree:
    """Read all names of *source*; raises MediaError where it cannot be read."""
    tree = Tree()
    with closing(source.entries()) as entries:
        for number, entry in enumerate(entries):
            if number >= _MOST_ENTRIES:
                raise MediaError(f"more than {_MOST_ENTRIES} entries: this is no system's medium")
            _take(tree, number, entry)
    return tree


def clean(path: str) -> str:
    """
    *path* as it may stand below a folder; raises Forbidden where it may not.

    Absolute ones, those with ``..`` and names that a client could not ask for are refused.
    """
    if path.startswith("/"):
        raise Forbidden("absolute path")
    if "\\" in path:
        raise Forbidden("backslash in the name")
    return "/".join(parts_of(path))


def _take(tree: Tree, number: int, entry: Entry) -> None:
    try:
        path = clean(entry.path)
        path.encode()
    except (Forbidden, UnicodeEncodeError) as problem:
        reason = "name is not UTF-8" if isinstance(problem, UnicodeError) else str(problem)
        tree.skipped.append((printable(entry.path), reason))
        return
    if entry.kind is Kind.SPECIAL:
        tree.skipped.append((printable(path), "device, FIFO or socket"))
    elif path:
        tree.nodes[path] = Node(number, entry.kind, entry.size, entry.link)
        if entry.kind is Kind.FILE and entry.size <= _LONGEST_TEXT and path.endswith(_TEXTS):
            tree.texts[path] = b"".join(entry.blocks()).decode("utf-8", "replace")
