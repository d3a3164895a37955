"""
The registry: a photograph of everything the operator wants.  It never changes.

A reload makes a complete new one, with the next *generation*; whoever reads takes one snapshot at
the start of a request and carries it along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from netbootd.config import Config
from netbootd.content import Library
from netbootd.errors import Finding
from netbootd.mac import MAC
from netbootd.registry.machine import Machine
from netbootd.rendering import BrokenText, TextTemplate
from netbootd.targets.base import Target
from netbootd.targets.ipxe import ScriptTemplate
from netbootd.vms.vm import Vms


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """
    Machines by MAC, targets by ``type/name``, the daemon's settings and the files it serves.

    *disk* is what boots a machine's own disk.  *boot_server* is the base URL the file gives for
    everything (``boot_servers.default``), None where it leaves that to us; *first_server* the one
    that ``/`` chains to, which is the default machine's own where that has one.  *extras* are the
    sections that only templates know, *variables* the section ``vars``, *answers* the templates of
    the file root by the paths that they answer, *documents* the files that were read, *watched* the
    paths whose change may mean a new registry.

    *vms* are the VM descriptions of the configuration; *vm_users* tells for each name that machines
    call one by, which machines those are (``Machine.key``).
    """

    config: Config
    library: Library
    first_template: ScriptTemplate
    notice_template: ScriptTemplate
    disk: Target
    machines: Mapping[MAC, Machine] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    addresses: Mapping[str, Machine] = field(default_factory=dict)
    default: Machine | None = None
    boot_server: str | None = None
    first_server: str | None = None
    servers: Mapping[str, str] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, TextTemplate | BrokenText] = field(default_factory=dict)
    vms: Vms = field(default_factory=Vms)
    vm_users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    documents: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    generation: int = 1

    def machine(self, mac: MAC) -> Machine | None:
        """The entry of *mac*, else the default made its own, else None."""
        found = self.machines.get(mac)
        if found is None and self.default is not None:
            return self.default.for_stranger(mac)
        return found

    def variables_of(self, machine: Machine) -> dict[str, Any]:
        """What the configuration says of it: its own keys over its target's over ``vars``."""
        return {**self.variables, **machine.target.common.variables, **machine.variables}

    def by_address(self, address: str) -> Machine | None:
        """The machine whose ``ip`` is *address*, None if there is none."""
        return self.addresses.get(address)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a swap did to the machines; ``default`` counts as one of them."""

    added: int
    removed: int
    changed: int

    def __str__(self) -> str:
        return f"{self.added} added, {self.removed} removed, {self.changed} changed"


def changes(old: Registry, new: Registry) -> Changes:
    """
    Compare what each machine would boot and know, before and after.

    For 100,000 machines this is the work of a second, and not one for the reactor's thread.
    """
    before, after = _entries(old), _entries(new)
    kept = before.keys() & after.keys()
    same = _Comparison()
    return Changes(
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        changed=sum(not same.machines(before[mac], after[mac]) for mac in kept),
    )


class _Comparison:
    """Most machines share a few targets: each pair of those is looked at once."""

    def __init__(self) -> None:
        self._targets: dict[tuple[int, int], bool] = {}

    def machines(self, one: Machine, other: Machine) -> bool:
        """Whether two entries of one MAC mean the same."""
        own = replace(one, target=other.target, known=other.known)
        return own == other and self._same(one.target, other.target)

    def _same(self, one: Target, other: Target) -> bool:
        pair = id(one), id(other)
        if pair not in self._targets:
            self._targets[pair] = one == other
        return self._targets[pair]


def _entries(registry: Registry) -> dict[MAC | None, Machine]:
    entries: dict[MAC | None, Machine] = {}
    if registry.default is not None:
        entries[None] = registry.default
    for mac, machine in registry.machines.items():
        entries[mac] = machine
    return entries
