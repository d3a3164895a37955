"""
Section ``machines``: by MAC in any spelling, and ``default`` for every machine without an entry.

An entry that leaves out both ``type`` and ``name`` boots what the default boots, one that gives
only ``name`` takes the type from there.  ``macs`` are further cards of the same machine.  A key
that is a MAC plus one character is how admins of this format switch an entry off: it does not
count, and its machine boots its own disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from netbootd.dropins import Layers
from netbootd.errors import Finding, Level, Place
from netbootd.mac import MAC
from netbootd.nearest import did_you_mean, misspelt, nearest
from netbootd.registry.machine import Machine
from netbootd.registry.targets import REPLACING, Targets
from netbootd.relaxedjson import Object, kind, path_of
from netbootd.targets import catalogue
from netbootd.targets.base import Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.targets.localboot import LocalBoot

SECTION = "machines"
DEFAULT = "default"
MACS = "macs"
_WANTED = {bool: "true or false", str: "a string"}
#: Names that are added to those of the target.
LISTS = ("scripts", "overlays", "vms")
_OWN_KEYS = REPLACING | {"type", "name", "enabled", MACS, *LISTS}
#: What a node's console is told; the log has the whole story.
_REASONS = {
    "target-unknown": "there is no such target",
    "target-type-unknown": "there are no targets of that type",
    "section-type": "its entry is no object",
}


class _Entry(NamedTuple):
    """One entry as written: *mac* is None for the default; *off* where its key is switched off."""

    mac: MAC | None
    key: str
    value: Any
    owner: Object
    off: bool

    @property
    def place(self) -> Place:
        return self.owner.place_of(self.key)


class Machines:
    """``by_mac`` and ``default``, every fault reported and turned into a Notice."""

    def __init__(self, layers: Layers, targets: Targets, report: Callable[[Finding], None]) -> None:
        self._layers = layers
        self._targets = targets
        self._report = report
        entries = self._winners()
        self._default_entry = entries.pop(None, None)
        self.default = self._machine(self._default_entry) if self._default_entry else None
        self.by_mac: dict[MAC, Machine] = {
            mac: self._machine(entry) for mac, entry in entries.items() if mac is not None
        }
        self._add_other_cards(list(entries.values()))
        self._remark_on_default()

    def by_address(self) -> dict[str, Machine]:
        """The machines that give their ``ip``."""
        return {
            machine.variables["ip"].strip(): machine
            for machine in self.by_mac.values()
            if isinstance(machine.variables.get("ip"), str)
        }

    def first_server(self) -> str | None:
        """The boot server of the default machine: ``/`` chains there, as in Tiburon."""
        value = self._default_entry.value if self._default_entry else None
        if not isinstance(value, Object):
            return None
        type_, name = self._type_and_name(value)
        return self._targets.boot_server(type_ or "", name or "", value)

    # -- which entries count -------------------------------------------------------------------

    def _winners(self) -> dict[MAC | None, _Entry]:
        """The entry that counts for each MAC, and for the default under None."""
        winners: dict[MAC | None, _Entry] = {}
        for key, value, owner in self._layers.entries(SECTION):
            entry = self._entry(key, value, owner)
            if entry is None:
                continue
            before = winners.get(entry.mac)
            if before is None or before.place.file != entry.place.file:
                winners[entry.mac] = entry  # a higher layer replaces a lower one, whole
            elif before.off or entry.off:
                winners[entry.mac] = before if entry.off else entry
            else:
                self._stands_twice(entry.mac, entry.place, before.place)
        return winners

    def _entry(self, key: str, value: Any, owner: Object) -> _Entry | None:
        """What a key means; None, and a finding, where it means nobody."""
        if key.strip() == DEFAULT:
            return _Entry(None, key, value, owner, off=False)
        mac = MAC.maybe(key)
        if mac and mac.reserved:
            told = f"{key} is {mac.reserved}"
            self._say(Level.TARGET, "mac-reserved", told, owner.place_of(key), key)
            return None
        return _Entry(mac, key, value, owner, off=False) if mac else self._off(key, value, owner)

    def _off(self, key: str, value: Any, owner: Object) -> _Entry | None:
        mac = MAC.maybe(key.strip()[:-1])
        told = f'"{key}" is neither "default" nor a MAC such as 00:25:90:27:db:b4; never matches'
        if mac:
            told = f'"{key}" is a MAC plus one character: the entry is switched off'
        self._say(Level.WARNING, "mac-invalid", told, owner.place_of(key), key)
        return _Entry(mac, key, value, owner, off=True) if mac else None

    def _stands_twice(self, mac: MAC | None, place: Place, before: Place) -> None:
        told = f"{mac or DEFAULT} stands at {before} already"
        self._say(Level.ERROR, "mac-duplicate", told, place, str(mac or DEFAULT))

    def _add_other_cards(self, entries: list[_Entry]) -> None:
        for entry in entries:
            for mac in self._other_cards(entry):
                if mac in self.by_mac:
                    self._stands_twice(mac, entry.place, self.by_mac[mac].place)
                elif entry.mac is not None:
                    self.by_mac[mac] = replace(self.by_mac[entry.mac], mac=mac)

    def _other_cards(self, entry: _Entry) -> Iterator[MAC]:
        """The further cards of a machine: ``macs``, one or an array."""
        if not isinstance(entry.value, Object) or MACS not in entry.value:
            return
        written, place = entry.value[MACS], entry.value.place_of(MACS)
        for text in written if isinstance(written, list) else [written]:
            mac = MAC.maybe(text) if isinstance(text, str) else None
            if mac and not mac.reserved:
                yield mac
            else:
                told = f'"{MACS}" must hold MACs such as 00:25:90:27:db:b5, not {text!r:.40}'
                self._say(Level.WARNING, "mac-invalid", told, place, entry.key, MACS)

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
        templates = self._targets.templates
        template = templates.get(LocalBoot.template_name)
        if isinstance(template, ScriptTemplate):
            return LocalBoot("localboot (switched off)", template)
        return catalogue.unusable("localboot", "its template is broken", templates)

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
