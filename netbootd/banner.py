"""
What the daemon says when it has started: all that an admin wants to see at one glance.

Pure: values in, lines out.  The last line contains ``ready``, which scripts may wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netbootd import __version__, arch
from netbootd.errors import Level
from netbootd.printable import counted
from netbootd.registry.snapshot import Registry

_SHOWN_ARCHES = (0, 7, 6, 11, 10, 27, 39)


@dataclass(frozen=True, slots=True)
class Socket:
    """One thing the daemon listens on: ``proxyDHCP``, ``192.0.2.1:67 on eth1``."""

    service: str
    where: str

    def __str__(self) -> str:
        return f"{self.service:<10} {self.where}"


def banner(
    registry: Registry,
    interfaces: Iterable[str],
    sockets: Sequence[Socket],
    troubles: Sequence[str],
    config_file: str,
) -> list[str]:
    """The lines of the banner; *troubles* is what could not be served, and why."""
    return [
        f"netbootd {__version__}",
        *_configuration(registry),
        *(f"interface      {text}" for text in interfaces),
        *(f"listening      {socket}" for socket in sockets),
        *_loaders(registry),
        *(f"TROUBLE        {text}" for text in troubles),
        *_next_step(registry, config_file),
        f"ready: generation {registry.generation}",
    ]


def differences(before: Sequence[Socket], after: Sequence[Socket]) -> list[str]:
    """What is listened on now and was not, and the other way round."""
    return [f"listening      {socket}" for socket in after if socket not in before] + [
        f"not listening  {socket}" for socket in before if socket not in after
    ]


def summary(registry: Registry) -> str:
    """One line for systemd's status."""
    return f"serving generation {registry.generation}: {_contents(registry)}"


def _configuration(registry: Registry) -> list[str]:
    default = registry.default.title if registry.default else "nothing"
    lines = [f"configuration  {file}" for file in registry.documents]
    lines.append(f"               {_contents(registry)}; unknown machines get {default}")
    wrong = sum(finding.level >= Level.WARNING for finding in registry.findings)
    if wrong:
        lines.append(f"               {counted(wrong, 'finding')}: see netbootd check")
    lines.append(f"files          {registry.config.files}{_absent(registry)}")
    return lines


def _contents(registry: Registry) -> str:
    machines, targets = len(registry.machines), len(registry.targets)
    return f"{counted(machines, 'machine')}, {counted(targets, 'target')}"


def _absent(registry: Registry) -> str:
    return "" if registry.config.files.is_dir() else " (does not exist yet)"


def _loaders(registry: Registry) -> list[str]:
    lines = []
    for number in _SHOWN_ARCHES:
        row = arch.TABLE[number]
        found = next((p for name in row.loaders if (p := registry.library.program(name))), None)
        if found:
            lines.append(f"loader         {row.name:<14} {found.path}  sha256 {found.sha256}")
        else:
            lines.append(f"loader         {row.name:<14} none (would be {row.loaders[0]})")
    return lines


def _next_step(registry: Registry, config_file: str) -> list[str]:
    if registry.machines:
        first = next(iter(registry.machines))
        return [
            f"next           netbootd show --config {config_file} {first}",
            "               then set the machine to boot from the network, and power it on",
        ]
    return [
        f'next           add a machine to {config_file}, under "machines":',
        '                  "00:25:90:27:db:b4" : { "type" : "nfs", "name" : "…" },',
        "               save, and power it on; a change is in force after one second",
    ]
