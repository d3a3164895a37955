"""``netbootd simulate``: a PXE client of our own, against the configuration or a running daemon."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from netbootd import replies, subject
from netbootd.boot.decision import identify
from netbootd.mac import MAC
from netbootd.registry import secrecy
from netbootd.registry.facts import own_address
from netbootd.registry.load import load
from netbootd.registry.machine import Machine
from netbootd.registry.marks import MARKS, Marks
from netbootd.registry.snapshot import Registry
from netbootd.simulate.firmware import RPIBOOT, firmware
from netbootd.simulate.memory import CLIENT_ADDRESS, Memory
from netbootd.simulate.network import Unreachable
from netbootd.simulate.walk import Walk
from netbootd.simulate.walked import Walked
from netbootd.simulate.wire import Wire


def simulate(
    config: Path,
    who: MAC | str,
    kind: str | None,
    arch: int | None,
    interface: str | None,
    style: str | None = None,
    say: Callable[[str], None] = print,
) -> Walked:
    """
    Walk through a boot; *say* hears of it as it goes, line by line.

    *who* is a MAC, or a name that is the key of an entry.  *kind* is a key of ``firmware.KINDS``,
    *arch* option 93 where it is not that firmware's own; where nobody says them, they are what the
    machine usually has.  *style* is a reply style to try instead of what ``proxydhcp.style`` says,
    for the configuration alone; that of a Raspberry Pi makes it one.

    *interface* is the way to a running daemon, None to ask the configuration alone.

    Raises subject.Nobody.
    """
    # A daemon may be asked from a host that has no configuration.
    registry = None if interface and isinstance(who, MAC) else load(config)
    asking = subject.client_of(who, registry)
    mac = asking.mac or subject.STRANGER
    if style in (replies.RASPBERRY_PI, replies.RASPBERRY_PI_3) and arch is None:
        arch = RPIBOOT
    known = Marks.of({mark: getattr(asking, mark) for mark in MARKS}, relayed=True)
    client = firmware(*subject.firmware_of(asking, registry, kind, arch), known)
    remark = subject.remark(asking, registry)
    if registry is None or interface is not None:
        wire = _wire(interface or "")
        return Walk(wire, client, mac, wire.address, say, remark).run()
    if style is not None:
        settings = replace(registry.config.proxydhcp, style=style)
        registry = replace(registry, config=replace(registry.config, proxydhcp=settings))
    machine = identify(asking, registry)
    link = own_address(machine) if machine else ""
    memory = Memory(registry, str(config), link, _own())
    caution = _caution(machine, registry) if machine else ""
    return Walk(memory, client, mac, CLIENT_ADDRESS, say, remark, caution).run()


def _caution(machine: Machine, registry: Registry) -> str:
    """What keeps a secret machine from its files, which is in no configuration."""
    if not (registry.config.secrets.armed and secrecy.is_sealed(machine, registry)):
        return ""
    arming = f"'netbootd next {machine.mac or machine.key}'"
    return f"a boot that was not armed is refused what is secret: {arming} arms one"


def _own() -> list[IPv4Address]:
    """This host's addresses; none where the kernel does not tell."""
    from netbootd.interfaces import read_interfaces  # noqa: PLC0415  pyroute2

    with suppress(OSError):
        return [one.ip for interface in read_interfaces() for one in interface.addresses]
    return []


def _wire(name: str) -> Wire:
    from netbootd.interfaces import read_interfaces  # noqa: PLC0415  pyroute2, for the wire only

    known = {interface.name: interface for interface in read_interfaces()}
    if name not in known:
        raise Unreachable(f"there is no interface {name}; there are: {', '.join(sorted(known))}")
    return Wire(known[name])
