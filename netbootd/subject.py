"""
Whom a command is about: a MAC, the key of an entry that has another one, a host name, or anybody.

An entry that lists its MACs is shown by the first.  One that has none is shown by a MAC that no
card has, and as if its firmware had told what it is listed by.
"""

from __future__ import annotations

from dataclasses import replace

from netbootd import otherloaders
from netbootd.arch import BIOS, arch_of
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify, subnet_of
from netbootd.dhcp import pxe
from netbootd.errors import NetbootdError
from netbootd.mac import MAC
from netbootd.nearest import did_you_mean
from netbootd.registry.machine import Machine
from netbootd.registry.marks import MARKS, Marks
from netbootd.registry.snapshot import Registry

#: What a command is about; None for any machine that is not listed.
Who = MAC | str | None

#: Stands for every machine that is not listed; a locally administered MAC, which no card has.
STRANGER = MAC.parse("02:00:00:00:00:00")
#: Stands for the MAC of a machine that is listed without one.
STAND_IN = MAC.parse("02:00:00:00:00:01")


class Nobody(NetbootdError):
    """The word is neither a MAC nor the key of an entry; the text says what may be meant."""


def named(who: str, registry: Registry) -> Machine:
    """
    The machine that has the free name *who* for its key, or alone for its host name; raises Nobody.
    """
    if who in registry.named:
        return registry.named[who]
    names = {one.key: _hostname(one) for one in registry.known}
    same = {one.key: one for one in registry.known if one.key and _hostname(one) == who}
    if len(same) == 1:
        return next(iter(same.values()))
    if same:
        keys = ", ".join([*same][:5])
        raise Nobody(f"{who!r} is the host name of several machines: {keys}")
    close = did_you_mean(who, [*registry.named, *filter(None, names.values())])
    raise Nobody(f"{who!r} is neither a MAC nor a name or host name of an entry{close}")


def _hostname(machine: Machine) -> str:
    """What its admin calls it, empty for nothing."""
    name = machine.variables.get("hostname")
    return name if isinstance(name, str) else ""


def client_of(who: Who, registry: Registry | None) -> Client:
    """*who* as iPXE, from nowhere; raises Nobody.  A MAC needs no *registry*."""
    if registry is None or not isinstance(who, str):
        assert not isinstance(who, str), "a name means nothing without a configuration"
        return Client(stage=Stage.IPXE, mac=who or STRANGER)
    machine = named(who, registry)
    if machine.macs:
        return Client(stage=Stage.IPXE, mac=machine.macs[0])
    return Client(stage=Stage.IPXE, mac=STAND_IN).marked(marks_of(machine))


def marks_of(machine: Machine) -> Marks:
    """What *machine* is listed by beside its MACs, as its entry spells it."""
    said = ((mark, machine.variables.get(mark)) for mark in MARKS)
    found = {mark: text for mark, text in said if isinstance(text, str)}
    return Marks.of(found, relayed=True)


def remark(client: Client, registry: Registry | None) -> str:
    """Whom the MAC of *client* stands for, empty for a real one."""
    if client.mac == STRANGER:
        return "any machine that is not listed"
    if registry is None or client.mac != STAND_IN:
        return ""
    machine = identify(client, registry)
    return f"stands for the MAC of {machine.written}, which is listed without" if machine else ""


def is_pi(client: Client, registry: Registry | None) -> bool:
    """Whether *client* is a Raspberry Pi, by its MAC or by what its entry says."""
    if pxe.is_raspberry_pi(pxe.as_said_by(replace(client, stage=Stage.FIRMWARE, arch=BIOS))):
        return True
    machine = identify(client, registry) if registry else None
    if registry is None or machine is None or not machine.known:
        return False
    variables = registry.variables_of(machine, subnet_of(client, registry))
    return otherloaders.is_pi(machine, variables, registry)


def firmware_of(
    client: Client, registry: Registry | None, kind: str | None, number: int | None
) -> tuple[str, int | None]:
    """
    The *kind* of firmware that *client* has and its *number* (option 93), None for the kind's own;
    where somebody says neither, the usual: a Raspberry Pi's, else UEFI.
    """
    if kind is None and number is None and is_pi(client, registry):
        number = pxe.RPIBOOT.number
    if kind is not None or number is None:
        return kind or "efi", number
    if arch_of(number) is BIOS:
        return "bios", number
    return "http" if arch_of(number).http else "efi", number
