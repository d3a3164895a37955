"""
What a template may know of a machine; also for a look at what it would make, when nobody asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from netbootd import urls
from netbootd.mac import MAC
from netbootd.registry import secrecy
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.secretvalues import NO_SECRETS
from netbootd.targets.base import Facts

#: Stand in, for a look, for whoever gets the default (RFC 7042), and for addresses (RFC 5737).
STRANGER = MAC.parse("00:00:5e:00:53:00")
OUR_ADDRESS = "http://192.0.2.1:3000"
ITS_ADDRESS = "192.0.2.99"


def facts_of(
    mac: MAC,
    machine: Machine | None,
    registry: Registry,
    base: str,
    peer: str = "",
    token: str = "",
    *,
    asks: bool = False,
) -> Facts:
    """
    What anything made for *mac* may know; *machine* with the target that it boots now.

    *peer* is the address that it asks from, which says its subnet, *base* ours as it reaches us.
    *asks*: it is there, see ``Client``.
    """
    subnet = registry.subnets.of(peer)
    server = server_of(registry, base, peer)
    variables = registry.variables_of(machine, subnet) if machine else {}
    extras, secrets = registry.extras, registry.secrets if asks else NO_SECRETS
    if secrets:
        variables, extras = secrets.put_into(variables), secrets.put_into(extras)
    return Facts(
        mac=mac,
        base=server,
        retry=urls.script_url(server, "${netX/mac:hexhyp}"),
        target=machine.title if machine else "",
        variables=variables,
        extras=extras,
        secrets=secrets,
        peer=peer,
        token=token,
        overlay=machine is not None and (bool(machine.overlays) or machine.target.wants_overlay),
        secret=machine is not None and secrecy.is_sealed(machine, registry),
        **logs_of(registry, base),
    )


def logs_of(registry: Registry, base: str) -> dict[str, Any]:
    """
    Where logs go, as in ``Facts``; nothing where none are received.

    To the address *base* by which we are reached, since another boot server need not receive any.
    """
    syslog = registry.config.syslog
    host = urlsplit(base).hostname
    if not syslog.enabled or not host:
        return {}
    return {"log_host": host, "log_port": syslog.port, "netconsole_port": syslog.netconsole}


def server_of(registry: Registry, base: str, peer: str = "") -> str:
    """
    The base URL that *peer* is told: its subnet's, else the one for all, else *base*; and *base* in
    any case where the other is an address of IPv4 and *peer* asks by IPv6.
    """
    server = registry.subnets.of(peer).boot_server or registry.boot_server
    return server if server and urls.reachable(server, peer) else base


def everybody(registry: Registry) -> list[Machine]:
    """
    Every machine, one for each wildcard, and one that stands for all that are not listed; one more
    for each subnet that has something else for these.
    """
    machines = [one if one.mac else one.for_card(STRANGER) for one in registry.known]
    if registry.default is not None:
        machines.append(registry.default.for_stranger(STRANGER))
    defaults = [subnet.default for subnet in registry.subnets if subnet.default]
    return [*machines, *(default.for_stranger(STRANGER) for default in defaults)]


def for_a_look(machine: Machine, registry: Registry) -> Facts:
    """What would be known if *machine* asked."""
    assert machine.mac is not None
    return facts_of(machine.mac, machine, registry, OUR_ADDRESS, its_address(machine, registry))


def its_address(machine: Machine, registry: Registry) -> str:
    """Where *machine* would ask from, as far as its entry says that, or its being of a subnet."""
    if own := own_address(machine):
        return own
    for subnet in registry.subnets:
        if subnet.default is not None and subnet.default.written == machine.written:
            return subnet.first
    return ITS_ADDRESS


def own_address(machine: Machine) -> str:
    """The address that its entry gives it, empty where it gives none."""
    own = machine.variables.get("ip")
    return own.strip() if isinstance(own, str) else ""


def addresses(machine: Machine, registry: Registry) -> Iterator[str]:
    """
    Where *machine* may ask from: one that does not say it may be in any subnet, and have what it
    needs from there.
    """
    first = its_address(machine, registry)
    yield first
    if first == ITS_ADDRESS:
        yield from (subnet.first for subnet in registry.subnets if subnet.variables)


def looks(machine: Machine, registry: Registry, token: str) -> Iterator[Facts]:
    """As ``for_a_look``, for each of its ``addresses``."""
    assert machine.mac is not None
    for address in addresses(machine, registry):
        yield facts_of(machine.mac, machine, registry, OUR_ADDRESS, address, token)
