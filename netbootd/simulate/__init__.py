"""``netbootd simulate``: a PXE client of our own, against the configuration or a running daemon."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from netbootd import subject
from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.simulate.firmware import firmware
from netbootd.simulate.memory import CLIENT_ADDRESS, Memory
from netbootd.simulate.network import Unreachable
from netbootd.simulate.walk import Walk
from netbootd.simulate.wire import Wire


def simulate(
    config: Path,
    who: MAC | str,
    kind: str,
    arch: int | None,
    interface: str | None,
    style: str | None = None,
) -> bool:
    """
    Walk through a boot and print it; False where the machine would not boot.

    *style* is a reply style to try instead of what ``proxydhcp.style`` says, for the configuration
    alone.

    *kind* is a key of ``firmware.KINDS``, *arch* option 93 where it is not that firmware's own,
    *interface* the way to a running daemon, None to ask the configuration alone.
    """
    client = firmware(kind, arch)
    registry = load(config)
    mac = subject.client_of(who, registry).mac or subject.STRANGER
    if interface is None:
        if style is not None:
            settings = replace(registry.config.proxydhcp, style=style)
            registry = replace(registry, config=replace(registry.config, proxydhcp=settings))
        memory = Memory(registry, str(config))
        return Walk(memory, client, mac, CLIENT_ADDRESS, print).run()
    wire = _wire(interface)
    return Walk(wire, client, mac, wire.address, print).run()


def _wire(name: str) -> Wire:
    from netbootd.interfaces import read_interfaces  # noqa: PLC0415  pyroute2, for the wire only

    known = {interface.name: interface for interface in read_interfaces()}
    if name not in known:
        raise Unreachable(f"there is no interface {name}; there are: {', '.join(sorted(known))}")
    return Wire(known[name])
