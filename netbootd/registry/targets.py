"""
Section ``targets``: type, then name.  Each is made once; a machine that replaces some of its keys
gets one of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netbootd.content import Library
from netbootd.dropins.layers import Layers
from netbootd.errors import Finding, Level, Place
from netbootd.relaxedjson import Object, kind, path_of
from netbootd.targets import catalogue
from netbootd.targets.base import Target
from netbootd.targets.ipxe import Templates
from netbootd.targets.settings import (
    EXTRA_ARGS,
    KNOWN_KEYS,
    READ,
    TARGET_KEYS,
    Names,
    Settings,
    Sourced,
)

INHERIT = "inherit"
#: The keys of a machine that take the place of its target's.
REPLACING = TARGET_KEYS | {EXTRA_ARGS} | catalogue.TYPE_KEYS
#: All keys that mean something in a target.
KNOWN = KNOWN_KEYS | catalogue.TYPE_KEYS | READ


class Targets:
    """``written`` is what stands in the file, by type and name; ``made`` the targets by title."""

    def __init__(
        self,
        layers: Layers,
        names: Names,
        library: Library,
        templates: Templates,
        report: Callable[[Finding], None],
    ) -> None:
        self.templates = templates
        self._names = names
        self._library = library
        self._report = report
        self.written = self._read(layers)
        self._titles = frozenset(
            f"{type_}/{name}" for type_, entries in self.written.items() for name in entries
        )
        self.made: dict[str, Target] = {
            f"{type_}/{name}": self.make(type_, name)
            for type_, entries in self.written.items()
            for name in entries
        }

    def _read(self, layers: Layers) -> dict[str, dict[str, Object]]:
        if not layers.has("targets"):
            told = 'no "targets": nothing can be booted'
            self._say(Level.WARNING, "section-missing", told, layers.place)
        last = {
            (entry.kind.strip(), entry.name.strip()): entry for entry in layers.target_entries()
        }
        written: dict[str, dict[str, Object]] = {}
        for (type_, name), entry in last.items():
            place, path = entry.owner.place_of(entry.name), (entry.kind, entry.name)
            if not isinstance(entry.value, Object):
                told = f"must be an object, not {kind(entry.value)}"
                self._say(Level.TARGET, "section-type", told, place, *path)
            elif not (type_ + name).isprintable():
                told = "the names of types and targets are printable characters"
                self._say(Level.TARGET, "control-character", told, place, *path)
            else:
                written.setdefault(type_, {})[name] = entry.value
        return written

    def _say(self, level: Level, code: str, text: str, place: Place, *path: str) -> None:
        self._report(Finding(level, code, text, place, path_of("targets", *path)))

    def make(self, type_: str, name: str, over: Object | None = None, path: str = "") -> Target:
        """A target as it is written; with *over*, a machine's entry found at *path*, on top."""
        settings = self._settings(type_, name, over, path)
        return catalogue.build(type_, settings, self.templates)

    def boot_server(self, type_: str, name: str, over: Object) -> str | None:
        """Where a machine's relative paths point, as a base URL; None where that is left to us."""
        if name not in self.written.get(type_, {}):
            return None
        return self._settings(type_, name, over, "").boot_server()

    def _settings(self, type_: str, name: str, over: Object | None, path: str) -> Settings:
        written = self.written[type_][name]
        settings = Settings(
            title=f"{type_}/{name}",
            path=path or path_of("targets", type_, name),
            place=(over or written).place,
            values={},
            names=self._names,
            library=self._library,
            report=self._report,
            titles=self._titles,
        )
        values = self._inherited(settings, type_, name)
        if over is not None:
            values |= {key: Sourced(over[key], over) for key in over.keys() & REPLACING}
        settings.values = values
        return settings

    def _inherited(self, settings: Settings, type_: str, name: str) -> dict[str, Sourced]:
        """The keys of a target over those it inherits; faults are reported on *settings*."""

        def fault(entry: Object, code: str, told: str) -> None:
            settings.values = {INHERIT: Sourced(entry[INHERIT], entry)}
            settings.fault(code, told, INHERIT)

        values: dict[str, Sourced] = {}
        for _, entry in reversed(self.chain(type_, name, fault)):
            values |= {key: Sourced(item, entry) for key, item in entry.items() if key != INHERIT}
        return values

    def chain(
        self, type_: str, name: str, fault: Callable[[Object, str, str], None] | None = None
    ) -> list[tuple[str, Object]]:
        """
        A target that is written and those that it inherits from, each with its title.

        *fault* is told the entry whose ``inherit`` leads nowhere, a code and a text.
        """
        chain = [(f"{type_}/{name}", self.written[type_][name])]
        while INHERIT in chain[-1][1]:
            title, entry = chain[-1]
            found = self._parent(title.partition("/")[0], entry[INHERIT])
            titles = [title for title, _ in chain]
            if found is not None and found[0] not in titles:
                chain.append(found)
                continue
            if fault and found is None:
                fault(entry, "target-unknown", f'"inherit" names no target: {entry[INHERIT]!r}')
            elif fault and found is not None:
                circle = " -> ".join([*titles, found[0]])
                fault(entry, "inherit-cycle", f'"inherit" goes in a circle: {circle}')
            break
        return chain

    def _parent(self, type_: str, parent: Any) -> tuple[str, Object] | None:
        """A sibling by its name, or any target by ``type/name``."""
        if not isinstance(parent, str):
            return None
        name = parent.strip()
        if sibling := self.written.get(type_, {}).get(name):
            return f"{type_}/{name}", sibling
        other, _, name = (part.strip() for part in name.partition("/"))
        found = self.written.get(other, {}).get(name)
        return (f"{other}/{name}", found) if found is not None else None
