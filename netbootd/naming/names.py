"""
Which names leases have: who may be called what, as plain values; no clock, no I/O.

A machine of the file is called as its admin says.  Another client gets the name that it asks for
(option 12), where that is a good one (RFC 1123, section 2.1), no machine of the file is called so,
and no other lease has it: whoever came first keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from netbootd.leases.lease import Address
from netbootd.mac import MAC
from netbootd.registry.hostnames import label

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MOST_NAME = 253  # characters (RFC 1035, section 2.3.4, without the octets of the wire)

#: Of a hosts file, by which it is known as one that may be replaced.
FIRST_LINE = "# Written by netbootd: the names of its leases.  Changes here are lost.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """
    Who has an *address*: *key* and *mac* as the lease has them, *said* the name that it asks for.
    *own* is what its admin calls a machine of the file, empty for anybody else.  *domain* is that
    of its network; *identity* what tells its name in DNS from another's, a key as well.
    """

    address: Address
    key: str
    mac: MAC | None = None
    said: str = ""
    own: str = ""
    domain: str = ""
    identity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One name in full, without the last dot, and all that have it: *addresses* in order."""

    name: str
    addresses: tuple[Address, ...] = ()
    listed: bool = False
    identity: str = ""

    @property
    def short(self) -> str:
        """Its first label."""
        return self.name.partition(".")[0]


def own_name(hostname: str) -> str:
    """What an admin wrote as a name for DNS, in lower case; empty where it cannot be one."""
    name = hostname.strip().rstrip(".").lower()
    good = len(name) <= _MOST_NAME and all(_LABEL.fullmatch(part) for part in name.split("."))
    return name if good else ""


def in_full(name: str, domain: str) -> str:
    """*name* in *domain*, empty where that is too long; one with dots is in full already."""
    full = name if "." in name or not domain else f"{name}.{domain.strip('.').lower()}"
    return full if len(full) <= _MOST_NAME else ""


class Names:
    """
    The names of all leases.  *reserved* are the first labels of the names of machines of the file.
    """

    def __init__(self) -> None:
        self.reserved: Container[str] = frozenset()
        self._holders: dict[Address, Holder] = {}
        self._names: dict[Address, str] = {}
        self._having: dict[str, dict[Address, Holder]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def holders(self) -> tuple[Holder, ...]:
        """All that have an address."""
        return tuple(self._holders.values())

    def name_at(self, address: Address) -> str:
        """What *address* is called; empty for nothing."""
        return self._names.get(address, "")

    def named(self, name: str) -> Named:
        """Who is called *name*: nobody where there are no addresses."""
        having = self._having.get(name, {})
        first = next(iter(having.values()), None)
        return Named(
            name=name,
            addresses=tuple(having),
            listed=first is not None and bool(first.own),
            identity=first.identity if first else "",
        )

    def __iter__(self) -> Iterator[Named]:
        return (self.named(name) for name in self._having)

    def take(self, holder: Holder) -> list[Named]:
        """*holder* has its address; the names that are others now, as they are now."""
        before, name = self.name_at(holder.address), self.choose(holder)
        known = self._holders.get(holder.address)
        if name == before and known is not None and known.identity == holder.identity:
            self._holders[holder.address] = holder
            return []
        changed = self.end(holder.address)
        self._holders[holder.address] = holder
        if name:
            self._names[holder.address] = name
            self._having.setdefault(name, {})[holder.address] = holder
            changed = [one for one in changed if one.name != name]
            changed.append(self.named(name))
        return changed

    def end(self, address: Address) -> list[Named]:
        """Nobody has *address*; likewise."""
        last = self._holders.pop(address, None)
        name = self._names.pop(address, "")
        if not name or last is None:
            return []
        having = self._having[name]
        del having[address]
        if having:
            return [self.named(name)]
        del self._having[name]
        return [Named(name=name, listed=bool(last.own), identity=last.identity)]

    def choose(self, holder: Holder) -> str:
        """What *holder* is called, in full; empty for nothing."""
        if own := own_name(holder.own):
            return in_full(own, holder.domain)
        said = label(holder.said)
        if not said or said in self.reserved:
            return ""
        name = in_full(said, holder.domain)
        others = self._having.get(name, {}).values()
        return name if all(_is_same(one, holder) for one in others) else ""


def _is_same(one: Holder, other: Holder) -> bool:
    """Whether both are one client and no machine of the file: by card where keys differ (IPv6)."""
    same_card = one.mac is not None and one.mac == other.mac
    return not one.own and (one.key == other.key or same_card)


def hosts(names: Iterable[Named]) -> str:
    """
    *names* as a file in the form of hosts(5), in the order of their addresses.

    dnsmasq (--addn-hosts), unbound's tools and the C library read it.
    """
    lines = sorted(
        (address.version, int(address), str(address), one)
        for one in names
        for address in one.addresses
    )
    text = [FIRST_LINE]
    for _, _, address, one in lines:
        short = f" {one.short}" if one.short != one.name else ""
        text.append(f"{address}\t{one.name}{short}\n")
    return "".join(text)
