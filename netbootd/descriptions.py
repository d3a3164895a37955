"""
``netbootd vms``: the VM descriptions that would be served, and what vmadm would say to a file.

What was put by HTTP is read from the daemon's folder, which may be for root and the daemon only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from netbootd.errors import Finding, Level, NotFound
from netbootd.nearest import did_you_mean
from netbootd.printable import counted, printable
from netbootd.registry.snapshot import Registry
from netbootd.vms.store import FOLDER, read_file, read_folder
from netbootd.vms.strict import NotStrict
from netbootd.vms.vm import STORED, Vm, Vms


@dataclass(frozen=True, slots=True)
class Report:
    """*lines* to print; *refused* says whether vmadm would refuse one of the files."""

    lines: tuple[str, ...]
    refused: bool


def check(files: Iterable[Path]) -> Report:
    """What vmadm would say to each file."""
    reports = [_checked(file) for file in files]
    lines = tuple(line for report in reports for line in report.lines)
    return Report(lines, any(report.refused for report in reports))


def _checked(file: Path) -> Report:
    name = printable(str(file))
    try:
        advice = read_file(file).advice
    except NotStrict as problem:
        return Report((f"{problem.place}: error: {problem.text}",), True)
    except OSError as problem:
        told = problem.strerror or str(problem)
        return Report((f"{name}: error: cannot be read: {told}",), True)
    lines = [f"{name}: {'error' if one.refused else 'advice'}: {one}" for one in advice]
    refused = any(one.refused for one in advice)
    return Report(tuple(lines or [f"{name}: nothing wrong"]), refused)


class Served:
    """All descriptions that the daemon would serve with this registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        found = read_folder(registry.config.state / FOLDER, Level.WARNING, STORED)
        self._stored = Vms(vm for vm in found.vms if not registry.vms.find(vm.key))
        self.findings: tuple[Finding, ...] = found.findings

    def find(self, name: str) -> Vm:
        """The one that *name* means: a key, a uuid or an alias; raises NotFound."""
        vm = self._registry.vms.find(name) or self._stored.find(name)
        if vm is None:
            known = [known for one in self._all() for known in one.names]
            raise NotFound(f'no VM description "{name}"{did_you_mean(name, known)}')
        return vm

    def lines(self) -> list[str]:
        """A line for each: key, brand, remarks, the machines that have it, and its source."""
        rows = [self._row(vm) for vm in sorted(self._all(), key=lambda vm: vm.key)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]

    def _all(self) -> list[Vm]:
        return [*self._registry.vms, *self._stored]

    def _row(self, vm: Vm) -> tuple[str, ...]:
        users = self._registry.vm_users
        names = [name for name in vm.names if self.find(name) is vm]
        machines = dict.fromkeys(key for name in names for key in users.get(name, ()))
        return (
            vm.key,
            printable(vm.alias, 40) or "-",
            printable(vm.brand, 20) or "-",
            counted(len(vm.advice), "remark") if vm.advice else "-",
            ", ".join(machines) or "-",
            vm.source,
        )
