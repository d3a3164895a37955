"""
``netbootd explain``: every rule that was looked at for one client, in order, and why it won.

It asks what the daemon asks (``looks``, ``next_step``), so it cannot tell another story.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from netbootd import arch, secureboot
from netbootd.boot import loader
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import Decision, Script, identify, looks, next_step, refusal, subnet_of
from netbootd.dhcp import pxe, styles
from netbootd.printable import printable
from netbootd.record.standing import FRESH, Standing
from netbootd.record.styles import Past, Worked
from netbootd.registry import marks
from netbootd.registry.facts import own_address
from netbootd.registry.machine import Machine
from netbootd.registry.origins import Origin, Origins
from netbootd.registry.snapshot import Registry
from netbootd.show import past_of, styles_of
from netbootd.targets.notice import Notice

#: What ``--firmware`` may be: how far the client has come, and what it is.
FIRMWARE = {
    "bios": (Stage.FIRMWARE, arch.BIOS),
    "efi": (Stage.FIRMWARE, arch.EFI_X64),
    "http": (Stage.HTTP_BOOT, arch.EFI_X64_HTTP),
    "ipxe": (Stage.IPXE, None),
}
_LONGEST_VALUE, _LONGEST_LINE = 200, 600


@dataclass(frozen=True, slots=True)
class Explained:
    """*boots* is False where the client gets nothing, or a script that only says why."""

    text: str
    boots: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One client, and all that decides about it at *now* (Unix seconds); *learned* are reply styles by
    kind of firmware.
    """

    client: Client
    registry: Registry
    origins: Origins
    standing: Standing = FRESH
    now: float = 0.0
    learned: Mapping[str, Worked] = field(default_factory=dict)

    @property
    def decision(self) -> Decision:
        """What it gets when iPXE asks, which is when its target is chosen."""
        asking = replace(self.client, stage=Stage.IPXE)
        machine = identify(asking, self.registry)
        return next_step(asking, machine, self.registry, self.standing, self.now)


def remembered(client: Client, registry: Registry, origins: Origins) -> Case:
    """
    A case with what a daemon of this configuration has in its record, if there is one, and with the
    address that the machine's entry gives it, where *client* says none.
    """
    if not client.link and (machine := identify(client, registry)) is not None:
        client = replace(client, address=own_address(machine))
    past = past_of(client, registry)
    return Case(
        client=client,
        registry=registry,
        origins=origins,
        standing=past.standing,
        now=past.now,
        learned=styles_of(client, registry),
    )


def explain(case: Case) -> Explained:
    """The whole story of one client, for a person at a terminal."""
    machine = identify(case.client, case.registry)
    decision = case.decision
    sections = [
        _client(case.client),
        _looked(case),
        _subnet(case),
        _served(case.client, machine, case.registry),
    ]
    if machine is not None:
        sections += [_groups(machine), _state(case, machine), _values(case, machine)]
    if case.client.stage is not Stage.IPXE:
        sections += [_loader(case, machine), _style(case, machine)]
    sections.append(_outcome(decision))
    lines = [
        f"{word:<10} {printable(told, _LONGEST_LINE)}"
        for section in sections
        for word, told in section
    ]
    booting = decision.machine
    boots = isinstance(decision.step, Script) and booting is not None
    works = boots and not isinstance(booting.target if booting else None, Notice)
    return Explained("\n".join(lines) + "\n", works)


Lines = Iterator[tuple[str, str]]


def _client(client: Client) -> Lines:
    is_a = f"{client.arch} firmware" if client.arch else client.stage.value
    yield "client", f"{client.mac}, {is_a}"
    for mark in marks.MARKS:
        said = getattr(client, mark)
        if said:
            remark = "" if marks.normal(mark, said) else ": tells no machine apart, never matches"
            yield mark, f"{said}{remark}"


def _looked(case: Case) -> Lines:
    """Each rule by which an entry is looked for; those below the first that finds one lose."""
    winner: Machine | None = None
    for look in looks(case.client, case.registry):
        if winner is not None:
            lost = f"{look.found.place} would be next, loses" if look.found else "nothing"
            yield "after it", f"{look.by}: {lost}"
        elif look.found is not None:
            winner = look.found
            yield "found by", f'{look.by}: {look.found.place}: "{look.found.written}"'
        else:
            said = f"no entry has {look.said}" if look.said else "the client does not say it"
            if look.by == "default":
                said = "there is no machines.default"
            elif look.by == "wildcard":
                said = f"none fits {look.said}"
            yield "not by", f"{look.by}: {said}"


def _subnet(case: Case) -> Lines:
    """Where it is, as far as that is known, and what is said of that network."""
    link = case.client.link
    subnet = subnet_of(case.client, case.registry)
    if not link:
        if any(True for _ in case.registry.subnets):
            yield "subnet", "not known: --address says where it asks from"
    elif subnet.network is None:
        yield "subnet", f"none holds {link}"
    else:
        yield "subnet", f"{subnet.name} holds {link}"
        if subnet.boot_server:
            yield "server", f"{subnet.boot_server} (subnet {subnet.name})"


def _served(client: Client, machine: Machine | None, registry: Registry) -> Lines:
    setting = "set" if registry.config.known_only else "not set: machines that are not listed"
    yield "known", f"known_only is {setting}{'' if registry.config.known_only else ' are served'}"
    if reason := refusal(client, machine, registry):
        yield "refused", reason


def _groups(machine: Machine) -> Lines:
    if machine.groups:
        yield "groups", f"{', '.join(machine.groups)} (the first wins)"


def _state(case: Case, machine: Machine) -> Lines:
    """What is remembered of the machine and may change what it boots: extend this for more."""
    standing = case.standing
    yield "remembered", f"as {machine.key}"
    if standing.held:
        yield "held", standing.held
    if standing.armed is not None:
        counts = "" if standing.armed.valid(case.now) else ", too late or used up"
        yield "armed", f"{standing.armed.target}, {standing.armed.times} times{counts}"
    for title in standing.completed:
        yield "done", title
    if standing == FRESH:
        yield "state", "nothing: no boot is armed, none is done, it is not held"


def _values(case: Case, machine: Machine) -> Lines:
    yield "target", " inherits ".join([*case.origins.chain(machine.title)] or [machine.title])
    for origin in case.origins.of(machine, subnet_of(case.client, case.registry)):
        yield "value" if origin.counts else "  hidden", _told(origin)


def _told(origin: Origin) -> str:
    value = _as_text(origin.value)
    return f"{origin.key} = {value}   ({origin.by}, {origin.place})"


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _loader(case: Case, machine: Machine | None) -> Lines:
    """Each boot program that would do for the firmware, and whether it is there."""
    subnet = subnet_of(case.client, case.registry)
    firmware = case.client.arch
    for name in (
        loader.wanted(firmware, machine, case.registry, subnet) if firmware and machine else ()
    ):
        program = case.registry.library.program(name)
        yield "loader", f"{name}: {program.path if program else 'not found'}"
    step = next_step(case.client, machine, case.registry)
    yield "first", step.because[-1] if step.because else "nothing"
    if machine is not None and case.client.arch is not None:
        yield from _secure(case.client.arch, machine, case.registry)


def _secure(firmware: arch.Arch, machine: Machine, registry: Registry) -> Lines:
    """What comes behind a shim or GRUB, where the machine loads one."""
    name = secureboot.loader_of(firmware, machine, registry)
    for _, told in secureboot.of_grub(firmware, name, registry):
        yield "grub", told
    known = secureboot.is_shim(name) and machine.mac is not None
    if known and (kernel := secureboot.kernel_of(machine, registry)):
        yield "secure", secureboot.told_of_kernel(kernel)


def _style(case: Case, machine: Machine | None) -> Lines:
    """How its firmware is told of its boot file by a proxy, and what its like have followed."""
    settings = case.registry.config.proxydhcp
    if not settings.enabled or case.client.mac is None:
        return
    message, subnet = pxe.as_said_by(case.client), subnet_of(case.client, case.registry)
    latest = max(case.learned.values(), key=lambda worked: worked.when, default=None)
    past = Past(worked=latest)
    choice = styles.pick(message, case.client, settings, machine, subnet, past)
    others = styles.row_of(message, case.client).order
    rest = ", ".join(name for name in others if name != choice.style.name)
    then = f"; then {rest}, if nothing follows" if choice.chosen and rest else ""
    yield "style", f"{choice.style.name}: {choice.why}{then}"
    for key, worked in case.learned.items():
        if choice.chosen:
            yield "learned", f"{worked.style}, by {worked.mac}, where firmware is {key}"


def _outcome(decision: Decision) -> Lines:
    for reason in decision.because:
        yield "because", reason
    booting = decision.machine
    if booting is not None and isinstance(booting.target, Notice):
        yield "boots", booting.target.reason
    else:
        title = booting.title if booting and isinstance(decision.step, Script) else "nothing"
        yield "boots", title
