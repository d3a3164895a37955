"""
What was found on a medium, and what is to become of it: the values between looking and copying.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from netbootd.errors import MediaError
from netbootd.importing.copy import Item
from netbootd.importing.sources import Source
from netbootd.importing.tree import Tree

Line: TypeAlias = tuple[str, Any] | str
"""A key of the target and its value; or a comment."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_ENDING = re.compile(r"(\.(tar|iso|img|ima|deb|tgz|txz|gz|xz|zst|bz2))+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What an import is going to do.

    *title* is what the medium was taken for.  *folder*, below the file root, is made of *items*;
    *lines* are the target *type*/*name*; *notes* is what its admin has to know.  *remedy*: what to
    do where the folder is there with other files.
    """

    title: str
    type: str
    name: str
    folder: str
    items: tuple[Item, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    remedy: str = "Take another --name, or remove that folder"

    @property
    def size(self) -> int:
        """Of all its files, in bytes."""
        return sum(item.size for item in self.items)


@dataclass(frozen=True, slots=True)
class Found:
    """
    A medium that a row fits.

    *files* are the row's own by the names they get, *groups* what its pattern took from the path.
    """

    source: Source
    tree: Tree
    files: Mapping[str, str]
    groups: Mapping[str, str]
    wanted_name: str | None

    @property
    def root(self) -> str:
        """The folder on the medium in which the system is; empty, or with a slash at its end."""
        return self.groups.get("root") or ""

    def text(self, path: str) -> str:
        """What a small file beside the system says; empty if there is none."""
        return self.tree.texts.get(self.root + path, "")

    def items(self) -> Iterator[Item]:
        """The row's own files."""
        for name, path in self.files.items():
            yield self.item(name, path)

    def item(self, name: str, path: str) -> Item:
        """*path* of the medium, to be called *name*."""
        node = self.tree.file(path)
        if node is None:
            raise MediaError(f"{path} leads nowhere on the medium")
        return Item(name, node.size, node.number)

    def items_below(self, folder: str, into: str = "") -> Iterator[Item]:
        """All that is below *folder* of the medium; a link to no file of the medium is left out."""
        for path in self.tree.below(folder.rstrip("/")):
            if node := self.tree.file(f"{folder}{path}"):
                yield Item(into + path, node.size, node.number)

    def name(self, *parts: str) -> str:
        """What was asked for; else *parts* joined, where they are known; else after the file."""
        if self.wanted_name is not None:
            return self.wanted_name
        known = [part for part in parts if part]
        return slug("-".join(known)) if len(known) > 1 else named_after(self.source)


def slug(text: str) -> str:
    """*text* as the name of a target and a folder, fit for a URL, and never a placeholder."""
    name = re.sub(r"[^A-Za-z0-9._+]+", "-", text).strip("-._+")[:64]
    name = re.sub("__+", "_", name)
    return name or "system"


def named_after(source: Source) -> str:
    """A name made of the medium's own, without the endings that say its form."""
    return slug(_ENDING.sub("", source.file.name))


def checked_name(text: str) -> str:
    """A name that was typed; raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name: letters, digits and . _ + -, at most 64")
    return text
