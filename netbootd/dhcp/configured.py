"""
The options of a reply that come from the configuration, each from the nearest that says it: the
machine, its groups, its target, its subnet, the settings.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from netbootd.dhcp.asking import Asking
from netbootd.dhcp.message import Option
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet


def configured(asking: Asking, subnet: Subnet) -> dict[int, bytes]:
    """By code, encoded, for the client of *asking* in *subnet*."""
    found = {**_of_network(subnet), **_of_machine(asking.registry, asking.machine, subnet)}
    if asking.registry.config.syslog.enabled:
        found.setdefault(Option.LOG_SERVERS, asking.arrival.address.packed)
    if Option.ROUTES in found:
        found.setdefault(Option.MICROSOFT_ROUTES, found[Option.ROUTES])
    return found


def _of_network(subnet: Subnet) -> dict[int, bytes]:
    """What *subnet* says, and what its being a network says where that does not."""
    found: dict[int, bytes] = {}
    if subnet.network is not None:
        found[Option.SUBNET_MASK] = subnet.network.netmask.packed
        if subnet.network.prefixlen < 31:
            found[Option.BROADCAST_ADDRESS] = subnet.network.broadcast_address.packed
    return {**found, **subnet.addressing.options}


def _of_machine(registry: Registry, machine: Machine | None, subnet: Subnet) -> dict[int, bytes]:
    """What is said of *machine*: by name, and then in ``dhcp_options``."""
    if machine is None:
        return {}
    said = registry.variables_of(machine, subnet)
    found = {
        Option.HOST_NAME: _text(said.get("hostname")),
        Option.NTP_SERVERS: _addresses(said.get("ntp")),
    }
    named = {int(code): value for code, value in found.items() if value}
    return {**named, **machine.dhcp_options}


def _text(said: Any) -> bytes:
    return said.encode()[:255] if isinstance(said, str) else b""


def _addresses(said: Any) -> bytes:
    """*said*, an address or an array of them; empty where one of them is a name."""
    words = [said] if isinstance(said, str) else said
    if not isinstance(words, (list, tuple)):
        return b""
    try:
        return b"".join(IPv4Address(word.strip()).packed for word in words)
    except (ValueError, AttributeError):
        return b""
