"""
``netbootd check``: load a configuration and render the script of every machine, collecting all that
is wrong.  A template that would fail at boot fails here first.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from netbootd import answers, keptout, lacking, otherloaders, secureboot, trust
from netbootd.addressing import Serving
from netbootd.boot.script import first_script
from netbootd.errors import ConfigErrors, Finding, Level, Place, RenderError
from netbootd.printable import counted
from netbootd.probe import probe
from netbootd.registry import addressing, overlays, scripts
from netbootd.registry.facts import (
    OUR_ADDRESS,
    STRANGER,
    addresses,
    everybody,
    facts_of,
    for_a_look,
)
from netbootd.registry.load import load
from netbootd.registry.machine import Machine
from netbootd.registry.marks import MARKS
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet
from netbootd.relaxedjson import path_of
from netbootd.rendering import told_of
from netbootd.scripts.script import Fragment, interpreter, rendered
from netbootd.targets.base import HOST_NAME
from netbootd.targets.ipxe import MAGIC
from netbootd.targets.placeholders import SHORT, Unfilled
from netbootd.targets.settings import VARIABLES
from netbootd.targets.vlan import NoVlan

_A_TOKEN = "0" * 32  # for that of a boot attempt
#: Nobody mistyped these, even where no machine has one: the last that had it may have been removed.
_WELL_KNOWN = VARIABLES | {*MARKS, *SHORT.values()}


Names = Callable[[], Container[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """All findings about one file, and a closing line."""

    findings: tuple[Finding, ...]
    summary: str


def check(file: Path, *, network: bool = False) -> Report:
    """
    Load *file* and render everything in it; raises nothing for what is wrong there.

    *network* asks the servers it names as well.
    """
    try:
        registry = load(file)
    except ConfigErrors as problem:
        return Report(_in_order(problem.findings), f"cannot be used; {_count(problem.findings)}")
    asked = probe(registry) if network else []
    found = (*_of_all(registry), *_render_all(registry), *_no_programs(registry, file.parent))
    lacks = (*secureboot.remarks(registry), *lacking.remarks(registry))
    lacks = (*lacks, *trust.remarks(registry), *trust.signatures(registry))
    lacks = (*lacks, *trust.without_https(registry), *keptout.remarks(registry, file))
    findings = _in_order((*found, *lacks, *asked))
    machines, targets = registry.listed, len(registry.targets)
    content = f"{counted(machines, 'machine')}, {counted(targets, 'target')}"
    return Report(findings, f"{content}{_addresses_in(registry)}; {_count(findings)}")


def _addresses_in(registry: Registry) -> str:
    """Where addresses are given, for the closing line; empty for nowhere."""
    usual = registry.config.dhcp.mode
    nets = [net for net in registry.subnets if net.served and _mode(net, usual) is Serving.SERVER]
    if not nets:
        return ""
    pools = sum(
        addressing.given(net.network, net.addressing)
        for net in nets
        if isinstance(net.network, IPv4Network)
    )
    kept = len(registry.reserved) + len(registry.reserved6)
    told = f"{pools} address{'' if pools == 1 else 'es'} in pools, {kept} kept for machines"
    return f", DHCP server of {counted(len(nets), 'subnet')} ({told})"


def _mode(net: Subnet, usual: Serving) -> Serving:
    """Of IPv4 or IPv6, where no interface says otherwise."""
    is_6 = isinstance(net.network, IPv6Network)
    return (net.addressing6.serving if is_6 else net.addressing.serving) or usual


def _in_order(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """As an editor would walk through them."""
    return tuple(sorted(findings, key=lambda f: (f.place.file, f.place.line, f.place.column)))


def _of_all(registry: Registry) -> list[Finding]:
    """What was found at loading; of what was tried for some machines then, by all of them."""
    faults = [
        *answers.faults(registry, everybody(registry)),
        *overlays.faults(registry, overlays.overlaid(registry)),
        *scripts.faults(registry, scripts.scripted(registry)),
    ]
    known = {(fault.code, fault.place) for fault in faults}
    found = [one for one in registry.findings if (one.code, one.place) not in known]
    return [*found, *faults]


def _no_programs(registry: Registry, folder: Path) -> Iterator[Finding]:
    """Fragments of node scripts that no shell can read, as ``sh -n`` sees them."""
    seen: set[str] = set()
    for machine in scripts.one_of_each_kind(registry):
        with suppress(RenderError):  # which was said
            facts = for_a_look(machine, registry)
            for piece, text in rendered(scripts.pieces(machine, registry), facts):
                if text not in seen and not interpreter(text):
                    yield from _no_program(piece.fragment, text, folder)
                seen.add(text)


def _no_program(fragment: Fragment, text: str, folder: Path) -> Iterator[Finding]:
    sh = subprocess.run(["/bin/sh", "-n"], input=text, capture_output=True, text=True, check=False)
    if sh.returncode:
        told = f'script fragment "{fragment.name}" is no program: {sh.stderr.strip()}'
        yield Finding(Level.TARGET, "script-syntax", told, Place(str(folder / fragment.file)))


def _render_all(registry: Registry) -> list[Finding]:
    known = _names_in(registry)
    found = [one for machine in everybody(registry) for one in _render(machine, registry, known)]
    return [*found, *_first(registry)]


def _first(registry: Registry) -> Iterator[Finding]:
    name = registry.first_template.name
    problem = _trouble(name, lambda: first_script(registry, OUR_ADDRESS).text)
    if problem:
        yield Finding(Level.RELOAD, "template-error", problem, Place(name))


def rehearse(registry: Registry) -> tuple[Finding, ...]:
    """
    What keeps boot scripts from being made, tried with one machine of each kind; and what may keep
    machines with Secure Boot from booting.
    """
    found, known = list(_first(registry)), _names_in(registry)
    for machine in scripts.one_of_each_kind(registry):
        found += _render(machine, registry, known)
    broken = (one for one in found if one.level >= Level.TARGET)
    return *broken, *secureboot.remarks(registry), *trust.remarks(registry)


def tried(machines: Iterable[Machine], registry: Registry) -> tuple[Finding, ...]:
    """What keeps *machines* from booting, each tried by itself, as ``check`` tries all."""
    cards = [one if one.mac else one.for_card(STRANGER) for one in machines]
    laid_over = [one for one in cards if overlays.is_overlaid(one)]
    known = _names_in(registry)
    found = [fault for one in cards for fault in _render(one, registry, known)]
    found += answers.faults(registry, cards) + overlays.faults(registry, laid_over)
    return *found, *scripts.faults(registry, cards)


def _names_in(registry: Registry) -> Names:
    """All that is known of any machine, gathered once somebody asks."""
    return cache(partial(answers.all_names, registry))


def _render(machine: Machine, registry: Registry, known: Names) -> list[Finding]:
    """What keeps a machine's script from being made; else what its target thinks of it."""
    assert machine.mac is not None
    target, place = machine.target, machine.place
    path = path_of("machines", machine.written)
    problem, facts = None, None
    for address in addresses(machine, registry):
        facts = facts_of(machine.mac, machine, registry, OUR_ADDRESS, address, _A_TOKEN)
        try:
            problem = _trouble(target.template.name, partial(target.script, facts))
            break
        except NoVlan:
            return []  # which was said where it is written
        except RenderError as fault:
            told, level = f"{target.title}: {fault}", _level(fault, known)
    else:
        return [Finding(level, "placeholder-empty", told, place, path)]
    if problem is not None:
        told = f"{target.title}: {problem}"
        return [Finding(Level.RELOAD, "template-error", told, place, path)]
    told_by_target = [
        Finding(Level.WARNING, "target-remark", f"{target.title}: {remark}", place, path)
        for remark in target.remarks(facts)
    ]
    return [*_no_name(machine), *told_by_target, *otherloaders.remarks(machine, registry, facts)]


def _level(fault: RenderError, known: Names) -> Level:
    """What one machine lacks is its own matter; what no machine has was mistyped."""
    if not isinstance(fault, Unfilled) or fault.name in _WELL_KNOWN:
        return Level.TARGET
    return Level.TARGET if fault.name in known() else Level.RELOAD


def _no_name(machine: Machine) -> Iterator[Finding]:
    """A ``hostname`` that is none, whatever the machine boots."""
    name = machine.variables.get("hostname")
    if isinstance(name, str) and not HOST_NAME.fullmatch(name):
        told = f"hostname {name!r:.80} is no host name: letters, digits and hyphens (RFC 1123)"
        path = path_of("machines", machine.written, "hostname")
        yield Finding(Level.WARNING, "hostname-invalid", told, machine.place, path)


def _trouble(name: str, render: Callable[[], str]) -> str | None:
    """What keeps a script from being made, or from being one; a template may do anything."""
    try:
        text = render()
    except RenderError:  # not the template's fault
        raise
    except Exception as problem:
        return told_of(name, problem)
    return None if text.startswith(MAGIC) else f"{name}: it does not begin with {MAGIC.strip()}"


def _count(findings: tuple[Finding, ...]) -> str:
    parts = [
        counted(number, word)
        for word in ("error", "target error", "warning", "note")
        if (number := sum(finding.level.word == word for finding in findings))
    ]
    return ", ".join(parts) or "nothing wrong"
