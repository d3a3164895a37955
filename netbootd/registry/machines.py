"""
Section ``machines``: by MAC in any spelling, and ``default`` for every machine without an entry.

An entry that leaves out both ``type`` and ``name`` boots what the default boots, one that gives
only ``name`` takes the type from there.  ``macs`` are further cards of the same machine.  A key
that is a MAC plus one character is how admins of this format switch an entry off: it does not
count, and its machine boots its own disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from netbootd.dropins import Layers
from netbootd.errors import Finding, Level, Place
from netbootd.mac import MAC
from netbootd.nearest import did_you_mean, nearest
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
_OWN_KEYS = REPLACING | {"type", "name", "enabled", MACS}
#: What a node's console is told; the log has the whole story.
_REASONS = {
    "target-unknown": "there is no such target",
    "target-type-unknown": "there are no targets of that type",
    "section-type": "its entry is no object",
}


class Machines:
    """``by_mac`` and ``default``, every fault reported and turned into a Notice."""

    def __init__(self, layers: Layers, targets: Targets, findings: list[Finding]) -> None:
        self._layers = layers
        self._targets = targets
        self._findings = findings
        self._default_entry: Object | None = None
        self.default = self._read_default()
        self.by_mac = self._read()
        self._remark_on_default()

    def by_address(self) -> dict[str, Machine]:
        """The machines that give their ``ip``."""
        return {
            machine.variables["ip"].strip(): machine
            for machine in self.by_mac.values()
            if isinstance(machine.variables.get("ip"), str)
        }

    def first_server(self) -> str | None:
        """The boot server of the default machine's target: ``/`` chains there, as in Tiburon."""
        if self._default_entry is None:
            return None
        type_, name = self._type_and_name(self._default_entry)
        return self._targets.boot_server(type_ or "", name or "")

    # -- reading -------------------------------------------------------------------------------

    def _read_default(self) -> Machine | None:
        machine = None
        for key, value, owner in self._layers.entries(SECTION):
            if key.strip() == DEFAULT:
                machine = self._machine(None, value, owner, key)
                self._default_entry = value if isinstance(value, Object) else None
        return machine

    def _read(self) -> dict[MAC, Machine]:
        machines: dict[MAC, Machine] = {}
        seen: dict[MAC, Place] = {}
        for key, value, owner in self._layers.entries(SECTION):
            if key.strip() == DEFAULT:
                continue
            place = owner.place_of(key)
            if mac := self._live_mac(key, place):
                if not self._stands_twice(mac, place, seen):
                    machines[mac] = self._machine(mac, value, owner, key)
                    for other in self._other_macs(value, key, seen):
                        machines[other] = replace(machines[mac], mac=other)
            elif mac := self._switched_off_mac(key, place):
                machines.setdefault(mac, self._switched_off(mac, value, place))
        return machines

    def _other_macs(self, value: Any, key: str, seen: dict[MAC, Place]) -> Iterator[MAC]:
        """The further cards of a machine: ``macs``, one or an array."""
        if not isinstance(value, Object) or MACS not in value:
            return
        written, place = value[MACS], value.place_of(MACS)
        for text in written if isinstance(written, list) else [written]:
            mac = MAC.maybe(text) if isinstance(text, str) else None
            if mac is None or mac.reserved:
                told = f'"{MACS}" must hold MACs such as 00:25:90:27:db:b5, not {text!r:.40}'
                self._say(Level.WARNING, "mac-invalid", told, place, key, MACS)
            elif not self._stands_twice(mac, place, seen):
                yield mac

    def _live_mac(self, key: str, place: Place) -> MAC | None:
        mac = MAC.maybe(key)
        if mac and mac.reserved:
            self._say(Level.TARGET, "mac-reserved", f"{key} is {mac.reserved}", place, key)
            return None
        return mac

    def _switched_off_mac(self, key: str, place: Place) -> MAC | None:
        if MAC.maybe(key):
            return None  # a reserved one, and reported
        mac = MAC.maybe(key.strip()[:-1])
        told = f'"{key}" is neither "default" nor a MAC such as 00:25:90:27:db:b4; never matches'
        if mac:
            told = f'"{key}" is a MAC plus one character: the entry is switched off'
        self._say(Level.WARNING, "mac-invalid", told, place, key)
        return mac

    def _stands_twice(self, mac: MAC, place: Place, seen: dict[MAC, Place]) -> bool:
        """Whether *mac* stands twice in one file; a higher layer may replace a lower one."""
        before = seen.get(mac)
        seen[mac] = place
        if before is None or before.file != place.file:
            return False
        told = f"{mac} stands at {before} already"
        self._say(Level.ERROR, "mac-duplicate", told, place, str(mac))
        return True

    def _machine(self, mac: MAC | None, value: Any, owner: Object, key: str) -> Machine:
        place = owner.place_of(key)
        if not isinstance(value, Object):
            told = f"must be an object, not {kind(value)}"
            return Machine(mac, self._fault("section-type", told, place, key), place)
        if value.get("enabled") is False:
            return self._switched_off(mac, value, place)
        return Machine(mac, self._target_of(value, place, key), place, variables=_free(value))

    def _switched_off(self, mac: MAC | None, value: Any, place: Place) -> Machine:
        template = self._targets.templates.get(LocalBoot.template_name)
        if isinstance(template, ScriptTemplate):
            target: Target = LocalBoot("localboot (switched off)", template)
        else:
            templates = self._targets.templates
            target = catalogue.unusable("localboot", "its template is broken", templates)
        free = _free(value) if isinstance(value, Object) else {}
        return Machine(mac, target, place, variables=free)

    # -- what an entry boots -------------------------------------------------------------------

    def _target_of(self, value: Object, place: Place, key: str) -> Target:
        """The target an entry means; a Notice with the reason where it means none."""
        type_, name = self._type_and_name(value)
        if name is None or type_ is None:
            code = "machine-no-type" if type_ is None else "machine-no-name"
            return self._fault(code, self._nameless(type_, name), place, key)
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

    def _type_and_name(self, value: Object) -> tuple[str | None, str | None]:
        """What an entry leaves out it takes from the default; but a type alone is a mistake."""
        type_, name = value.get("type"), value.get("name")
        default = self._default_entry
        if default is not None and type_ is None:
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
        self._findings.append(Finding(level, code, text, place, path_of(SECTION, *steps)))


def _free(value: Object) -> dict[str, Any]:
    """The keys that are the admin's own."""
    return {name: item for name, item in value.items() if name not in _OWN_KEYS}
