"""
VM descriptions of the configuration: ``vms/*.json`` beside it, and its section ``vms``.

A file is handed out byte for byte.  An entry of the section may have comments, which ``vmadm`` does
not read, so it is handed out without them (``vms.strict``).  What was put by HTTP lies in the
daemon's own folder and gives way to the configuration; here it is only looked at, so that a machine
may name it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import VMS
from netbootd.errors import Finding, Level, Place
from netbootd.nearest import did_you_mean
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import Object, kind, path_of
from netbootd.vms.store import FOLDER, read_folder
from netbootd.vms.strict import strictly
from netbootd.vms.vm import KEY_RULE, LARGEST, Vm, Vms, is_key, make

Report = Callable[[Finding], None]


@dataclass(frozen=True, slots=True)
class Configured:
    """The descriptions of the configuration, and the *paths* whose change may change them."""

    vms: Vms
    paths: tuple[str, ...]


def configured(layers: Layers, folder: Path, report: Report) -> Configured:
    """Read the descriptions; of two with one key, that of the section counts."""
    files = read_folder(folder / FOLDER, Level.RELOAD)
    for finding in files.findings:
        report(finding)
    written = _section(layers, report)
    for vm in files.vms:
        if vm.key in written:
            told = f'"{vm.key}" stands in the section "{VMS}" as well, which counts'
            report(Finding(Level.WARNING, "vm-twice", told, Place(vm.source)))
    vms = {**{vm.key: vm for vm in files.vms}, **written}
    for vm in vms.values():
        _remark(vm, report)
    return Configured(Vms(_each_uuid_once(vms.values(), report)), files.paths)


def _section(layers: Layers, report: Report) -> dict[str, Vm]:
    found: dict[str, Vm] = {}
    for key, value, owner in {one.key: one for one in layers.entries(VMS)}.values():
        place, path = owner.place_of(key), path_of(VMS, key)
        text = strictly(value).encode() + b"\n" if isinstance(value, Object) else b""
        if not is_key(key):
            told = f'no key for a description: "{key}"; {KEY_RULE}'
        elif not isinstance(value, Object):
            told = f"must be an object, not {kind(value)}"
        elif len(text) > LARGEST:
            told = f"larger than {LARGEST} bytes"
        else:
            found[key] = make(key, text, owner.source.file)
            continue
        report(Finding(Level.RELOAD, "vm-invalid", told, place, path))
    return found


def _remark(vm: Vm, report: Report) -> None:
    """What vmadm would stop at; the rest is for ``netbootd vms check``."""
    for advice in vm.advice:
        if advice.refused:
            told = f"{vm.key}: vmadm would refuse it: {advice}"
            report(Finding(Level.NOTE, "vm-advice", told, Place(vm.source)))


def _each_uuid_once(vms: Iterable[Vm], report: Report) -> Iterator[Vm]:
    seen: dict[str, Vm] = {}
    for vm in vms:
        other = seen.setdefault(vm.uuid, vm) if vm.uuid else vm
        if other is not vm:
            told = f'"{vm.key}" has the uuid of "{other.key}" ({other.source}), which counts'
            report(Finding(Level.WARNING, "vm-twice", told, Place(vm.source)))
        else:
            yield vm


def users(registry: Registry) -> dict[str, tuple[str, ...]]:
    """Which machines have what in their lists of descriptions, by the name it is called there."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for machine in _listed(registry):
        for name in machine.vms:
            found[name][machine.key or machine.written] = None
    return {name: tuple(keys) for name, keys in found.items()}


def _listed(registry: Registry) -> Iterator[Machine]:
    yield from registry.machines.values()
    yield from registry.cardless
    yield from registry.wildcards.values()


def remarks(registry: Registry) -> Iterator[Finding]:
    """What there is to say beside what was put by HTTP, which is read only if it must be."""
    stored = _stored_keys(registry.config.state)
    yield from _giving_way(registry.vms, stored or ())
    unknown = {name for name in registry.vm_users if not registry.vms.find(name)}
    if unknown and stored is not None:  # else it is not for us to read; the daemon can
        yield from _unknown(unknown.difference(stored), registry)


def _giving_way(vms: Vms, stored: Iterable[str]) -> Iterator[Finding]:
    for key in stored:
        if vm := vms.find(key):
            told = f'"{key}" was put by HTTP as well; this one counts, the stored one does not'
            yield Finding(Level.WARNING, "vm-twice", told, Place(vm.source))


def _unknown(names: set[str], registry: Registry) -> Iterator[Finding]:
    """Names in machines' lists that mean no description yet."""
    if not names:
        return
    stored = Vms(read_folder(registry.config.state / FOLDER, Level.DEBUG).vms)
    unknown = {name for name in names if not stored.find(name)}
    known = sorted({name for vm in (*registry.vms, *stored) for name in vm.names})
    for machine in _listed(registry):
        for name in machine.vms:
            if name in unknown:
                told = f'no VM description "{name}" so far{did_you_mean(name, known)}'
                path = path_of("machines", machine.written, VMS)
                yield Finding(Level.WARNING, "vm-unknown", told, machine.place, path)


def _stored_keys(state: Path) -> list[str] | None:
    """The keys of what was put by HTTP; None where we may not know."""
    try:
        names = os.listdir(state / FOLDER)
    except FileNotFoundError:
        return []
    except OSError:
        return None
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))
