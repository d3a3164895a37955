"""
The heart: who is this, and what does it get next?

``identify`` and ``next_step`` are asked by every protocol, so that a refusal is the same in DHCP,
TFTP and HTTP.  Both are pure: registry generation and client in, decision out, with its reasons.

A machine the file does not name gets ``machines.default``.  Without a default it gets nothing, and
so it does where the file says ``known_only``.  A machine whose entry is switched off is known: it
boots its own disk and never the default.
"""

from __future__ import annotations

from dataclasses import dataclass

from netbootd.boot.client import Client, Stage
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry


@dataclass(frozen=True, slots=True)
class Loader:
    """A boot program by name, as found in the library."""

    name: str


@dataclass(frozen=True, slots=True)
class Script:
    """The boot script of the machine's target."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing; *reason* is for the operator."""

    reason: str


Step = Loader | Script | Refusal


@dataclass(frozen=True, slots=True)
class Decision:
    """What *machine* gets next, and *because* of which rules, in the order they applied."""

    step: Step
    machine: Machine | None
    because: tuple[str, ...] = ()


def identify(client: Client, registry: Registry) -> Machine | None:
    """The entry for *client*: by its MAC, else by its address, else the default made its own."""
    if client.mac is not None:
        return registry.machine(client.mac)
    return registry.by_address(client.address)


def refusal(machine: Machine | None, registry: Registry) -> str | None:
    """Why the machine that *machine* stands for gets nothing at all, or None: it is served."""
    if machine is None:
        return "not in the configuration, and there is no machines.default"
    if registry.config.known_only and not machine.known:
        return "not in the configuration, and known_only is set"
    return None


def next_step(client: Client, machine: Machine | None, registry: Registry) -> Decision:
    """What *client* gets next; see the module's text for the rules."""
    reason = refusal(machine, registry)
    if machine is None or reason is not None:
        return _refuse(machine, reason or "")
    because = (_why_this_machine(machine),)
    if client.stage is Stage.IPXE:
        return Decision(Script(), machine, (*because, "iPXE asks, so it gets the script"))
    return _loader(client, machine, registry, because)


def _loader(
    client: Client, machine: Machine, registry: Registry, because: tuple[str, ...]
) -> Decision:
    if client.arch is None:
        return _refuse(machine, "the firmware does not say what it is (no option 93)", because)
    if not client.arch.loaders:
        return _refuse(machine, f"{client.arch} ({client.arch.number}) has no iPXE loader", because)
    for name in client.arch.loaders:
        if registry.library.program(name):
            found = f"{name} is the first loader found for {client.arch}"
            return Decision(Loader(name), machine, (*because, found))
    wanted = " or ".join(client.arch.loaders)
    missing = f"no loader for {client.arch}: put {wanted} into a folder that 'firmware' names"
    return _refuse(machine, missing, because)


def _why_this_machine(machine: Machine) -> str:
    if not machine.known:
        return f"not in the configuration, so machines.default: {machine.title}"
    return f"{machine.place}: {machine.title}"


def _refuse(machine: Machine | None, reason: str, because: tuple[str, ...] = ()) -> Decision:
    return Decision(Refusal(reason), machine, (*because, reason))
