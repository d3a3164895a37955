"""
The configuration's files become a Registry, or ConfigErrors with every problem in them.

Sections are merged entry by entry over the layers (drop-ins over the main file over its includes).
A problem of one machine or target makes that one a Notice, which tells the reason on the node's
console; only what leaves the meaning of the whole file in doubt refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netbootd import config as configuration
from netbootd import dropins
from netbootd.config import Config
from netbootd.content import Library, find_programs
from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.mac import MAC
from netbootd.nearest import did_you_mean, nearest
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import Object
from netbootd.targets import catalogue
from netbootd.targets.base import Target
from netbootd.targets.ipxe import ScriptTemplate, Templates
from netbootd.targets.localboot import LocalBoot
from netbootd.targets.settings import (
    EXTRA_ARGS,
    TARGET_KEYS,
    Names,
    Settings,
    Sourced,
    parse_server,
    type_word,
)

DEFAULT = "default"
INHERIT = "inherit"
_REPLACING = TARGET_KEYS | {EXTRA_ARGS}
_MACHINE_KEYS = _REPLACING | {"type", "name", "enabled"}


def load(file: Path, interfaces: tuple[str, ...] = ()) -> Registry:
    """
    Read *file* with its includes and drop-ins; *interfaces* replaces the setting of that name.

    Raises ConfigErrors with all findings when one of them is an ERROR.
    """
    layers = dropins.read(file)
    loading = _Loading(layers, list(layers.findings))
    registry = loading.registry(file.parent, interfaces)
    if any(finding.level is Level.ERROR for finding in registry.findings):
        raise ConfigErrors(registry.findings)
    return registry


@dataclass(slots=True)
class _Loading:
    """One load under way: what is shared by its steps."""

    layers: dropins.Layers
    findings: list[Finding]
    names: Names = field(default_factory=Names)
    library: Library = field(default_factory=lambda: Library(Path("/nonexistent")))
    templates: Templates = field(default_factory=Templates)
    written: dict[str, dict[str, Object]] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)

    def registry(self, folder: Path, interfaces: tuple[str, ...]) -> Registry:
        """All the steps, in the order in which each needs the one before."""
        config = self._config(folder, interfaces)
        programs = find_programs((config.files, *config.firmware))
        self.library = Library(config.files, programs)
        self.templates = Templates(folder)
        self.names = self._names()
        self._read_targets()
        default, first_server = self._default()
        machines = self._machines(default)
        return Registry(
            config=config,
            library=self.library,
            first_template=self._template("first"),
            notice_template=catalogue.notice_template(self.templates),
            machines=machines,
            targets=self.targets,
            addresses=_by_address(machines),
            default=default,
            boot_server=self.names.default_server,
            first_server=first_server,
            servers=self.names.servers,
            findings=tuple(self.findings),
            files=tuple(self.layers.files),
        )

    # -- settings and names --------------------------------------------------------------------

    def _config(self, folder: Path, interfaces: tuple[str, ...]) -> Config:
        section = self.layers.merged("netbootd")
        config = configuration.parse(section, folder, self.findings)
        return config if not interfaces else configuration.with_interfaces(config, interfaces)

    def _template(self, name: str) -> ScriptTemplate:
        template = self.templates.get(name)
        if isinstance(template, ScriptTemplate):
            return template
        self._say(Level.WARNING, "template-error", template.text, Place(template.name))
        built_in = Templates().get(name)
        assert isinstance(built_in, ScriptTemplate)
        return built_in

    def _names(self) -> Names:
        servers: dict[str, str] = {}
        raw: dict[str, str] = {}
        for section in ("servers", "boot_servers"):
            for name, text, place, path in self._strings(section):
                if raw.get(name, text) != text:
                    told = f'"{name}" is in servers as well; boot_servers counts'
                    self._say(Level.WARNING, "boot-server-twice", told, place, path)
                raw[name] = text
                try:
                    servers[name] = parse_server(text)
                except ValueError as problem:
                    self._say(Level.TARGET, "boot-server-invalid", str(problem), place, path)
        bootargs = {name: text for name, text, _, _ in self._strings("bootargs")}
        return Names(servers, raw, bootargs)

    def _strings(self, section: str) -> Iterator[tuple[str, str, Place, str]]:
        for key, value, owner in self.layers.entries(section):
            place, path = owner.place_of(key), f'{section}."{key}"'
            if isinstance(value, str):
                yield key.strip(), value.strip(), place, path
            else:
                told = f"must be a string, not {type_word(value)}"
                self._say(Level.TARGET, "section-type", told, place, path)

    # -- targets -------------------------------------------------------------------------------

    def _read_targets(self) -> None:
        if not self.layers.has("targets"):
            self._missing("targets")
        for kind, name, value, owner in self.layers.target_entries():
            place, path = owner.place_of(name), f'targets."{kind}"."{name}"'
            if isinstance(value, Object):
                self.written.setdefault(kind.strip(), {})[name.strip()] = value
            else:
                told = f"must be an object, not {type_word(value)}"
                self._say(Level.TARGET, "section-type", told, place, path)
        for kind, entries in self.written.items():
            for name, value in entries.items():
                self.targets[f"{kind}/{name}"] = self._target(kind, name, value)

    def _target(
        self, kind: str, name: str, value: Object, over: Object | None = None, path: str = ""
    ) -> Target:
        title = f"{kind}/{name}"
        path = path or f'targets."{kind}"."{name}"'
        settings = Settings(
            title, path, (over or value).place, {}, self.names, self.library, self.findings.append
        )
        values = self._inherited(settings, kind, name, value)
        if over is not None:
            values |= {key: Sourced(over[key], over) for key in over.keys() & _REPLACING}
        settings.values = values
        return catalogue.build(kind, settings, self.templates)

    def _inherited(
        self, settings: Settings, kind: str, name: str, value: Object
    ) -> dict[str, Sourced]:
        """The keys of a target, those it inherits first; faults are reported on *settings*."""
        chain = [(f"{kind}/{name}", value)]
        while (parent := chain[-1][1].get(INHERIT)) is not None:
            child, owner = chain[-1]
            found = self._parent(child.partition("/")[0], parent)
            settings.values = {INHERIT: Sourced(parent, owner)}
            if found is None:
                settings.fault("target-unknown", f'"inherit" names no target: {parent!r}', INHERIT)
                break
            if found[0] in [title for title, _ in chain]:
                circle = " -> ".join([title for title, _ in chain] + [found[0]])
                settings.fault("inherit-cycle", f'"inherit" goes in a circle: {circle}', INHERIT)
                break
            chain.append(found)
        values: dict[str, Sourced] = {}
        for _, entry in reversed(chain):
            values |= {key: Sourced(item, entry) for key, item in entry.items() if key != INHERIT}
        return values

    def _parent(self, kind: str, parent: Any) -> tuple[str, Object] | None:
        """A sibling by its name, or any target by ``type/name``."""
        if not isinstance(parent, str):
            return None
        name = parent.strip()
        if sibling := self.written.get(kind, {}).get(name):
            return f"{kind}/{name}", sibling
        other, _, name = name.partition("/")
        found = self.written.get(other.strip(), {}).get(name.strip())
        return (f"{other.strip()}/{name.strip()}", found) if found else None

    # -- machines ------------------------------------------------------------------------------

    def _default(self) -> tuple[Machine | None, str | None]:
        """``machines.default``, and the boot server it chains to where it names one of its own."""
        entry = None
        for key, value, owner in self.layers.entries("machines"):
            if key.strip() == DEFAULT:
                entry = (value, owner, key)
        if entry is None:
            return None, None
        value, owner, key = entry
        machine = self._machine(None, value, owner, key, None)
        return machine, machine and self._server_of(value)

    def _server_of(self, value: Object) -> str | None:
        kind, name = value.get("type"), value.get("name")
        written = self.written.get(str(kind), {}).get(str(name))
        if written is None:
            return None
        settings = Settings(
            "", "", written.place, {}, self.names, self.library, lambda finding: None
        )
        settings.values = self._inherited(settings, str(kind), str(name), written)
        return settings.boot_server()

    def _machines(self, default: Machine | None) -> dict[MAC, Machine]:
        if not self.layers.has("machines"):
            self._missing("machines")
        elif default is None:
            told = "no machines.default: unknown machines will get nothing to boot"
            self._say(Level.WARNING, "default-missing", told, self.layers.place)
        elif default.title.startswith("install/"):
            told = f"any machine that is not listed here will be installed with {default.title}"
            self._say(Level.NOTE, "default-installs", told, default.place, "machines.default")
        machines: dict[MAC, Machine] = {}
        seen: dict[MAC, tuple[str, Place]] = {}
        default_entry = self._default_entry()
        for key, value, owner in self.layers.entries("machines"):
            if key.strip() == DEFAULT:
                continue
            place = owner.place_of(key)
            mac, off = self._mac(key, place)
            if mac is None or self._twice(mac, place, seen):
                continue
            machine = self._machine(mac, value, owner, key, default_entry, off=off)
            if machine is not None:
                machines[mac] = machine
        return machines

    def _default_entry(self) -> Object | None:
        found = None
        for key, value, _ in self.layers.entries("machines"):
            if key.strip() == DEFAULT and isinstance(value, Object):
                found = value
        return found

    def _mac(self, key: str, place: Place) -> tuple[MAC | None, bool]:
        """The MAC a key means, and whether a stray last character switches the entry off."""
        path = f'machines."{key}"'
        if mac := MAC.maybe(key):
            if mac.reserved:
                self._say(Level.TARGET, "mac-reserved", f"{key} is {mac.reserved}", place, path)
                return None, False
            return mac, False
        switched_off = MAC.maybe(key.strip()[:-1]) if key.strip() else None
        if switched_off:
            told = f'"{key}" is a MAC plus one character: the entry is switched off'
            told += ", and the machine boots its own disk"
        else:
            told = f'"{key}" is neither "default" nor a MAC such as 00:25:90:27:db:b4; never matches'
        self._say(Level.WARNING, "mac-invalid", told, place, path)
        return switched_off, True

    def _twice(self, mac: MAC, place: Place, seen: dict[MAC, tuple[str, Place]]) -> bool:
        """Whether *mac* stands twice in one file; a later layer may replace an earlier one."""
        before = seen.get(mac)
        seen[mac] = (place.file, place)
        if before is None or before[0] != place.file:
            return False
        told = f"{mac} is at {before[1]} already"
        self._say(Level.ERROR, "mac-duplicate", told, place, f'machines."{mac}"')
        return True

    def _machine(
        self,
        mac: MAC | None,
        value: Any,
        owner: Object,
        key: str,
        default: Object | None,
        *,
        off: bool = False,
    ) -> Machine | None:
        place, path = owner.place_of(key), f'machines."{key}"' if mac else "machines.default"
        if not isinstance(value, Object):
            told = f"must be an object, not {type_word(value)}"
            self._say(Level.TARGET, "section-type", told, place, path)
            target: Target = catalogue.unusable(key, "its entry is no object", self.templates)
            return Machine(mac, target, place)
        variables = {name: item for name, item in value.items() if name not in _MACHINE_KEYS}
        if off or value.get("enabled") is False:
            return Machine(mac, self._switched_off(), place, variables=variables)
        return Machine(mac, self._target_of(value, place, path, default), place, variables=variables)

    def _switched_off(self) -> Target:
        template = self.templates.get(LocalBoot.template_name)
        if isinstance(template, ScriptTemplate):
            return LocalBoot("localboot (switched off)", template)
        return catalogue.unusable("localboot", "its template is broken", self.templates)

    def _target_of(self, value: Object, place: Place, path: str, default: Object | None) -> Target:
        """The target a machine's entry means; a Notice with the reason where it means none."""
        kind, name = self._type_and_name(value, default)
        if name is None:
            code = "machine-no-type" if kind is None else "machine-no-name"
            return self._fault(code, self._nameless(kind), place, path, "")
        if kind is None:
            told = 'no "type", and none from machines.default'
            return self._fault("machine-no-type", told, place, path, name)
        title = f"{kind}/{name}"
        if kind not in self.written:
            hint = did_you_mean(kind, self.written)
            told = f'no targets of type "{kind}"{hint}'
            at = value.place_of("type") if "type" in value else place
            return self._fault("target-type-unknown", told, at, f"{path}.type", title)
        if name not in self.written[kind]:
            at = value.place_of("name") if "name" in value else place
            told = self._no_such_target(kind, name)
            return self._fault("target-unknown", told, at, f"{path}.name", title)
        if value.keys() & _REPLACING:
            return self._target(kind, name, self.written[kind][name], value, path)
        return self.targets[title]

    @staticmethod
    def _type_and_name(value: Object, default: Object | None) -> tuple[str | None, str | None]:
        """What an entry leaves out it takes from the default, but never the name alone."""
        kind, name = value.get("type"), value.get("name")
        if default is not None and kind is None:
            kind = default.get("type")
            name = default.get("name") if name is None else name
        return (
            kind.strip() if isinstance(kind, str) else None,
            name.strip() if isinstance(name, str) else None,
        )

    def _nameless(self, kind: str | None) -> str:
        if kind is None:
            return 'neither "type" nor "name", and nothing from machines.default'
        names = ", ".join(sorted(self.written.get(kind, {}))) or "none"
        return f'"type" is "{kind}" but "name" is missing; targets of that type: {names}'

    def _no_such_target(self, kind: str, name: str) -> str:
        elsewhere = [f"{other}/{name}" for other, names in self.written.items() if name in names]
        if elsewhere:
            return f'no target "{name}" of type "{kind}"; {" and ".join(elsewhere)} exists'
        close = nearest(name, self.written[kind]) or sorted(self.written[kind])[:3]
        return f'no target "{name}" of type "{kind}"; there are: {", ".join(close)}'

    def _fault(self, code: str, told: str, place: Place, path: str, title: str) -> Target:
        self._say(Level.TARGET, code, told, place, path)
        known = {
            "target-unknown": "there is no such target",
            "target-type-unknown": "there are no targets of that type",
        }
        reason = known.get(code, "its entry does not say what to boot")
        return catalogue.unusable(title or "this machine", reason, self.templates)

    # -- findings ------------------------------------------------------------------------------

    def _missing(self, section: str) -> None:
        told = f'no "{section}": nothing can be booted'
        self._say(Level.WARNING, "section-missing", told, self.layers.place)

    def _say(self, level: Level, code: str, text: str, place: Place, path: str = "") -> None:
        self.findings.append(Finding(level, code, text, place, path))


def _by_address(machines: Mapping[MAC, Machine]) -> dict[str, Machine]:
    return {
        machine.variables["ip"].strip(): machine
        for machine in machines.values()
        if isinstance(machine.variables.get("ip"), str)
    }
