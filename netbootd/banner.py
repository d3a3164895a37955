"""
What the daemon says when it has started: all that an admin wants to see at one glance.

Pure: values in, lines out.  The last line contains ``ready``, which scripts may wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from netbootd import __version__, arch, loaders
from netbootd.errors import Level
from netbootd.printable import counted
from netbootd.registry.snapshot import Registry

PROXY, DHCP_SERVER = "ProxyDHCP", "DHCP server"
_SHOWN_ARCHES = (0, 7, 6, 11, 10, 27, 39)


@dataclass(frozen=True, slots=True)
class Socket:
    """What the daemon listens on: ``ProxyDHCP``, ``UDP 67 on eth1``; *note* is told with it."""

    service: str
    where: str
    note: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.service:<10} {self.where}{self.note}"


def banner(
    registry: Registry,
    interfaces: Iterable[str],
    sockets: Sequence[Socket],
    troubles: Sequence[str],
    command: str,
) -> list[str]:
    """
    The lines of the banner; *troubles* is what could not be served, and why.

    *command* is how ``netbootd show`` is to be called here, up to the MAC.
    """
    return [
        f"netbootd {__version__}",
        *_configuration(registry),
        *(f"interface      {text}" for text in interfaces),
        *(f"listening      {socket}" for socket in sockets),
        *_loaders(registry),
        *(f"TROUBLE        {text}" for text in troubles),
        *_next_step(registry, command),
        f"ready: generation {registry.generation}{', but see TROUBLE above' if troubles else ''}",
    ]


def proxydhcp(interface: str, holder: str | None) -> Socket:
    """
    What ProxyDHCP listens on at *interface*; *holder* is who has UDP 67 where it is shared.

    None: the port is ours.  Empty: it is shared, but nobody has it now.
    """
    if holder is None:
        return Socket(PROXY, f"UDP 67 and 4011 on {interface}")
    note = f", {holder} has the port" if holder else ""
    return Socket(PROXY, f"UDP 4011 and snooping UDP 67 on {interface}", note)


def dhcp_server(interface: str) -> Socket:
    """What we listen on at *interface* where we give addresses."""
    return Socket(DHCP_SERVER, f"UDP 67 and 4011 on {interface}")


def dhcpv6(interface: str, *, serves: bool) -> Socket:
    """What we listen on for IPv6 at *interface*; *serves*: addresses are given there."""
    note = ", gives addresses" if serves else ", boot files alone"
    return Socket("DHCPv6", f"UDP 547 on {interface}", note)


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
        lines.append(f"               {counted(wrong, 'finding')}, which check tells")
    lines.append(f"files          {registry.config.files}{_absent(registry)}")
    return lines


def _contents(registry: Registry) -> str:
    machines, targets = registry.listed, len(registry.targets)
    return f"{counted(machines, 'machine')}, {counted(targets, 'target')}"


def _absent(registry: Registry) -> str:
    return "" if registry.config.files.is_dir() else " (does not exist yet)"


def _loaders(registry: Registry) -> list[str]:
    lines, missing = [], []
    for number in _SHOWN_ARCHES:
        row = arch.TABLE[number]
        word = registry.config.loader.of(row) or loaders.USUAL
        names = loaders.names(word, row)
        found = next((p for name in names if (p := registry.library.program(name))), None)
        if found:
            lines.append(f"loader         {row.name:<14} {found.path}  sha256 {found.sha256}")
        else:
            missing.append(row.name)
    if missing:
        lines.append(f"no loader for  {', '.join(missing)}")
    return lines


def _next_step(registry: Registry, command: str) -> list[str]:
    first = next(iter(registry.machines), "MAC" if registry.listed else None)
    if first is not None:
        return [
            f"next           {command} {first}",
            "               then set the machine to boot from the network, and power it on",
        ]
    return [
        "next           add a target and a machine that boots it, as the README shows under",
        "               'Your first node'; a saved change is in force after one second",
    ]
