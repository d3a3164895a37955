"""
A Registry crosses from the process that has read it to the one that serves it.

What is large goes in pieces, so that taking it never keeps the other threads waiting for more than
a millisecond or two (``unhurried``): the machines as rows of a Roll, the ways to find them, the
findings.  All else is one pickle; both sides are the same program, and nobody else has a say in the
pipe between them.

A compiled template does not cross: the taker makes it anew, of the same text, or says Stale where
the files have changed meanwhile.  Values of files lose their places, which only loading looks at.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from netbootd.mac import MAC
from netbootd.registry import roll, scripts
from netbootd.registry.roll import Index, Roll
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import Array, Object
from netbootd.rendering import BrokenText, TextTemplate, compile_together
from netbootd.targets.ipxe import BrokenTemplate, ScriptTemplate, Templates
from netbootd.unhurried import unhurried

#: Where machines are found by something else than a card.
_FOUND_BY = ("named", "addresses", "reserved", "pis", "called")
_PIECE = 200  # machines, or findings: about a millisecond's work


class Stale(Exception):
    """A template has another text here than there."""


def give(registry: Registry, out: BinaryIO) -> None:
    """Write *registry*; raises roll.Unfit."""
    pickler = _Giving(out)
    machines = registry.machines
    rolled = Roll.of(machines)
    indexes = {name: roll.index(getattr(registry, name), rolled, machines) for name in _FOUND_BY}
    marked = {mark: roll.index(found, rolled, machines) for mark, found in registry.marked.items()}
    emptied: dict[str, Any] = {name: {} for name in (*_FOUND_BY, "machines", "marked")}
    rest = replace(registry, findings=(), **emptied)
    pickler.dump((rest, rolled.kinds, rolled.shapes))
    _give_all(((bytes(mac), row) for mac, row in rolled.rows()), pickler)
    for each in (indexes, marked):
        pickler.dump({name: dict(one.others) for name, one in each.items()})
        for one in each.values():
            _give_all(((key, bytes(mac)) for key, mac in one.macs.items()), pickler)
    _give_all(registry.findings, pickler)


def _give_all(things: Iterable[Any], pickler: pickle.Pickler) -> None:
    """In pieces, an empty one at the end.  Nothing in them is met again, so nothing is noted."""
    rest = iter(things)
    pickler.fast = True
    while piece := list(islice(rest, _PIECE)):
        pickler.dump(piece)
    pickler.dump([])
    pickler.fast = False


def take(source: BinaryIO, folder: Path) -> Registry:
    """
    What ``give`` has written of a configuration in *folder*; raises Stale, and EOFError where it
    did not come to its end.
    """
    unpickler = _Taking(source, folder)
    registry, kinds, shapes = unpickler.load()
    rolled = Roll()
    rolled.kinds, rolled.shapes = kinds, shapes
    for piece in _pieces(unpickler):
        rolled.take(piece)
    ours = {bytes(mac): mac for mac in unhurried(rolled)}  # one MAC each, however often it is met
    indexes, marked = (
        {name: _index(unpickler, rolled, others, ours) for name, others in unpickler.load().items()}
        for _ in range(2)
    )
    findings = tuple(one for piece in _pieces(unpickler) for one in piece)
    whole: Registry = replace(
        registry, machines=rolled, marked=marked, findings=findings, **indexes
    )
    return whole


def _pieces(unpickler: pickle.Unpickler) -> Iterator[list[Any]]:
    return unhurried(iter(unpickler.load, []))


def _index(
    unpickler: pickle.Unpickler,
    rolled: Roll,
    others: Mapping[Any, Any],
    ours: Mapping[bytes, MAC],
) -> Mapping[Any, Any]:
    macs: dict[Any, MAC] = {}
    for piece in _pieces(unpickler):
        macs.update((key, ours[mac]) for key, mac in piece)
    return Index(rolled, macs, others) if macs else dict(others)


class _Giving(pickle.Pickler):
    """Templates go by their names and texts, objects of files as plain ones."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__(out, pickle.HIGHEST_PROTOCOL)

    def persistent_id(self, thing: Any) -> Any:
        """How a template is called."""
        if type(thing) is ScriptTemplate:
            return "script", thing.name, thing.source
        if type(thing) is TextTemplate:
            return "text", thing.name, thing.source, thing.builds_on
        return None

    def reducer_override(self, thing: Any) -> Any:
        """Of what pickle cannot, or shall not, take as it is."""
        if isinstance(thing, Object):
            return dict, (list(thing.items()),)
        if isinstance(thing, Array):
            return list, (tuple(thing),)
        if type(thing) is MappingProxyType:
            return _read_only, (dict(thing),)
        return NotImplemented


class _Taking(pickle.Unpickler):
    """Makes templates of the texts that came."""

    def __init__(self, source: BinaryIO, folder: Path) -> None:
        super().__init__(source)
        self._templates = Templates(folder)
        self._ours = Templates()
        self._made: dict[tuple[Any, ...], Any] = {}

    def persistent_load(self, name: Any) -> Any:
        """The template that was called so; raises Stale."""
        if name not in self._made:
            self._made[name] = self._template(*name)
        return self._made[name]

    def _template(self, kind: str, name: str, source: str, parts: tuple[str, ...] = ()) -> Any:
        made: object
        if kind == "script":
            made = self._templates.file(name)
            if isinstance(made, BrokenTemplate):  # a page that must be there, so loading has ours
                made = self._ours.file(name)
        else:
            made = _ours().get(name)
            if getattr(made, "source", None) != source:
                texts = dict(zip((name, *parts), source.split("\0"), strict=True))
                made = compile_together(texts)[name]
        if getattr(made, "source", None) != source:
            raise Stale(name)
        return made


def _read_only(found: dict[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType(found)


def _ours() -> dict[str, TextTemplate | BrokenText]:
    """Those that come with netbootd, which are compiled once."""
    texts = (one.text for one in scripts.built_in().values())
    return {text.name: text for text in texts if not isinstance(text, str)}
