"""
``netbootd explain``: every rule that was looked at for one client, in order, and why it won.

It asks what the daemon asks (``looks``, ``next_step``), so it cannot tell another story.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from netbootd import arch, dhcpoptions, otherloaders, secureboot, subject
from netbootd.boot import loader
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import (
    Decision,
    Loader,
    Refusal,
    Script,
    identify,
    looks,
    next_step,
    refusal,
    subnet_of,
)
from netbootd.boot.script import Past as Known
from netbootd.configfiles import Reader
from netbootd.dhcp import pxe, styles
from netbootd.printable import printable
from netbootd.record.standing import FRESH, Standing
from netbootd.record.styles import Past, Worked
from netbootd.registry import marks
from netbootd.registry.expected import expected
from netbootd.registry.facts import own_address
from netbootd.registry.machine import Machine
from netbootd.registry.origins import Origin, Origins
from netbootd.registry.snapshot import Registry
from netbootd.show import past_of, scripts_as, styles_of
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
        """What it gets when its loader asks, which is when its target is chosen."""
        asking = replace(self.client, stage=Stage.IPXE)
        machine = identify(asking, self.registry)
        return next_step(asking, machine, self.registry, self.standing, self.now)

    @property
    def first(self) -> Decision:
        """What its firmware gets."""
        machine = identify(self.client, self.registry)
        return next_step(self.client, machine, self.registry, self.standing, self.now)

    @property
    def reader(self) -> tuple[Reader, str] | None:
        """Who reads its configuration, and its name; None for an iPXE, or where it gets nothing."""
        if self.client.stage is Stage.IPXE:
            return None
        if alone := otherloaders.reads_alone(self.client.arch):
            return alone
        step = self.first.step
        found = otherloaders.reads(step.name) if isinstance(step, Loader) else None
        return (found, otherloaders.NAMES[found]) if found else None


def as_firmware(client: Client, registry: Registry, kind: str | None, number: int | None) -> Client:
    """*client* as a *kind* of FIRMWARE with a *number* of option 93; None stands for the usual."""
    kind, number = subject.firmware_of(client, registry, kind, number)
    stage, row = FIRMWARE[kind]
    return replace(client, stage=stage, arch=row if number is None else arch.arch_of(number))


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
    sections = [
        _client(case),
        _looked(case),
        _subnet(case),
        _address(case, machine),
        _served(case.client, machine, case.registry),
    ]
    if machine is not None:
        sections += [_groups(machine), _state(case, machine), _values(case, machine)]
    if case.client.stage is not Stage.IPXE:
        sections += [_loader(case, machine), _style(case, machine)]
    because, booted, boots = outcome(case)
    sections.append(iter([*(("because", reason) for reason in because), ("boots", booted)]))
    lines = [
        f"{word:<10} {printable(text, _LONGEST_LINE)}"
        for section in sections
        for word, text in section
    ]
    return Explained("\n".join(lines) + "\n", boots)


Lines = Iterator[tuple[str, str]]


def _client(case: Case) -> Lines:
    client = case.client
    is_a = f"{client.arch} firmware" if client.arch else client.stage.value
    stands_for = subject.remark(client, case.registry)
    yield "client", f"{client.mac}{f' ({stands_for})' if stands_for else ''}, {is_a}"
    for mark in marks.MARKS:
        said = getattr(client, mark)
        if said:
            remark = "" if marks.normal(mark, said) else ": tells no machine apart, never matches"
            yield mark, f"{said}{remark}"


def _looked(case: Case) -> Lines:
    """Each rule by which an entry is looked for; those below the first that finds one lose."""
    winner: Machine | None = None
    nothing: list[str] = []
    later: list[tuple[str, str]] = []
    for look in looks(case.client, case.registry):
        if winner is not None:
            if look.found is None:
                nothing.append(look.by)
            else:
                later.append(("after it", f"{look.by}: {look.found.place} would be next, loses"))
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
    if nothing:
        yield "after it", f"{', '.join(nothing)}: nothing"
    yield from later


def _subnet(case: Case) -> Lines:
    """Where it is, as far as that is known, and what is said of that network."""
    link = case.client.link
    subnet = subnet_of(case.client, case.registry)
    if not link:
        if any(True for _ in case.registry.subnets):
            found = expected(identify(case.client, case.registry), "", case.registry)
            told = found is not None and "--from" in found.because
            yield "subnet", f"not known{'' if told else ': --from says where it asks from'}"
    elif subnet.network is None:
        yield "subnet", f"none holds {link}"
    else:
        yield "subnet", f"{subnet.name} holds {link}"
        if subnet.boot_server:
            yield "server", f"{subnet.boot_server} (subnet {subnet.name})"


def _address(case: Case, machine: Machine | None) -> Lines:
    """What DHCP does for it, where anybody is given an address."""
    found = expected(machine, case.client.link, case.registry)
    if found is not None:
        yield "address", found.text
        options = {**_host_name(machine), **found.options} if found.times else found.options
        for code, data in sorted(options.items()):
            value = dhcpoptions.as_text(code, data)
            yield "option", f"{code} {dhcpoptions.name_of(code)} = {value}"
        if found.times:
            yield "lease", found.times.text


def _host_name(machine: Machine | None) -> dict[int, bytes]:
    """Option 12, as a listed machine is called."""
    name = machine.variables.get("hostname") if machine is not None and machine.known else None
    return {dhcpoptions.HOST_NAME: name.encode()} if name and isinstance(name, str) else {}


def known_only(client: Client, registry: Registry) -> bool | None:
    """What counts of ``known_only``: the subnet's word over the setting; None: nobody is served."""
    subnet = subnet_of(client, registry)
    if not subnet.served:
        return None
    return registry.config.known_only if subnet.known_only is None else subnet.known_only


def _served(client: Client, machine: Machine | None, registry: Registry) -> Lines:
    subnet, said = subnet_of(client, registry), known_only(client, registry)
    if said is not None:
        whose = "" if subnet.known_only is None else f" for subnet {subnet.name}"
        strangers = "" if said else ": machines that are not listed are served"
        yield "known", f"known_only is {'' if said else 'not '}set{whose}{strangers}"
    if reason := refusal(client, machine, registry):
        yield "refused", str(reason)


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
    if case.registry.config.pace.enabled:
        yield "turn", f"may have to wait for it in a storm; its priority is {machine.priority}"
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
    firmware = case.client.arch
    if alone := otherloaders.reads_alone(firmware):
        yield "loader", f"none is needed: {alone[1]} reads its configuration by itself"
        return
    for name, path in programs(case, machine).items():
        yield "loader", f"{name}: {path or 'not found'}"
    yield "first", case.first.because[-1] if case.first.because else "nothing"
    if machine is not None and firmware is not None:
        yield from secure(firmware, machine, case.registry)


def programs(case: Case, machine: Machine | None) -> dict[str, Path | None]:
    """The boot programs that would do for the firmware, the best first; None: it is not there."""
    firmware, subnet = case.client.arch, subnet_of(case.client, case.registry)
    if firmware is None or machine is None:
        return {}
    names = loader.wanted(firmware, machine, case.registry, subnet)
    found = {name: case.registry.library.program(name) for name in names}
    return {name: program.path if program else None for name, program in found.items()}


def secure(firmware: arch.Arch, machine: Machine, registry: Registry) -> Lines:
    """What comes behind a shim or GRUB, where the machine loads one."""
    name = secureboot.loader_of(firmware, machine, registry)
    for _, text in secureboot.of_grub(firmware, name, registry):
        yield "grub", text
    known = secureboot.is_shim(name) and machine.mac is not None
    if known and (kernel := secureboot.kernel_of(machine, registry)):
        yield "secure", secureboot.told_of_kernel(kernel)


class Told(NamedTuple):
    """
    How firmware is told of its boot file: in this *style*, *why*, and *then* in these if nothing
    follows; *learned* is what its like have followed, by kind of firmware.
    """

    style: str
    why: str
    then: tuple[str, ...] = ()
    learned: Mapping[str, Worked] = MappingProxyType({})


def told(case: Case, machine: Machine | None) -> Told | None:
    """How a proxy tells the firmware; None where there is none, or it listens to none."""
    settings = case.registry.config.proxydhcp
    alone = otherloaders.reads_alone(case.client.arch)
    if not settings.enabled or case.client.mac is None or (alone and alone[0] is not Reader.PI):
        return None  # U-Boot and petitboot listen to no proxy
    message, subnet = pxe.as_said_by(case.client), subnet_of(case.client, case.registry)
    latest = max(case.learned.values(), key=lambda worked: worked.when, default=None)
    past = Past(worked=latest)
    choice = styles.pick(message, case.client, settings, machine, subnet, past)
    if not choice.chosen:
        return Told(choice.style.name, choice.why)
    others = styles.row_of(message, case.client).order
    rest = tuple(name for name in others if name != choice.style.name)
    return Told(choice.style.name, choice.why, rest, case.learned)


def _style(case: Case, machine: Machine | None) -> Lines:
    way = told(case, machine)
    if way is None:
        return
    then = f"; then {', '.join(way.then)}, if nothing follows" if way.then else ""
    yield "style", f"{way.style}: {way.why}{then}"
    for key, worked in way.learned.items():
        yield "learned", f"{worked.style}, by {worked.mac}, where firmware is {key}"


def outcome(case: Case) -> tuple[tuple[str, ...], str, bool]:
    """Why it ends so, what is booted, and whether that is what the file says."""
    decision, reader = case.decision, case.reader
    booting = decision.machine
    if booting is None or not isinstance(decision.step, Script):
        return decision.because, "nothing", False
    if isinstance(case.first.step, Refusal) and reader is None:
        return case.first.because, "nothing", False
    if isinstance(booting.target, Notice):
        return decision.because, booting.target.reason, False
    if reader is None:
        return decision.because, booting.title, True
    # The last reason is that iPXE asks.
    because = *decision.because[:-1], f"{reader[1]} asks, so it gets its configuration"
    known = Known(standing=case.standing, now=case.now)
    scripts = scripts_as(case.registry, reader[0], case.client, known).values()
    fault = next((script.says for script in scripts if script.status != 200), "")
    return because, fault or booting.title, not fault
