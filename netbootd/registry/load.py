"""
The configuration's files become a Registry, or ConfigErrors with every problem in them.

Sections are merged entry by entry over the layers (drop-ins over the main file over its includes).
A problem of one machine or target makes that one a Notice, which tells the reason on the node's
console; only what leaves the meaning of the whole file in doubt refuses it.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

from netbootd import config as configuration
from netbootd import dropins
from netbootd.config import Config
from netbootd.content import Library, find_programs
from netbootd.dropins import Layers
from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.registry.machines import Machines
from netbootd.registry.snapshot import Registry
from netbootd.registry.targets import Targets
from netbootd.relaxedjson import kind, path_of
from netbootd.targets import catalogue
from netbootd.targets.ipxe import ScriptTemplate, Templates
from netbootd.targets.settings import Names, parse_server


def load(file: Path, interfaces: tuple[str, ...] = ()) -> Registry:
    """
    Read *file* with its includes and drop-ins; *interfaces* replaces the setting of that name.

    Raises ConfigErrors with all findings when one of them is an ERROR.
    """
    with _uncollected():
        return _load(file, interfaces)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from walking 100,000 young machines again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _load(file: Path, interfaces: tuple[str, ...]) -> Registry:
    layers = dropins.survey(file)
    if any(_leaves_a_hole(finding) for finding in layers.findings):
        raise ConfigErrors(layers.findings, layers.files)
    registry = _registry(layers, file.parent, interfaces, list(layers.findings))
    if any(finding.level is Level.ERROR for finding in registry.findings):
        raise ConfigErrors(registry.findings, layers.files)
    return registry


def _leaves_a_hole(finding: Finding) -> bool:
    """A file could not be read at all: what the others say without it would only mislead."""
    return finding.level is Level.ERROR and finding.code != "section-type"


def _registry(
    layers: Layers, folder: Path, interfaces: tuple[str, ...], findings: list[Finding]
) -> Registry:
    config = _config(layers, folder, interfaces, findings)
    library = Library(config.files, find_programs((config.files, *config.firmware)))
    templates = Templates(folder)
    names = _names(layers, findings)
    targets = Targets(layers, names, library, templates, findings)
    machines = Machines(layers, targets, findings)
    return Registry(
        config=config,
        library=library,
        first_template=_first_template(templates, findings),
        notice_template=catalogue.notice_template(templates),
        machines=machines.by_mac,
        targets=targets.made,
        addresses=machines.by_address(),
        default=machines.default,
        boot_server=names.default_server,
        first_server=machines.first_server(),
        servers=names.servers,
        findings=tuple(findings),
        documents=tuple(layers.documents),
        watched=tuple(layers.files),
    )


def _config(
    layers: Layers, folder: Path, interfaces: tuple[str, ...], findings: list[Finding]
) -> Config:
    config = configuration.parse(layers.merged("netbootd"), folder, findings)
    return configuration.with_interfaces(config, interfaces) if interfaces else config


def _first_template(templates: Templates, findings: list[Finding]) -> ScriptTemplate:
    template = templates.get("first")
    if isinstance(template, ScriptTemplate):
        return template
    place = Place(template.name)
    findings.append(Finding(Level.WARNING, "template-error", template.text, place))
    built_in = Templates().get("first")
    assert isinstance(built_in, ScriptTemplate)
    return built_in


def _names(layers: Layers, findings: list[Finding]) -> Names:
    """``servers`` and ``boot_servers`` are two names of one thing; the latter counts."""
    servers: dict[str, str] = {}
    raw: dict[str, str] = {}
    for section in ("servers", "boot_servers"):
        for name, text, place in _strings(layers, section, findings):
            path = path_of(section, name)
            if raw.get(name, text) != text:
                told = f'"{name}" is in servers as well; boot_servers counts'
                findings.append(Finding(Level.WARNING, "boot-server-twice", told, place, path))
            raw[name] = text.rstrip("/")
            try:
                servers[name] = parse_server(text)
            except ValueError as problem:
                told = str(problem)
                findings.append(Finding(Level.TARGET, "boot-server-invalid", told, place, path))
    bootargs = {name: text for name, text, _ in _strings(layers, "bootargs", findings)}
    return Names(servers, raw, bootargs)


def _strings(
    layers: Layers, section: str, findings: list[Finding]
) -> Iterator[tuple[str, str, Place]]:
    """The entries of a section whose values must be strings."""
    for key, value, owner in layers.entries(section):
        if isinstance(value, str):
            yield key.strip(), value.strip(), owner.place_of(key)
        else:
            told = f"must be a string, not {kind(value)}"
            place, path = owner.place_of(key), path_of(section, key)
            findings.append(Finding(Level.TARGET, "section-type", told, place, path))
