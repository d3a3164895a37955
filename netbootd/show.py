"""``netbootd show``: what a machine or a stranger would get at each step, why, and its script."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from netbootd import arch, subject, urls
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import Loader, Refusal, Script, identify, next_step, subnet_of
from netbootd.boot.script import NO_PAST, BootScript, Past, boot_script
from netbootd.configfiles import PI_FILES, Reader
from netbootd.dialects.catalogue import dialect_of
from netbootd.dialects.dialect import TFTP, Way
from netbootd.dropins.sections import GROUPS, MACHINES, TARGETS
from netbootd.errors import Finding, Level, NotFound
from netbootd.loaders import NO_CHOICE, Choice
from netbootd.mac import MAC
from netbootd.otherloaders import NAMES, readers_of
from netbootd.record import database, outside
from netbootd.record.standing import FRESH, Standing
from netbootd.record.styles import Kind, Worked
from netbootd.registry import scripts
from netbootd.registry.expected import Expected, expected
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
class Loads:
    """
    What firmware of *arch* would load: the program *name*, empty for none, as the rule *because*
    has it.  *refused* is why such a client gets nothing whatever files there are.  *chosen*:
    somebody said what it is to be, for that kind of firmware.
    """

    arch: arch.Arch
    name: str
    because: str
    refused: str = ""
    chosen: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "arch": {"number": self.arch.number, "name": str(self.arch)},
            "loader": self.name or None,
            "because": self.refused or self.because,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """
    What *client* would get, and why.  *boots* is False where it would only get a notice, which
    *says* why in a few words; *faults* are what was found wrong with its entry or target.

    *stands_for* is whom the MAC stands for, empty for a real one.  *target* is empty for none, and
    *subnet* where none holds the client.  *server* is the address that the script names.  *loads*
    is None for a machine that needs no loader; *readers* are others than iPXE that it may run.
    *address* is what DHCP does for it, None where nobody is given addresses.
    """

    client: Client
    stands_for: str
    target: str
    subnet: str
    because: tuple[str, ...]
    variables: Mapping[str, Any]
    boots: bool
    says: str
    faults: tuple[Finding, ...]
    server: str
    loads: tuple[Loads, ...] | None
    readers: tuple[Reader, ...]
    script: str
    address: Expected | None = None

    @property
    def text(self) -> str:
        """For a person at a terminal."""
        remark = f" ({self.stands_for})" if self.stands_for else ""
        lines = [f"machine   {self.client.mac}{remark}", f"target    {self.target or 'none'}"]
        if self.subnet:
            lines.append(f"subnet    {self.subnet} holds {self.client.link}")
        if self.address:
            lines.append(f"address   {self.address.text}")
        lines += [f"because   {reason}" for reason in self.because]
        lines += [f"variable  {name} = {value}" for name, value in sorted(self.variables.items())]
        if not self.boots:
            lines += [f"broken    {self.says}", *(f"broken    {one}" for one in self.faults)]
        if self.server.startswith(f"http://{_OUR_ADDRESS}"):
            lines.append(f"server    {self.server} stands for this server's own address")
        lines += _told_of_loaders(self.loads)
        lines += [
            f"script    below is that of iPXE; {NAMES[reader]} reads another: --as {reader.value}"
            for reader in self.readers
        ]
        return "\n".join((*lines, "")) + "\n" + self.script

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "machine": str(self.client.mac),
            "stands_for": self.stands_for,
            "boots": self.boots,
            "says": self.says,
            "target": self.target or None,
            "subnet": self.subnet or None,
            "dhcp": self.address.as_dict() if self.address else None,
            "because": self.because,
            "variables": dict(self.variables),
            "findings": [finding.as_dict() for finding in self.faults],
            "server": self.server,
            "loaders": [one.as_dict() for one in self.loads or ()],
            "others": [reader.value for reader in self.readers],
            "script": self.script,
        }


@dataclass(frozen=True, slots=True)
class ShownAs:
    """What another loader than iPXE reads: its files by their names."""

    mac: MAC
    reader: Reader
    files: Mapping[str, BootScript]

    @property
    def boots(self) -> bool:
        """Whether none of them is only a notice."""
        return all(script.status == 200 for script in self.files.values())

    @property
    def text(self) -> str:
        """For a person; each file under its name if it is two."""
        parts = []
        for name, script in self.files.items():
            title = f"# {name}\n" if len(self.files) > 1 else ""
            parts.append(title + (script.text or f"netbootd: nothing: {script.says}\n"))
        return "\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "machine": str(self.mac),
            "boots": self.boots,
            "as": self.reader.value,
            "files": [
                {
                    "name": name,
                    "boots": script.status == 200,
                    "says": script.says,
                    "script": script.text,
                }
                for name, script in self.files.items()
            ],
        }


def show(registry: Registry, client: Client, past: Past = NO_PAST) -> Shown:
    """
    Everything about one machine; *past* is what is remembered.

    *client* asks from its address; without one, from what its entry says.
    """
    client = _placed(client, registry)
    base = _base(registry, client.address)
    script = boot_script(client, registry, base, replace(past, token=_TOKEN))
    boots = script.status == 200
    decision = next_step(client, identify(client, registry), registry, past.standing, past.now)
    machine, because = decision.machine, decision.because
    readers = tuple(_readers(registry, client, base))
    if readers and isinstance(decision.step, Script):
        because = because[:-1]  # the last reason is that iPXE asks, which not all of them run
    return Shown(
        client=client,
        stands_for=subject.remark(client, registry),
        target=machine.title if machine else "",
        subnet=subnet_of(client, registry).name,
        because=because,
        variables=machine.variables if machine else {},
        boots=boots,
        says=script.says,
        faults=() if boots or not script.machine else tuple(_faults(registry, script.machine)),
        server=base,
        loads=None if subject.is_pi(client, registry) else tuple(_loads(registry, client)),
        readers=readers,
        script=script.text,
        address=expected(identify(client, registry), _link(client), registry),
    )


def show_as(registry: Registry, reader: Reader, client: Client, past: Past = NO_PAST) -> ShownAs:
    """What another loader than iPXE would read, by TFTP."""
    assert client.mac is not None, "a command is about somebody"
    return ShownAs(client.mac, reader, scripts_as(registry, reader, client, past))


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


def _link(client: Client) -> str:
    """Where *client* is, empty where nobody knows."""
    return "" if client.link == _ITS_ADDRESS else client.link


def _base(registry: Registry, address: str) -> str:
    ours = urls.base_url(_OUR_ADDRESS, registry.config.http_port[0])
    return server_of(registry, ours, address)


def past_of(client: Client, registry: Registry) -> Past:
    """What the daemon remembers of *client*, as far as its state folder can be read from here."""
    machine = identify(client, registry)
    standings: Mapping[str, Standing] = {}
    with suppress(database.NoRecord, OSError):
        standings = outside.read(registry.config.state)
    standing = standings.get(machine.key, FRESH) if machine else FRESH
    return Past(standing=standing, now=time.time())


def styles_of(client: Client, registry: Registry) -> dict[str, Worked]:
    """What was learned of reply styles for the maker of its card and its architecture."""
    learned: Mapping[str, Worked] = {}
    with suppress(database.NoRecord, OSError):
        learned = outside.read_styles(registry.config.state)
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


def _loads(registry: Registry, asking: Client) -> Iterator[Loads]:
    """What the usual firmware would load."""
    machine = identify(asking, registry)
    own = Choice(by_family=machine.loader.by_family) if machine else NO_CHOICE
    for row in _FIRMWARE:
        client = replace(asking, stage=Stage.FIRMWARE, arch=row)
        decision = next_step(client, identify(client, registry), registry)
        chosen, last = bool(own.of(row)), next(reversed(decision.because), "")
        match decision.step:
            case Loader(name):
                yield Loads(row, name, last, chosen=chosen)
            case Refusal(reason, missing):
                yield Loads(row, "", last, "" if missing else reason, chosen)


def _told_of_loaders(loads: tuple[Loads, ...] | None) -> list[str]:
    """
    Why there is none is told where somebody chose it for that firmware, or where there is nothing
    at all; most sites have machines of one kind only.
    """
    if loads is None:
        return ["loader    none: a Raspberry Pi needs none"]
    if refused := next((one.refused for one in loads if one.refused), ""):
        return [f"loader    nothing; {refused}"]
    found = [
        f"loader    {one.arch}: {one.name}{one.because.partition(str(one.arch))[2]}"
        for one in loads
        if one.name
    ]
    missing = [one for one in loads if not one.name]
    told = [one for one in missing if one.chosen]
    if not found and not told:
        told = [one for one in missing if one.arch is arch.EFI_X64]
    found += [f"loader    {one.arch}: nothing; {one.because}" for one in told]
    if rest := [str(one.arch) for one in missing if one not in told]:
        found.append(f"loader    {', '.join(rest)}: none")
    return found


def _readers(registry: Registry, client: Client, base: str) -> Iterator[Reader]:
    """Of a machine that may never run iPXE, who else may read something."""
    machine = identify(client, registry)
    if machine is None or machine.mac is None:
        return
    facts = facts_of(machine.mac, machine, registry, base, client.address)
    yield from readers_of(machine, registry, facts)
