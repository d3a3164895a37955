"""
A small XML document as a tree that knows its lines.

Expat reads it, without a document type: no entity is declared, so none can grow or name a file of
this host (CWE-611, CWE-776).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from netbootd.errors import MediaError, Place

_DEEPEST = 100


@dataclass(slots=True)
class Element:
    """One element; *text* is what stands in it directly, without the white space around it."""

    name: str
    attributes: dict[str, str]
    place: Place
    children: list[Element] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What stands in it, apart from further elements."""
        return "".join(self.parts).strip()

    def all(self, name: str) -> Iterator[Element]:
        """Its children of that *name*."""
        return (child for child in self.children if child.name == name)

    def child(self, *path: str) -> Element | None:
        """The first child of each name in turn, or None."""
        found: Element | None = self
        for name in path:
            found = next(found.all(name), None) if found else None
        return found

    def say(self, *path: str) -> str:
        """The text of a child; empty where there is none."""
        found = self.child(*path)
        return found.text if found else ""


class _Refused(Exception):
    """It has what a configuration has no use for."""


def parse(text: str, file: Path) -> Element:
    """The root of *text*.  Raises MediaError with file and line."""
    parser = expat.ParserCreate(encoding="utf-8")
    top = Element("", {}, Place(str(file), 1))
    open_ones = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(open_ones) > _DEEPEST:
            raise _Refused(f"elements are nested deeper than {_DEEPEST} levels")
        made = Element(name, attributes, Place(str(file), parser.CurrentLineNumber))
        open_ones[-1].children.append(made)
        open_ones.append(made)

    def refuse(*_: object) -> None:
        raise _Refused("a document type is not taken: it could name other files")

    parser.StartElementHandler = start

    def end(_: str) -> None:
        open_ones.pop()

    def say(data: str) -> None:
        open_ones[-1].parts.append(data)

    parser.EndElementHandler = end
    parser.CharacterDataHandler = say
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as problem:
        told = f"{Place(str(file), problem.lineno)}: {expat.ErrorString(problem.code)}"
        raise MediaError(told) from None
    except _Refused as problem:
        raise MediaError(f"{Place(str(file), parser.CurrentLineNumber)}: {problem}") from None
    return top.children[0]
