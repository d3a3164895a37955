"""
``netbootd vms``: the VM descriptions that would be served, and what vmadm would say to a file.

What was put by HTTP is read from the daemon's folder, which may be for root and the daemon only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from netbootd.errors import Finding, Level, NotFound, Place
from netbootd.nearest import did_you_mean
from netbootd.printable import counted, printable
from netbootd.registry.snapshot import Registry
from netbootd.vms.store import FOLDER, read_file, read_folder
from netbootd.vms.strict import NotStrict
from netbootd.vms.values import Advice
from netbootd.vms.vm import STORED, Vm, Vms


class Remark(NamedTuple):
    """
    One thing about a file: *text*, at the property *path* (empty for the file as a whole) and at
    *place*; *refused*: vmadm would not take it.
    """

    place: Place
    text: str
    refused: bool
    path: str = ""

    def __str__(self) -> str:
        said = str(Advice(self.path, self.text, self.refused)) if self.path else self.text
        return f"{self.place}: {'error' if self.refused else 'advice'}: {said}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What vmadm would say to the file *name*."""

    name: str
    remarks: tuple[Remark, ...]

    @property
    def refused(self) -> bool:
        """Whether vmadm would refuse it."""
        return any(remark.refused for remark in self.remarks)

    @property
    def lines(self) -> list[str]:
        """For a person."""
        return [str(remark) for remark in self.remarks] or [f"{self.name}: nothing wrong"]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        remarks = [
            {
                "refused": remark.refused,
                "path": remark.path,
                "text": remark.text,
                "line": remark.place.line,
                "column": remark.place.column,
            }
            for remark in self.remarks
        ]
        return {"file": self.name, "refused": self.refused, "remarks": remarks}


def check(file: Path) -> Checked:
    """What vmadm would say to *file*."""
    name = printable(str(file))
    try:
        advice = read_file(file).advice
    except NotStrict as problem:
        return Checked(name, (Remark(problem.place, problem.text, True),))
    except OSError as problem:
        told = f"cannot be read: {problem.strerror or problem}"
        return Checked(name, (Remark(Place(name), told, True),))
    return Checked(
        name, tuple(Remark(Place(name), one.text, one.refused, one.path) for one in advice)
    )


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
        rows = [self._row(vm) for vm in self._in_order()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "vms": [
                {
                    "key": vm.key,
                    "uuid": vm.uuid,
                    "alias": vm.alias,
                    "brand": vm.brand,
                    "remarks": [one._asdict() for one in vm.advice],
                    "machines": self._machines(vm),
                    "source": vm.source,
                }
                for vm in self._in_order()
            ]
        }

    def _in_order(self) -> list[Vm]:
        return sorted(self._all(), key=lambda vm: vm.key)

    def _all(self) -> list[Vm]:
        return [*self._registry.vms, *self._stored]

    def _machines(self, vm: Vm) -> list[str]:
        """The keys of those that have it."""
        users = self._registry.vm_users
        names = [name for name in vm.names if self.find(name) is vm]
        return list(dict.fromkeys(key for name in names for key in users.get(name, ())))

    def _row(self, vm: Vm) -> tuple[str, ...]:
        return (
            vm.key,
            printable(vm.alias, 40) or "-",
            printable(vm.brand, 20) or "-",
            counted(len(vm.advice), "remark") if vm.advice else "-",
            ", ".join(self._machines(vm)) or "-",
            vm.source,
        )
