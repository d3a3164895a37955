"""
The address that a client would get, by the configuration alone: who has what at the moment is not
in it (``netbootd leases`` knows).  The rules are those of ``dhcp/assign``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from netbootd import dhcpoptions
from netbootd.addressing import LeaseTimes, Pool, Serving
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """
    What DHCP does for a client, its *mode*, and *because* of what.

    *address* is the one that is kept for it, else *pools* are those that it gets one of, and with
    neither it gets none.  *options* are what it is told beside that, encoded, by code; *times* are
    None where it gets no lease.
    """

    mode: Serving
    because: str
    address: IPv4Address | None = None
    pools: tuple[Pool, ...] = ()
    options: Mapping[int, bytes] = field(default_factory=dict)
    times: LeaseTimes | None = None

    @property
    def text(self) -> str:
        """In a few words."""
        if self.mode is Serving.PROXY:
            return f"that of another DHCP server ({self.because})"
        if self.address:
            return f"{self.address} ({self.because})"
        if self.pools:
            return f"one of {'; '.join(pool.text for pool in self.pools)} ({self.because})"
        return f"none ({self.because})"

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "mode": self.mode.value,
            "address": str(self.address) if self.address else None,
            "pools": [pool.text for pool in self.pools],
            "lease_time": self.times.default if self.times else None,
            "because": self.because,
            "options": {
                dhcpoptions.name_of(code): f"0x{data.hex()}"
                for code, data in sorted(self.options.items())
            },
        }


def gives(registry: Registry) -> bool:
    """Whether anybody anywhere is given an address."""
    dhcp = registry.config.dhcp
    modes = [dhcp.mode, *dhcp.interfaces.values()]
    modes += [net.addressing.serving for net in registry.subnets if net.addressing.serving]
    return Serving.SERVER in modes


def expected(machine: Machine | None, link: str, registry: Registry) -> Expected | None:
    """
    What the client that *machine* was found for gets, heard from the network of the address *link*;
    None where nobody is given addresses, or its subnet is of IPv6.
    """
    if not gives(registry):
        return None
    subnet = registry.subnets.of(link) if link else only(registry)
    if subnet is None:
        where = "where it asks from is not known: --from says it"
        return Expected(mode=registry.config.dhcp.mode, because=where)
    if subnet.network is not None and not isinstance(subnet.network, IPv4Network):
        return None
    mode, why = _mode(subnet, registry)
    if mode is not Serving.SERVER:
        return Expected(mode=mode, because=why)
    address, pools, because = _address(machine, subnet, registry)
    options = {**subnet.addressing.options, **(machine.dhcp_options if machine else {})}
    if not address and not pools:
        return Expected(mode=mode, because=because)
    return Expected(
        mode=mode,
        because=because,
        address=address,
        pools=pools,
        options=options,
        times=subnet.addressing.times,
    )


def only(registry: Registry) -> Subnet | None:
    """The one subnet in which addresses are given, None for several."""
    found = [net for net in registry.subnets if _mode(net, registry)[0] is Serving.SERVER]
    return found[0] if len(found) == 1 else None


def _mode(subnet: Subnet, registry: Registry) -> tuple[Serving, str]:
    dhcp = registry.config.dhcp
    if subnet.addressing.serving is not None:
        mode, whose = subnet.addressing.serving, f"subnet {subnet.name}"
    else:
        mode, whose = dhcp.mode, "netbootd.dhcp.mode"
    others = [f"{name} {word.value}" for name, word in dhcp.interfaces.items() if word is not mode]
    if subnet.addressing.serving is not None:
        others = [f"{name} off" for name, word in dhcp.interfaces.items() if word is Serving.OFF]
    but = f"; but by interface: {', '.join(others)}" if others else ""
    return mode, f'"{mode.value}" by {whose}{but}'


def _address(
    machine: Machine | None, subnet: Subnet, registry: Registry
) -> tuple[IPv4Address | None, tuple[Pool, ...], str]:
    """The address, or the pools, and the reason."""
    known = machine is not None and machine.known
    if subnet.network is None:
        return None, (), "no subnet holds it"
    if not subnet.served:
        return None, (), f"nobody is served in subnet {subnet.name}"
    only = registry.config.known_only if subnet.known_only is None else subnet.known_only
    if only and not known:
        return None, (), "known_only is set, and it is not listed"
    missed = ""
    if machine is not None and known and machine.address is not None:
        reserved, why = _reserved(machine, machine.address, subnet, registry)
        if reserved:
            return machine.address, (), why
        missed = f"not {machine.address}: {why}; "
    pools = _pools(known, subnet, registry)
    if not pools:
        return None, (), f"{missed}no pool of subnet {subnet.name} is for it"
    which = "a pool" if len(pools) == 1 else "pools"
    return None, pools, f"{missed}{which} of subnet {subnet.name}"


def _reserved(
    machine: Machine, address: IPv4Address, subnet: Subnet, registry: Registry
) -> tuple[bool, str]:
    """Whether it gets its ``ip``, and why, or why not."""
    owner = registry.reserved.get(address)
    home = registry.subnets.of(str(address))
    if owner is not None and owner.key != machine.key:
        return False, f"that is the ip of {owner.written}"
    if home not in registry.subnets.link(subnet):
        return False, f"that is not in subnet {subnet.name}"
    if home.addressing.excludes(address):
        return False, "that is excluded"
    return True, f"its ip, {machine.place}"


def _pools(known: bool, subnet: Subnet, registry: Registry) -> tuple[Pool, ...]:
    """Those of the cable that may be for it; what it says itself is not known here."""
    return tuple(
        pool
        for net in registry.subnets.link(subnet)
        for pool in net.addressing.pools
        if pool.match.listed is None or pool.match.listed == known
    )
