"""``netbootd show``: what a machine or a stranger would get at each step, why, and its script."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from netbootd import arch, subject, urls
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import Loader, Refusal, Script, identify, next_step, subnet_of
from netbootd.boot.script import NO_PAST, BootScript, Past, boot_script
from netbootd.configfiles import PI_FILES, Reader
from netbootd.dialects.catalogue import dialect_of
from netbootd.dialects.dialect import TFTP, Way
from netbootd.dropins import GROUPS, MACHINES, TARGETS
from netbootd.errors import Finding, Level, NotFound
from netbootd.loaders import NO_CHOICE, Choice
from netbootd.otherloaders import NAMES, readers_of
from netbootd.record import store
from netbootd.record.standing import FRESH, Standing
from netbootd.record.styles import Kind, Worked
from netbootd.registry import scripts
from netbootd.registry.facts import facts_of, own_address, server_of
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import path_of

_FIRMWARE = (arch.BIOS, arch.EFI_X64, arch.TABLE[11], arch.TABLE[6])
_OUR_ADDRESS = "boot-server"  # the interface that hears the request decides
_ITS_ADDRESS = "its-address"  # where the configuration gives none
#: The same in what may be run: as a line of /etc/hosts it is this host (RFC 1122, section 3.2.1.3).
_ANY_ADDRESS = "0.0.0.0"
_TOKEN = "token-of-this-boot"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Shown:
    """*boots* is False where the machine would only get a notice."""

    text: str
    boots: bool


def show(registry: Registry, client: Client, past: Past = NO_PAST) -> Shown:
    """
    Everything about one machine, for a person at a terminal; *past* is what is remembered.

    *client* asks from its address; without one, from what its entry says.
    """
    client = _placed(client, registry)
    base = _base(registry, client.address)
    script = boot_script(client, registry, base, replace(past, token=_TOKEN))
    boots = script.status == 200
    stands_for = subject.remark(client, registry)
    remark = f" ({stands_for})" if stands_for else ""
    others = list(_others(registry, client, base))
    lines = [f"machine   {client.mac}{remark}", *_who(registry, client, past, others)]
    lines += [] if boots else _reasons(registry, script)
    if base.startswith(f"http://{_OUR_ADDRESS}"):
        lines.append(f"server    {base} stands for this server's own address")
    lines += [*_loaders(registry, client), *others, ""]
    return Shown("\n".join(lines) + "\n" + script.text, boots)


def show_as(registry: Registry, reader: Reader, client: Client, past: Past = NO_PAST) -> Shown:
    """What another loader than iPXE would read, by TFTP; each file under its name if it is two."""
    scripts = scripts_as(registry, reader, client, past)
    parts = []
    for name, script in scripts.items():
        title = f"# {name}\n" if len(scripts) > 1 else ""
        parts.append(title + (script.text or f"netbootd: nothing: {script.says}\n"))
    return Shown("\n".join(parts), all(script.status == 200 for script in scripts.values()))


def scripts_as(
    registry: Registry, reader: Reader, client: Client, past: Past = NO_PAST
) -> dict[str, BootScript]:
    """The files that *reader* reads, by their names."""
    client = _placed(client, registry)
    base = _base(registry, client.address)
    way = Way(TFTP, base.partition("://")[2])
    known = replace(past, token=_TOKEN)
    names = sorted(PI_FILES, reverse=True) if reader is Reader.PI else [reader.value]
    dialects = {name: dialect_of(reader, name, way, registry.dialects) for name in names}
    return {
        name: boot_script(client, registry, base, known, dialect=dialect)
        for name, dialect in dialects.items()
    }


def _placed(client: Client, registry: Registry) -> Client:
    """*client* as iPXE, from where it would ask."""
    machine = identify(client, registry)
    known = client.address or (own_address(machine) if machine else "")
    return replace(client, stage=Stage.IPXE, address=known or _ITS_ADDRESS)


def _base(registry: Registry, address: str) -> str:
    ours = urls.base_url(_OUR_ADDRESS, registry.config.http_port[0])
    return server_of(registry, ours, address)


def past_of(client: Client, registry: Registry) -> Past:
    """What the daemon remembers of *client*, as far as its state folder can be read from here."""
    machine = identify(client, registry)
    standings: Mapping[str, Standing] = {}
    with suppress(store.NoRecord, OSError):
        standings = store.read(registry.config.state)
    standing = standings.get(machine.key, FRESH) if machine else FRESH
    return Past(standing=standing, now=time.time())


def styles_of(client: Client, registry: Registry) -> dict[str, Worked]:
    """What was learned of reply styles for the maker of its card and its architecture."""
    learned: Mapping[str, Worked] = {}
    with suppress(store.NoRecord, OSError):
        learned = store.read_styles(registry.config.state)
    if client.mac is None:
        return {}
    like = Kind.of(client.mac, client.arch.number if client.arch else None, "").key
    return {key: worked for key, worked in learned.items() if key.startswith(like)}


def node_script(registry: Registry, client: Client) -> str:
    """What ``/scripts/<mac>`` would answer; raises NotFound, or RenderError with file and line."""
    base = registry.boot_server or urls.base_url(_OUR_ADDRESS, registry.config.http_port[0])
    machine = identify(client, registry)
    if machine is None or machine.mac is None:
        raise NotFound(f"{client.mac} is not in the configuration")
    facts = facts_of(machine.mac, machine, registry, base, _ANY_ADDRESS, _TOKEN)
    return scripts.build(machine, facts, registry)


def _who(registry: Registry, client: Client, past: Past, others: list[str]) -> list[str]:
    decision = next_step(client, identify(client, registry), registry, past.standing, past.now)
    machine = decision.machine
    lines = [f"target    {machine.title if machine else 'none'}"]
    if subnet := subnet_of(client, registry).name:
        lines.append(f"subnet    {subnet} holds {client.link}")
    # The last reason is that iPXE asks, which not all of them run.
    because = decision.because[: -1 if others and isinstance(decision.step, Script) else None]
    lines += [f"because   {reason}" for reason in because]
    if machine:
        lines += [
            f"variable  {name} = {value}" for name, value in sorted(machine.variables.items())
        ]
    return lines


def _reasons(registry: Registry, script: BootScript) -> list[str]:
    """Why it cannot boot: as its console says it, then each fault with its place."""
    faults = _faults(registry, script.machine) if script.machine else ()
    return [f"broken    {script.says}", *(f"broken    {fault}" for fault in faults)]


def _faults(registry: Registry, machine: Machine) -> Iterator[Finding]:
    """What was found wrong with *machine*'s entry or its target."""
    target = re.escape(path_of(TARGETS, *machine.title.split("/", 1)))
    for finding in registry.findings:
        if finding.level >= Level.TARGET and (
            re.match(rf"{target}(?=[.\[]|$)", finding.path) or _is_about(finding, machine)
        ):
            yield finding


def _is_about(finding: Finding, machine: Machine) -> bool:
    """Whether it names the machine's own entry, or a group that it is in."""
    places = [(MACHINES, machine.written), *((GROUPS, name) for name in machine.groups)]
    return any(
        finding.path == path_of(*place) or finding.path.startswith(f"{path_of(*place)}.")
        for place in places
    )


def _loaders(registry: Registry, asking: Client) -> list[str]:
    """
    What the usual firmware would load.  Why there is nothing is told where somebody chose it for
    that firmware, or where there is nothing at all; most sites have machines of one kind only.
    """
    if subject.is_pi(asking, registry):
        return ["loader    none: a Raspberry Pi needs none"]
    found, missing = [], {}
    for row in _FIRMWARE:
        client = replace(asking, stage=Stage.FIRMWARE, arch=row)
        decision = next_step(client, identify(client, registry), registry)
        if isinstance(decision.step, Loader):
            whose = decision.because[-1].partition(str(row))[2]
            found.append(f"loader    {row}: {decision.step.name}{whose}")
        elif isinstance(decision.step, Refusal):
            if not decision.step.missing:
                return [f"loader    nothing; {decision.step.reason}"]
            missing[row] = decision
    machine = identify(asking, registry)
    own = Choice(by_family=machine.loader.by_family) if machine else NO_CHOICE
    told = [row for row in missing if own.of(row)]
    if not found and not told:
        told = [arch.EFI_X64]
    found += [f"loader    {row}: nothing; {missing[row].because[-1]}" for row in told]
    if rest := [str(row) for row in missing if row not in told]:
        found.append(f"loader    {', '.join(rest)}: none")
    return found


def _others(registry: Registry, client: Client, base: str) -> Iterator[str]:
    """Of a machine that may never run iPXE, where to see what it reads."""
    machine = identify(client, registry)
    if machine is None or machine.mac is None:
        return
    facts = facts_of(machine.mac, machine, registry, base, client.address)
    for reader in readers_of(machine, registry, facts):
        yield f"script    below is that of iPXE; {NAMES[reader]} reads another: --as {reader.value}"
