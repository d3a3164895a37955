"""
What an entry of ``subnets`` whose network is of IPv6 says of giving addresses.

Its other keys (``boot_server``, ``loader``, ``known_only`` …) are read in ``subnets``, as those of
any entry.  There is no router among these: in IPv6 routers announce themselves, and the prefix
(RFC 4861).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from netbootd.addressing import Serving
from netbootd.errors import Finding, Level
from netbootd.registry.machine import Machine
from netbootd.relaxedjson import Object, kind

#: A machine's key for the address that is its alone.
RESERVED = "ip6"

DNS_SERVERS, DOMAIN_LIST, NTP_SERVER = 23, 24, 56  # RFC 3646, RFC 5908
_NTP_ADDRESS = 1  # RFC 5908, section 4.1
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253  # RFC 1035, section 2.3.4
#: Seconds: who may have an address for a shorter time does nothing but renew it.
_SHORTEST_LEASE, _LONGEST_LEASE = 60, 30 * 86400

_MOST_COUNTED = 1_000_000

#: How a level, a code, a text and the keys that lead there are reported.
Say = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Range6:
    """Addresses from *first* to *last*, both included."""

    first: IPv6Address
    last: IPv6Address

    def __contains__(self, address: IPv6Address) -> bool:
        return self.first <= address <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressing6:
    """
    How addresses are given in one network of IPv6.

    *serving* is None where that is left to the interface and the setting.  *exclude* are holes in
    the *pools*; *lease_time* in seconds; *options* are by their codes, encoded.

    *port_limit* is the most addresses that clients which are not listed get behind one port of a
    relay that tells it (option 18), 0 for any number.
    """

    serving: Serving | None = None
    pools: tuple[Range6, ...] = ()
    exclude: tuple[Range6, ...] = ()
    lease_time: int = 3600
    rapid_commit: bool = False
    port_limit: int = 64
    options: Mapping[int, bytes] = field(default_factory=dict)

    def excludes(self, address: IPv6Address) -> bool:
        """Whether *address* lies in a hole of the pools."""
        return any(address in hole for hole in self.exclude)


NO_ADDRESSING6 = Addressing6()


def addressing(value: Object, network: IPv6Network, say: Say) -> Addressing6:
    """
    What the entry *value* of *network* says; what is wrong is told by *say*, and left out.

    A ``dhcp`` or ``exclude`` that is wrong is an ERROR: somebody might be given an address who
    shall not be, or one that is another's.
    """
    found: dict[str, Any] = {}
    options: dict[int, bytes] = {}
    for key in (*_VALUES, *_OPTIONS):
        if key not in value:
            continue
        item = value[key]
        try:
            if key in _OPTIONS:
                code, encode = _OPTIONS[key]
                options[code] = options.get(code, b"") + encode(item)
            else:
                found[key] = _VALUES[key](item)
        except ValueError as problem:
            level = Level.ERROR if key in ("dhcp", "exclude") else Level.WARNING
            say(level, "subnet-value", f'"{key}": {problem}', key)
    for key in ("pools", "exclude"):
        outside = [one for one in found.get(key, ()) if not _lies_in(one, network)]
        for one in outside:
            what = f"pool {one}" if key == "pools" else f'"{key}": {one}'
            told = f"{what} is outside the network {network}; left out"
            say(Level.WARNING, "subnet-value", told, key)
        found[key] = tuple(one for one in found.get(key, ()) if one not in outside)
    if "dhcp" in found:
        found["serving"] = found.pop("dhcp")
    return Addressing6(options=options, **found)


def _lies_in(one: Range6, network: IPv6Network) -> bool:
    return one.first in network and one.last in network


def reserved(
    machines: Iterable[Machine], report: Callable[[Finding], None]
) -> dict[IPv6Address, Machine]:
    """The machines by their addresses; of two that name one address, the first has it."""
    found: dict[IPv6Address, Machine] = {}
    for machine in machines:
        text = machine.variables.get(RESERVED)
        if text is None:
            continue
        try:
            address = _address(text)
        except ValueError as problem:
            told = f'{machine.written}: "{RESERVED}": {problem}'
            report(Finding(Level.WARNING, "ip6-invalid", told, machine.place))
            continue
        other = found.setdefault(address, machine)
        if other.key != machine.key:
            told = (
                f"{address} is the ip6 of {other.written} ({other.place}) as well, which gets it;"
                f" {machine.written} gets an address of a pool, or none where there is no pool"
            )
            report(Finding(Level.WARNING, "ip6-twice", told, machine.place))
    return found


# -- values ------------------------------------------------------------------------------------


def _serving(value: Any) -> Serving:
    try:
        return Serving(value)
    except ValueError:
        raise ValueError(f'must be "proxy", "server" or "off", not {_shown(value)}') from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_shown(value)}")
    return value


def _seconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be a number of seconds, not {_shown(value)}")
    if not _SHORTEST_LEASE <= value <= _LONGEST_LEASE:
        raise ValueError(f"{value} is outside {_SHORTEST_LEASE}..{_LONGEST_LEASE}")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_COUNTED:
        raise ValueError(f"must be a number from 0 to {_MOST_COUNTED}, not {_shown(value)}")
    return value


def _ranges(value: Any) -> tuple[Range6, ...]:
    return tuple(_range(one) for one in _several(value))


def _range(value: Any) -> Range6:
    """``2001:db8::10-2001:db8::1f``, one address, or a network."""
    text = str(value).replace(" ", "")
    try:
        if "/" in text:
            network = IPv6Network(text)
            return Range6(network[0], network[-1])
        first, dash, last = text.partition("-")
        made = Range6(_address(first), _address(last if dash else first))
    except ValueError:
        raise ValueError(
            f"{_shown(value)} is no range such as 2001:db8:1::1000-2001:db8:1::1fff"
        ) from None
    if made.last < made.first:
        raise ValueError(f"{made} ends before it begins")
    return made


def _address(value: Any) -> IPv6Address:
    try:
        address = IPv6Address(value.strip() if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{_shown(value)} is no IPv6 address") from None
    if address.is_multicast or address.is_link_local or address.is_unspecified or address.scope_id:
        raise ValueError(f"{address} is none that a machine can be given")
    return address


def _several(value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(value)
    return [value]


def _addresses(value: Any) -> bytes:
    return b"".join(_address(one).packed for one in _several(value))


def _names(value: Any) -> bytes:
    """Names in the encoding of DNS, without compression (RFC 8415, section 10)."""
    return b"".join(_name(one) for one in _several(value))


def _name(value: Any) -> bytes:
    labels = value.strip().rstrip(".").split(".") if isinstance(value, str) else [""]
    plain = all(_LABEL.fullmatch(label) for label in labels)
    if not plain or len(".".join(labels)) > _LONGEST_NAME:
        raise ValueError(f"{_shown(value)} is no domain such as example.org")
    return b"".join(bytes((len(label),)) + label.encode() for label in labels) + b"\0"


def _time_servers(value: Any) -> bytes:
    found = b""
    for one in _several(value):
        packed = _address(one).packed
        found += _NTP_ADDRESS.to_bytes(2, "big") + len(packed).to_bytes(2, "big") + packed
    return found


def _shown(value: Any) -> str:
    return f'"{value:.60}"' if isinstance(value, str) else kind(value)


#: Each key with a field of its name.
_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "dhcp": _serving,
    "pools": _ranges,
    "exclude": _ranges,
    "lease_time": _seconds,
    "rapid_commit": _flag,
    "port_limit": _count,
}
#: Each key that becomes an option; ``domain`` is the first that is searched.
_OPTIONS: Mapping[str, tuple[int, Callable[[Any], bytes]]] = {
    "dns": (DNS_SERVERS, _addresses),
    "domain": (DOMAIN_LIST, _names),
    "search": (DOMAIN_LIST, _names),
    "ntp": (NTP_SERVER, _time_servers),
}
KEYS = frozenset((*_VALUES, *_OPTIONS))
