"""
The configuration's files become a Registry, or ConfigErrors with every problem in them.

Sections are merged entry by entry over the layers (drop-ins over the main file over its includes).
A problem of one machine or target makes that one a Notice, which tells the reason on the node's
console; only what leaves the meaning of the whole file in doubt refuses it.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from netbootd import answers, settings
from netbootd.config import Config, with_interfaces
from netbootd.content import Library
from netbootd.dialects import catalogue as dialects
from netbootd.dropins.layers import Layers
from netbootd.dropins.reading import NOTHING_PENDING, Pending, survey
from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.registry import (
    groups,
    hostnames,
    keyfiles,
    overlays,
    ownfiles,
    programs,
    reservations,
    scripts,
    secrets,
    slips,
    subnets,
    subnets6,
    variables,
)
from netbootd.registry import vms as descriptions
from netbootd.registry.machines import KNOWN_KEYS, Machines
from netbootd.registry.origins import Origins
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnets
from netbootd.registry.targets import Targets
from netbootd.relaxedjson import kind, path_of
from netbootd.targets import catalogue
from netbootd.targets.ipxe import ScriptTemplate, Templates
from netbootd.targets.settings import Names, parse_server


def load(
    file: Path, interfaces: tuple[str, ...] = (), pending: Pending = NOTHING_PENDING
) -> Registry:
    """
    Read *file* with its includes and drop-ins; *interfaces* replaces the setting of that name, and
    what is *pending* counts as if it were written.

    Raises ConfigErrors with all findings when one of them is an ERROR.
    """
    with _uncollected():
        return _load(file, interfaces, pending)[0]


def load_with_origins(file: Path) -> tuple[Registry, Origins]:
    """Like load, and with where each value comes from."""
    with _uncollected():
        return _load(file, (), NOTHING_PENDING)


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


def _load(file: Path, interfaces: tuple[str, ...], pending: Pending) -> tuple[Registry, Origins]:
    layers = survey(file, pending)
    if any(_leaves_a_hole(finding) for finding in layers.findings):
        raise ConfigErrors(layers.findings, layers.files)
    findings = Findings(layers.findings)
    registry, origins = _registry(layers, file.parent, interfaces, findings)
    if any(finding.level is Level.ERROR for finding in registry.findings):
        raise ConfigErrors(registry.findings, layers.files)
    return registry, origins


def _leaves_a_hole(finding: Finding) -> bool:
    """A file could not be read at all: what the others say without it would only mislead."""
    of_sections = ("section-type", "unknown-section")
    return finding.level is Level.ERROR and finding.code not in of_sections


def _registry(
    layers: Layers, folder: Path, interfaces: tuple[str, ...], findings: Findings
) -> tuple[Registry, Origins]:
    confidential = secrets.resolve(layers, folder, KNOWN_KEYS, findings.add)
    config = _config(layers, folder, interfaces, findings)
    closed = ownfiles.closed(config, (*layers.files, *confidential.watch))
    library = Library(config.files, programs.find(layers, config, findings.add), closed)
    templates = Templates(folder)
    vms = descriptions.configured(layers, folder, findings.add)
    names = _names(layers, findings)
    targets = Targets(layers, names, library, templates, findings.add)
    machines = Machines(layers, targets, findings.add)
    nets = subnets.read(layers, names, machines.of_subnet, findings.add, config.dhcp)
    first, notice, waiting = (
        _template(templates, f"{name}.ipxe", findings) for name in ("first", "notice", "waiting")
    )
    installs = answers.survey(library, findings.add)
    pieces = scripts.survey(layers, folder, findings.add)
    overlaid = _overlays(folder, targets, machines, nets, findings)
    registry = Registry(
        config=config,
        library=library,
        first_template=first,
        notice_template=notice,
        waiting_template=waiting,
        disk=catalogue.local_boot("localboot/disk", templates),
        dialects={name: _template(templates, name, findings) for name in dialects.TEMPLATES},
        machines=machines.by_mac,
        marked=machines.marked,
        wildcards=machines.wildcards,
        pis=machines.by_pi_serial(),
        named=machines.named,
        targets=targets.made,
        groups=tuple(sorted(machines.groups.written)),
        addresses=machines.by_address(),
        reserved=machines.reserved(),
        reserved6=subnets6.reserved((*machines.by_mac.values(), *machines.cardless), findings.add),
        default=machines.default,
        subnets=nets,
        boot_server=names.default_server,
        first_server=machines.choices.first_server(),
        servers=names.servers,
        chosen=tuple(programs.chosen(config, layers, machines, targets)),
        extras=layers.extras(),
        variables=dict(layers.merged("vars") or {}),
        answers=installs.templates,
        overlays=overlaid.trees,
        fragments=pieces.fragments,
        script_lists=pieces.lists,
        secrets=confidential.secrets,
        vms=vms.vms,
        findings=findings.all,
        documents=tuple(layers.documents),
        watched=(
            *layers.files,
            *map(str, config.tls.files),
            *sorted(templates.files),
            *installs.watch,
            *vms.paths,
            *confidential.watch,
            *overlaid.watch,
            *pieces.watch,
        ),
    )
    registry = replace(hostnames.indexed(registry), vm_users=descriptions.users(registry))
    if machines.seals or any(target.common.secret for target in targets.made.values()):
        library = replace(library, closed=ownfiles.with_sources(closed, folder))
        secret = answers.secret_files(registry)
        registry = replace(registry, library=library, seals=True, secret_files=secret)
    for remark in (*answers.remarks(registry), *descriptions.remarks(registry)):
        findings.add(remark)
    for remark in (*overlays.remarks(registry), *scripts.remarks(registry)):
        findings.add(remark)
    for remark in (
        *programs.remarks(registry.chosen, library),
        *groups.limited(layers, registry.groups),
        *reservations.remarks(layers, registry),
        *hostnames.remarks(registry),
        *variables.remarks(layers, machines, targets, library),
        *keyfiles.remarks(layers, config),
        *slips.remarks(layers, machines, targets, registry),
    ):
        findings.add(remark)
    origins = Origins(layers, machines, targets)
    return replace(registry, findings=findings.all), origins


def _overlays(
    folder: Path, targets: Targets, machines: Machines, nets: Subnets, findings: Findings
) -> overlays.Found:
    """The folders of ``overlays/`` that a target or machine names."""

    def place_of(title: str) -> Place:
        type_, _, name = title.partition("/")
        entry = targets.written[type_][name]
        return entry.place_of("overlays") if "overlays" in entry else entry.place

    defaults = [machines.default] if machines.default else []
    defaults += [net.default for net in nets if net.default]
    everybody = (
        *machines.by_mac.values(),
        *machines.cardless,
        *machines.wildcards.values(),
        *defaults,
    )
    wanted = overlays.named(targets.made, place_of, everybody)
    return overlays.survey(folder / overlays.FOLDER, wanted, findings.add)


class Findings:
    """Collects findings, each fault once however many machines run into it."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._found = {(one.code, one.place, one.text): one for one in findings}

    def add(self, finding: Finding) -> None:
        """Take note of *finding*."""
        self._found.setdefault((finding.code, finding.place, finding.text), finding)

    @property
    def all(self) -> tuple[Finding, ...]:
        """In the order of their coming."""
        return tuple(self._found.values())


def _config(
    layers: Layers, folder: Path, interfaces: tuple[str, ...], findings: Findings
) -> Config:
    found: list[Finding] = []
    config = settings.parse(layers.merged("netbootd"), folder, found)
    for finding in (*found, *programs.absent_folders(layers, config)):
        findings.add(finding)
    return with_interfaces(config, interfaces) if interfaces else config


def _template(templates: Templates, name: str, findings: Findings) -> ScriptTemplate:
    """A template that no target brings; a broken one of the operator's gives way to ours."""
    template = templates.file(name)
    if isinstance(template, ScriptTemplate):
        return template
    place = Place(template.name)
    findings.add(Finding(Level.WARNING, "template-error", template.text, place))
    built_in = Templates().file(name)
    assert isinstance(built_in, ScriptTemplate)
    return built_in


def _names(layers: Layers, findings: Findings) -> Names:
    """``servers`` and ``boot_servers`` are two names of one thing; the latter counts."""
    written = _strings(layers, "servers", findings)
    for name, entry in _strings(layers, "boot_servers", findings).items():
        if name in written and written[name].text != entry.text:
            told = f'"{name}" is in servers as well; boot_servers counts'
            path = path_of("boot_servers", name)
            findings.add(Finding(Level.WARNING, "boot-server-twice", told, entry.place, path))
        written[name] = entry
    servers: dict[str, str] = {}
    for name, entry in written.items():
        try:
            servers[name] = parse_server(entry.text)
        except ValueError as problem:
            path, told = path_of(entry.section, name), str(problem)
            findings.add(Finding(Level.TARGET, "boot-server-invalid", told, entry.place, path))
    return Names(
        servers=servers,
        raw_servers={name: entry.text.rstrip("/") for name, entry in written.items()},
        bootargs={name: e.text for name, e in _strings(layers, "bootargs", findings).items()},
        invalid=frozenset(written.keys() - servers.keys()),
    )


class _Text(NamedTuple):
    """A named string of a section."""

    section: str
    text: str
    place: Place


def _strings(layers: Layers, section: str, findings: Findings) -> dict[str, _Text]:
    """The entries of a section whose values must be strings, those of the highest layer."""
    last = {entry.key.strip(): entry for entry in layers.entries(section)}
    found: dict[str, _Text] = {}
    for name, (key, value, owner) in last.items():
        if isinstance(value, str):
            found[name] = _Text(section, value.strip(), owner.place_of(key))
        else:
            told = f"must be a string, not {kind(value)}"
            place, path = owner.place_of(key), path_of(section, key)
            findings.add(Finding(Level.TARGET, "section-type", told, place, path))
    return found
