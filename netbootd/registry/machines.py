"""
What each machine boots: its entry, its groups and the default made one, every fault turned into a
Notice.

An entry that, with its groups, leaves out both ``type`` and ``name`` boots what the default boots;
one that gives only ``name`` takes the type from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from netbootd.dropins import GROUPS, MACHINES, Layers
from netbootd.errors import Finding, Level, Place
from netbootd.mac import MAC
from netbootd.nearest import did_you_mean, misspelt, nearest
from netbootd.registry import entries
from netbootd.registry.entries import DEFAULT, IDENTITY, Entry, Kind
from netbootd.registry.groups import LISTS, MEMBERSHIP, VARS, Groups
from netbootd.registry.machine import Machine
from netbootd.registry.marks import MARKS
from netbootd.registry.targets import REPLACING, Targets
from netbootd.relaxedjson import Object, kind, path_of
from netbootd.targets import catalogue
from netbootd.targets.base import Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.localboot import LocalBoot

_WANTED = {bool: "true or false", str: "a string"}
#: Keys that say what a machine boots.
_CHOOSING = REPLACING | {"type", "name"}
#: Keys that are no free data.
_OWN_KEYS = _CHOOSING | {"enabled", VARS, *entries.CARDS, *MEMBERSHIP, *LISTS}
#: All that mean something in an entry.
_KNOWN_KEYS = _OWN_KEYS | IDENTITY
#: What a node's console is told; the log has the whole story.
_REASONS = {
    "target-unknown": "there is no such target",
    "target-type-unknown": "there are no targets of that type",
    "group-unknown": "there is no such group",
    "section-type": "its entry is no object",
}


class Machines:
    """
    The machines by each thing they are known by.

    *by_mac* has each card; *marked* the uuids, serials and assets by their names; *wildcards* the
    beginnings of MACs; *cardless* those that no MAC is given of; *default* stands for all others.
    *entries* has what was written, by who it is about.
    """

    def __init__(self, layers: Layers, targets: Targets, report: Callable[[Finding], None]) -> None:
        self._layers = layers
        self._targets = targets
        self._report = report
        self.groups = Groups(layers, _KNOWN_KEYS, report)
        self._shared: dict[tuple[str, tuple[str, ...]], Target] = {}
        self.entries = entries.winners(layers, report)
        self._default_entry = self.entries.get(DEFAULT)
        self.default: Machine | None = None
        self.by_mac: dict[MAC, Machine] = {}
        self.wildcards: dict[str, Machine] = {}
        self.cardless: list[Machine] = []
        if self._default_entry:
            self.default = self._machine(self._default_entry)
        self._add(list(self.entries.values()))
        self._remark_on_default()

    def by_address(self) -> dict[str, Machine]:
        """The machines that give their ``ip``."""
        return {
            machine.variables["ip"].strip(): machine
            for machine in (*self.by_mac.values(), *self.cardless)
            if isinstance(machine.variables.get("ip"), str)
        }

    def first_server(self) -> str | None:
        """The boot server of the default machine: ``/`` chains there, as in Tiburon."""
        value = self._default_value()
        if value is None:
            return None
        type_, name = self._type_and_name([value])
        return self._targets.boot_server(type_ or "", name or "", value)

    # -- who is known by what ------------------------------------------------------------------

    def _add(self, written: list[Entry]) -> None:
        """The MACs that are keys first: those inside an entry must not take their places."""
        made: list[tuple[Entry, Machine]] = []
        for entry in written:
            if entry.kind is Kind.DEFAULT:
                continue
            machine = self._machine(entry)
            if entry.mac is not None:
                self.by_mac[entry.mac] = machine
            elif entry.kind is Kind.PREFIX:
                self.wildcards[str(entry.who).removesuffix("*")] = machine
            made.append((entry, machine))
        for entry, machine in made:
            self._add_cards(entry, machine)
        self.marked = {mark: self._by_mark(mark, made) for mark in MARKS}

    def _add_cards(self, entry: Entry, machine: Machine) -> None:
        if not machine.macs and entry.kind is Kind.NAME:
            self.cardless.append(machine)
        for mac in machine.macs:
            if mac == entry.mac:
                continue
            if mac in self.by_mac:
                before = self.by_mac[mac].place
                entries.stands_twice(mac, entry.place, before, self._report)
            else:
                self.by_mac[mac] = replace(machine, mac=mac)

    def _by_mark(self, mark: str, made: list[tuple[Entry, Machine]]) -> dict[str, Machine]:
        found: dict[str, Machine] = {}
        twice: set[str] = set()
        for entry, machine in made:
            if entry.kind is Kind.PREFIX or not isinstance(entry.value, Object):
                continue
            text = entries.mark(entry, mark, self._report) if mark in entry.value else ""
            if text in found:
                entries.marked_twice(entry, mark, found[text].place, self._report)
                twice.add(text)
            elif text:
                found[text] = machine
        return {text: machine for text, machine in found.items() if text not in twice}

    # -- what an entry boots -------------------------------------------------------------------

    def _machine(self, entry: _Entry) -> Machine:
        value, place = entry.value, entry.place
        if not isinstance(value, Object):
            told = f"must be an object, not {kind(value)}"
            return Machine(entry.mac, self._fault("section-type", told, place, entry.key), place)
        target = self._target_of(entry, value)
        scripts, overlays, vms = (self._listed(value, entry.key, word) for word in LISTS)
        return Machine(
            mac=entry.mac,
            target=target,
            place=place,
            variables=_free(value),
            scripts=scripts,
            overlays=overlays,
            vms=vms,
        )

    def _listed(self, value: Object, key: str, word: str) -> tuple[str, ...]:
        """Names under *word*: a string or an array of them."""
        written: Any = value.get(word, [])
        names = written if isinstance(written, list) else [written]
        found = tuple(name.strip() for name in names if isinstance(name, str) and name.strip())
        if len(found) != len(names):
            told = f'"{word}" must be a name or an array of names, not {kind(written)}'
            self._say(Level.WARNING, "section-type", told, value.place_of(word), key, word)
        return found

    def _target_of(self, entry: _Entry, value: Object) -> Target:
        """The target an entry means; a Notice with the reason where it means none."""
        place, key = entry.place, entry.key
        self._note_misspelt(value, key)
        for word, wanted in (("enabled", bool), ("type", str), ("name", str)):
            if word in value and not isinstance(value[word], wanted):
                told = f'"{word}" must be {_WANTED[wanted]}, not {kind(value[word])}'
                return self._fault("section-type", told, value.place_of(word), key, word)
        if entry.off or value.get("enabled") is False:
            return self._switched_off()
        if self._boots_the_default(entry, value):
            assert self.default is not None
            return self.default.target
        type_, name = self._type_and_name(value)
        if name is None or type_ is None:
            code = "machine-no-type" if type_ is None else "machine-no-name"
            return self._fault(code, self._nameless(type_, name), place, key)
        return self._named(type_, name, value, place, key)

    def _note_misspelt(self, value: Object, key: str) -> None:
        """A key of no meaning is free data, but one that nearly has a meaning is worth a word."""
        for word in value.keys() - _OWN_KEYS:
            if meant := misspelt(word, _OWN_KEYS):
                told = f'"{word}" is free data; did you mean "{meant}"?'
                self._say(Level.NOTE, "key-misspelt", told, value.place_of(word), key, word)

    def _boots_the_default(self, entry: _Entry, value: Object) -> bool:
        """An entry that says nothing of its own boots what the default does, be it switched off."""
        said = value.keys() & (REPLACING | {"type", "name"})
        return entry.mac is not None and self.default is not None and not said

    def _named(self, type_: str, name: str, value: Object, place: Place, key: str) -> Target:
        title = f"{type_}/{name}"
        if type_ not in self._targets.written:
            at = value.place_of("type") if "type" in value else place
            hint = did_you_mean(type_, self._targets.written)
            told = f'no targets of type "{type_}"{hint}'
            return self._fault("target-type-unknown", told, at, key, "type", title)
        if name not in self._targets.written[type_]:
            at = value.place_of("name") if "name" in value else place
            told = self._no_such_target(type_, name)
            return self._fault("target-unknown", told, at, key, "name", title)
        if value.keys() & REPLACING:
            return self._targets.make(type_, name, value, path_of(SECTION, key))
        return self._targets.made[title]

    def _switched_off(self) -> Target:
        return catalogue.local_boot("localboot (switched off)", self._targets.templates)

    def _type_and_name(self, value: Object) -> tuple[str | None, str | None]:
        """What an entry leaves out it takes from the default; but a type alone is a mistake."""
        type_, name = value.get("type"), value.get("name")
        default = self._default_entry.value if self._default_entry else None
        if isinstance(default, Object) and type_ is None:
            type_ = default.get("type")
            name = default.get("name") if name is None else name
        return (
            type_.strip() if isinstance(type_, str) else None,
            name.strip() if isinstance(name, str) else None,
        )

    def _nameless(self, type_: str | None, name: str | None) -> str:
        if type_ is None:
            missing = '"type"' if name else '"type" and "name"'
            return f"{missing} missing, and machines.default does not give them"
        names = ", ".join(sorted(self._targets.written.get(type_, {}))) or "none"
        return f'"type" is "{type_}" but "name" is missing; targets of that type: {names}'

    def _no_such_target(self, type_: str, name: str) -> str:
        written = self._targets.written
        elsewhere = [f"{other}/{name}" for other, names in written.items() if name in names]
        if elsewhere:
            return f'no target "{name}" of type "{type_}"; {" and ".join(elsewhere)} exists'
        close = nearest(name, written[type_]) or sorted(written[type_])[:3]
        return f'no target "{name}" of type "{type_}"; there are: {", ".join(close)}'

    # -- findings ------------------------------------------------------------------------------

    def _remark_on_default(self) -> None:
        if not self._layers.has(SECTION):
            told = 'no "machines": nobody boots anything'
            self._say(Level.WARNING, "section-missing", told, self._layers.place)
        elif self.default is None:
            told = "no machines.default: unknown machines will get nothing to boot"
            self._say(Level.WARNING, "default-missing", told, self._layers.place)
        elif self.default.title.startswith("install/"):
            told = f"every machine that is not listed will be installed with {self.default.title}"
            self._say(Level.NOTE, "default-installs", told, self.default.place, DEFAULT)

    def _fault(
        self, code: str, told: str, place: Place, key: str, inner: str = "", title: str = ""
    ) -> Target:
        self._say(Level.TARGET, code, told, place, *((key, inner) if inner else (key,)))
        reason = _REASONS.get(code, "its entry does not say what to boot")
        return catalogue.unusable(title or "this machine", reason, self._targets.templates)

    def _say(self, level: Level, code: str, text: str, place: Place, *steps: str) -> None:
        self._report(Finding(level, code, text, place, path_of(SECTION, *steps)))


def _free(value: Object) -> dict[str, Any]:
    """The keys that are the admin's own."""
    return {name: item for name, item in value.items() if name not in _OWN_KEYS}
