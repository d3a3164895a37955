"""
Variable ``interfaces`` of a machine: what each of its network devices is.

::

    "lan":    { "mac": "00:25:90:27:db:b5", "mtu": 9000 },
    "bond0":  { "bond": ["lan", "lan2"], "mode": "802.3ad" },
    "vlan20": { "link": "bond0", "vlan": 20 },
    "br20":   { "bridge": ["vlan20"], "address": "10.0.20.7/24", "gateway": "10.0.20.1" }

``address`` is ``"dhcp"`` or an address with its prefix length, or an array of those.  A card with a
``mac`` is found by it; what has none is found by its name.  The card that the machine boots from
carries its root file system: VLANs may stand on it, but it is never configured itself, and may not
become part of a bond or bridge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from typing import Any

from netbootd.mac import MAC
from netbootd.nearest import did_you_mean
from netbootd.targets.base import Facts

DHCP = "dhcp"
VARIABLE = "interfaces"
_KEYS = frozenset(
    {"mac", "address", "gateway", "dns", "mtu", "vlan", "link", "bond", "mode", "bridge"}
)
_MODES = (
    *("active-backup", "802.3ad", "balance-rr", "balance-xor"),
    *("broadcast", "balance-tlb", "balance-alb"),
)
#: At most IFNAMSIZ of Linux without its end mark; such as need no quotes anywhere.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
#: Types of targets whose root file system is on a disk, whatever card they booted from.
_OWN_DISK = frozenset({"install", "localboot"})


@dataclass(frozen=True, slots=True)
class Interface:
    """One device; of *vlan*, *bond* and *bridge* at most one is set, a card has none."""

    name: str
    mac: str = ""
    addresses: tuple[str, ...] = ()
    dhcp: bool = False
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    mtu: int = 0
    vlan: int | None = None
    link: str = ""
    bond: tuple[str, ...] | None = None
    mode: str = _MODES[0]
    bridge: tuple[str, ...] | None = None
    boots: bool = False

    @property
    def below(self) -> tuple[str, ...]:
        """The devices it stands on."""
        return (*((self.link,) if self.link else ()), *(self.bond or ()), *(self.bridge or ()))

    @property
    def kind(self) -> str:
        """``card``, ``vlan``, ``bond`` or ``bridge``."""
        if self.vlan is not None:
            return "vlan"
        if self.bond is not None:
            return "bond"
        return "card" if self.bridge is None else "bridge"


@dataclass(frozen=True, slots=True)
class Fault:
    """*path* leads to the value inside ``interfaces``; *ignored* is what costs only that key."""

    path: tuple[str, ...]
    text: str
    ignored: bool = False


def read(facts: Facts) -> tuple[dict[str, Interface], list[Fault]]:
    """The devices by name, and all that is wrong with them."""
    written = facts.variables.get(VARIABLE, {})
    found: list[Fault] = []
    if not isinstance(written, Mapping):
        return {}, [Fault((), "must be an object: names of devices, and an object for each")]
    interfaces = {
        name: _Reading(name, entry, found).interface()
        for name, entry in written.items()
        if _is_entry(name, entry, found)
    }
    if not has_own_disk(facts):
        booted = str(facts.mac)
        for name, one in interfaces.items():
            if one.mac == booted and one.kind == "card":
                interfaces[name] = replace(one, boots=True)
                found += _left_out(name, written[name])
    found += _relations(interfaces)
    return interfaces, found


def has_own_disk(facts: Facts) -> bool:
    """Whether its root file system is on a disk: then the card it boots from is one like others."""
    return facts.target.partition("/")[0] in _OWN_DISK


def _left_out(name: str, entry: Mapping[str, Any]) -> Iterator[Fault]:
    """What the entry of the card that it boots from says in vain."""
    for key in ("address", "gateway", "dns", "mtu"):
        if key in entry:
            told = "the card the machine boots from is never configured; left out"
            yield Fault((name, key), told, ignored=True)


def _is_entry(name: str, entry: Any, found: list[Fault]) -> bool:
    if not isinstance(entry, Mapping):
        found.append(Fault((name,), "must be an object"))
        return False
    if not _NAME.fullmatch(name):
        told = "a device's name has 1 to 15 letters, digits, dots, hyphens or underscores"
        found.append(Fault((name,), told))
        return False
    return True


class _Reading:
    """One entry being read; faults are added to *found*, and the key left at its default."""

    def __init__(self, name: str, entry: Mapping[str, Any], found: list[Fault]) -> None:
        self.name = name
        self.entry = entry
        self.found = found

    def interface(self) -> Interface:
        for key in self.entry.keys() - _KEYS:
            told = f"no key of an interface{did_you_mean(key, sorted(_KEYS))}; left out"
            self.found.append(Fault((self.name, key), told, ignored=True))
        addresses = [address for address in self._texts("address") if address != DHCP]
        return Interface(
            name=self.name,
            mac=self._one("mac", lambda text: str(MAC.parse(text))),
            addresses=self._each("address", addresses, lambda text: str(_with_prefix(text))),
            dhcp=DHCP in self._texts("address", quiet=True),
            gateways=self._each("gateway", self._texts("gateway"), _address),
            dns=self._each("dns", self._texts("dns"), _address),
            mtu=self._number("mtu", 68, 65535) or 0,  # RFC 791, and the length field
            vlan=self._number("vlan", 1, 4094),  # IEEE 802.1Q: 0 and 4095 are reserved
            link=self._one("link", str),
            bond=self._members("bond"),
            mode=self._one("mode", _mode) or _MODES[0],
            bridge=self._members("bridge"),
        )

    def _texts(self, key: str, quiet: bool = False) -> list[str]:
        if key not in self.entry:
            return []
        value = self.entry[key]
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            if not quiet:
                self._fault(key, "must be a string or an array of strings")
            return []
        return [text.strip() for text in texts]

    def _each(self, key: str, texts: Iterable[str], read: Callable[[str], str]) -> tuple[str, ...]:
        try:
            return tuple(read(text) for text in texts)
        except ValueError as problem:
            self._fault(key, str(problem))
            return ()

    def _one(self, key: str, read: Callable[[str], str]) -> str:
        if key not in self.entry:
            return ""
        if not isinstance(self.entry[key], str):
            self._fault(key, "must be a string")
            return ""
        return "".join(self._each(key, self._texts(key), read))

    def _number(self, key: str, least: int, most: int) -> int | None:
        value = self.entry.get(key)
        if key not in self.entry:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._fault(key, f"must be a number from {least} to {most}")
            return None
        return value

    def _members(self, key: str) -> tuple[str, ...] | None:
        return tuple(self._texts(key)) if key in self.entry else None

    def _fault(self, key: str, told: str) -> None:
        self.found.append(Fault((self.name, key), told))


def _with_prefix(text: str) -> Any:
    if "/" not in text:
        raise ValueError(f"{text!r} has no prefix length; such as {text}/24")
    return ip_interface(text)


def _address(text: str) -> str:
    return str(ip_address(text))


def _mode(text: str) -> str:
    if text not in _MODES:
        raise ValueError(f"{text!r} is none of {', '.join(_MODES)}")
    return text


def _relations(interfaces: Mapping[str, Interface]) -> Iterator[Fault]:
    """What is wrong between devices, or between the keys of one."""
    owners: dict[str, str] = {}
    for name, one in interfaces.items():
        kinds = [key for key in ("vlan", "bond", "bridge") if getattr(one, key) is not None]
        if len(kinds) > 1:
            yield Fault((name,), f"cannot be {' and '.join(kinds)} at once")
        if (one.vlan is None) != (not one.link):
            missing = "link" if one.vlan is not None else "vlan"
            yield Fault((name,), f'"vlan" and "link" go together; "{missing}" is missing')
        for key, others in (
            ("link", one.below[:1] if one.link else ()),
            ("bond", one.bond or ()),
            ("bridge", one.bridge or ()),
        ):
            for other in others:
                yield from _relation(interfaces, one, key, other, owners)
    try:
        in_order(interfaces)
    except ValueError as problem:
        yield Fault((), str(problem))


def _relation(
    interfaces: Mapping[str, Interface],
    one: Interface,
    key: str,
    other: str,
    owners: dict[str, str],
) -> Iterator[Fault]:
    path = (one.name, key)
    if other not in interfaces:
        told = f'there is no interface "{other}"{did_you_mean(other, interfaces)}'
        yield Fault(path, told)
    elif key != "link" and interfaces[other].boots:
        told = f'"{other}" is the card the machine boots from: it carries the root file system'
        yield Fault(path, told)
    elif key != "link" and owners.setdefault(other, one.name) != one.name:
        yield Fault(path, f'"{other}" is part of "{owners[other]}" already')


def in_order(interfaces: Mapping[str, Interface]) -> list[Interface]:
    """Each device after those it stands on; raises ValueError where they go in a circle."""
    done: dict[str, Interface] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            raise ValueError(f"they go in a circle: {' -> '.join((*trail, name))}")
        if name in done or name not in interfaces:
            return
        for other in interfaces[name].below:
            visit(other, (*trail, name))
        done[name] = interfaces[name]

    for name in interfaces:
        visit(name, ())
    return list(done.values())
