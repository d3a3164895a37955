"""
Whose line is it?  By the address it came from, and by its host name only where nothing else is
known, since anybody can call himself anything.

In this order: the MAC that a sender gives of itself in structured data; the card that has a lease
of the address, where we gave it; the machine that last took or used the address; the one whose
``ip`` it is; the one whose card has it, where that is a neighbour; the only one with that host
name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from netbootd.boot import history
from netbootd.boots.boot import Boot
from netbootd.logbook.line import NOBODY, Filing
from netbootd.mac import MAC
from netbootd.registry.hostnames import name_of
from netbootd.registry.machine import Machine
from netbootd.registry.sightings import Sightings
from netbootd.registry.snapshot import Registry

#: The structured data in which a node tells its own MAC; 32473 is the number for examples.
OWN_DATA = "netbootd@32473"
_MOST = 8192  # addresses, and cards, whose filing is kept at hand


class Boots(Protocol):
    """What the chronicle knows."""

    def at(self, peer: str) -> tuple[str, MAC | None, int]:
        """Key, card and boot of whoever has the address."""

    def latest(self, key: str) -> Boot | None:
        """The last boot of a machine."""


def no_leases(_address: str) -> MAC | None:
    """Who has a lease where we give none."""
    return None


class Filed(NamedTuple):
    """Whose it is, and the zone of its clock where it does not say."""

    filing: Filing
    zone: tzinfo = UTC


class _Known(NamedTuple):
    """The *filed* of an address or a card, as long as what it rests on is the same."""

    basis: tuple[object, ...]
    filed: Filed


class Filer:
    """
    *registry* gives the photograph that is in force, *neighbour* the card of an address on our own
    networks, *holder* the one that has a lease of ours, *is_ours* whether an address is this
    host's: a simulated boot from here makes no machine of it.  ``names`` are the machines that have
    a host name for themselves.
    """

    def __init__(
        self,
        registry: Callable[[], Registry],
        sightings: Sightings,
        boots: Boots,
        neighbour: Callable[[str], MAC | None],
        holder: Callable[[str], MAC | None] = no_leases,
        is_ours: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.names: Mapping[str, Machine] = {}
        self._registry = registry
        self._sightings = sightings
        self._boots = boots
        self._neighbour = neighbour
        self._holder = holder
        self._is_ours = is_ours
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._cards: OrderedDict[tuple[MAC, str], _Known] = OrderedDict()

    def of(self, peer: str, own_mac: str = "", host_name: str = "") -> Filed:
        """Whose line came from *peer*; *own_mac* and *host_name* are what it says itself."""
        if own_mac and (mac := MAC.maybe(own_mac)):
            return self.of_card(mac, "mac")
        by_address = self._of_address(peer)
        if by_address.filing.key or not host_name:
            return by_address
        return self._of_name(host_name)

    def of_card(self, mac: MAC, by: str = "mac") -> Filed:
        """Whose card it is; a card that is not listed is a machine of its own."""
        basis = (self._registry().generation, self._sightings.of(mac))
        known = self._cards.get((mac, by))
        if known is not None and known.basis == basis and self._is_current(known.filed.filing):
            return known.filed
        filed = self._of_card(mac, by)
        _keep(self._cards, (mac, by), _Known(basis, filed))
        return filed

    def _of_card(self, mac: MAC, by: str) -> Filed:
        machine = history.machine_of(mac, self._registry(), self._sightings)
        if machine is not None:
            return self._filed(machine, mac, by)
        return Filed(Filing(key=str(mac), mac=mac, boot=self._boot(str(mac)), by=by))

    def _of_address(self, peer: str) -> Filed:
        registry = self._registry()
        if self._is_ours(peer):
            owner = registry.by_address(peer)
            return self._filed(owner, owner.mac, "ip") if owner else Filed(NOBODY)
        key, mac, boot = self._boots.at(peer)
        holder = self._holder(peer)
        if holder is not None and holder != mac:  # who used it before has it no more
            key, mac, boot = "", None, 0
        beside = None if key or holder else self._neighbour(peer)
        basis = (registry.generation, key, mac, boot, beside, holder)
        known = self._known.get(peer)
        if known is not None and known.basis == basis and self._is_current(known.filed.filing):
            return known.filed
        if holder is not None and not key:
            filed = self.of_card(holder, "lease")
        else:
            filed = self._find(peer, registry, key, mac, beside)
        _keep(self._known, peer, _Known(basis, filed))
        return filed

    def _is_current(self, filing: Filing) -> bool:
        """Whether the machine has not begun another boot."""
        latest = self._boots.latest(filing.key) if filing.key else None
        return latest is None or (
            latest.number == filing.boot and latest.target in (filing.target, "")
        )

    def _find(
        self, peer: str, registry: Registry, key: str, mac: MAC | None, beside: MAC | None
    ) -> Filed:
        if key:
            machine = registry.by_key(key, mac, peer) if mac else registry.named.get(key)
            if machine is not None and machine.key == key:
                return self._filed(machine, mac, "boot")
            if (owner := registry.by_address(peer)) is not None:  # which no stranger takes from it
                return self._filed(owner, owner.mac, "ip")
            return Filed(Filing(key=key, mac=mac, boot=self._boot(key), by="boot"))
        if (machine := registry.by_address(peer)) is not None:
            return self._filed(machine, machine.mac, "ip")
        if beside is not None:
            return self.of_card(beside, "neighbour")
        return Filed(NOBODY)

    def _of_name(self, host_name: str) -> Filed:
        lower = host_name.lower()
        machine = self.names.get(lower) or self.names.get(lower.partition(".")[0])
        return self._filed(machine, machine.mac, "hostname") if machine else Filed(NOBODY)

    def _filed(self, machine: Machine, mac: MAC | None, by: str) -> Filed:
        latest = self._boots.latest(machine.key)
        filing = Filing(
            key=machine.key,
            name=name_of(machine),
            mac=mac,
            boot=latest.number if latest else 0,
            target=(latest.target if latest else "") or machine.title,
            by=by,
            known=machine.known,
        )
        return Filed(filing, zone_of(str(machine.variables.get("timezone", ""))))

    def _boot(self, key: str) -> int:
        latest = self._boots.latest(key)
        return latest.number if latest else 0


def _keep(known: OrderedDict[Any, _Known], asked: object, found: _Known) -> None:
    known[asked] = found
    known.move_to_end(asked)
    if len(known) > _MOST:
        known.popitem(last=False)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """The zone *name*, once read for all machines in it; UTC where there is no such zone."""
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC
