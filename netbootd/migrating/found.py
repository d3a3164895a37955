"""
What stands in the configuration of another DHCP server, in words that all of them share: the values
between reading one and writing a drop-in of it.

What netbootd does not take is kept as well, with its place and the reason: an admin who changes
servers has to hear of everything that will be different.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from netbootd import dhcpoptions
from netbootd.errors import Place
from netbootd.mac import MAC
from netbootd.migrating import names

BOOTING = "netbootd itself says what is booted: the targets of the configuration do"
CLASSES = "classes and conditions of clients are not translated"
NAMES = "names are entered in DNS by netbootd's own setting, ddns"
SERVER = "a matter of that program itself, not of addresses"
IPV6 = "only IPv4 is taken over"
FAILOVER = "netbootd shares leases with no second server"

#: Options of which netbootd has a key of its own, or which it says by itself.
_MASK, _ROUTERS, _DNS, _NAME, _DOMAIN, _MTU, _BROADCAST = 1, 3, 6, 12, 15, 26, 28
_NTP, _LEASE_TIME, _RENEWAL, _REBINDING, _CLASS = 42, 51, 58, 59, 60
_BOOT_SERVER, _BOOT_FILE, _SEARCH, _ROUTES, _MS_ROUTES = 66, 67, 119, 121, 249
_LISTS = {_ROUTERS: "router", _DNS: "dns", _NTP: "ntp", _SEARCH: "search"}
#: What PXELINUX and its kin read (RFC 5071).
_LOADERS = range(208, 212)


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is not taken: *what* stands at *place*, and *why* it is not."""

    place: Place
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Given:
    """An option as it was written: *option* a name or number, *values* in order, as text."""

    option: str
    values: tuple[str, ...]
    place: Place


@dataclass(slots=True, kw_only=True)
class Host:
    """
    A reservation.  *client_id* is option 61 in hexadecimal, *circuit_id* what a relay says; of
    several *addresses* the first that lies in a subnet counts.
    """

    place: Place
    macs: tuple[MAC, ...] = ()
    client_id: str = ""
    circuit_id: str = ""
    hostname: str = ""
    addresses: tuple[IPv4Address, ...] = ()
    options: list[Given] = field(default_factory=list)
    remark: str = ""

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.hostname or next(map(str, self.macs), self.client_id or self.circuit_id)


@dataclass(slots=True, kw_only=True)
class Network:
    """
    A subnet.  *pools* are as a drop-in has them, *settings* its keys by their names, *options* by
    precedence, the first one of a kind counts; *remarks* stand above it.
    """

    place: Place
    network: IPv4Network
    pools: list[str | dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    options: list[Given] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def pool(self, first: IPv4Address, last: IPv4Address, **match: Any) -> None:
        """Add the addresses from *first* to *last* for those that *match*."""
        text = f"{first}-{last}"
        made: str | dict[str, Any] = {"range": text, **match} if match else text
        if made not in self.pools:
            self.pools.append(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A lease of the other server: who has *address*, and until when in its words."""

    place: Place
    address: IPv4Address
    mac: MAC | None = None
    client_id: str = ""
    hostname: str = ""
    until: str = ""


@dataclass(slots=True)
class Found:
    """All of a configuration; *title* is what it was taken for."""

    title: str
    hosts: list[Host] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _noted: set[Left] = field(default_factory=set)

    def leave(self, place: Place, what: str, why: str) -> None:
        """Note something that is not taken, once."""
        left = Left(place, what, why)
        if left not in self._noted:
            self._noted.add(left)
            self.left.append(left)

    def hostname(self, text: str, place: Place) -> str:
        """*text* where a host may be called so, else nothing, and a note."""
        name = names.hostname(text)
        if text.strip() and not name:
            self.leave(place, f"name {text:.60}", "no host may be called so (RFC 1123)")
        return name

    def holding(self, address: IPv4Address) -> Network | None:
        """The narrowest of the networks that *address* lies in."""
        fitting = [one for one in self.networks if address in one.network]
        return max(fitting, key=lambda one: one.network.prefixlen, default=None)


def settle(options: Sequence[Given], found: Found, network: IPv4Network | None) -> dict[str, Any]:
    """
    *options* as keys of a subnet (*network*), else as ``dhcp_options`` of a machine alone.

    Of one kind the first counts.  What cannot be taken is left, with the reason.
    """
    by_code: dict[int, Given] = {}
    for given in options:
        try:
            by_code.setdefault(dhcpoptions.code_of(given.option), given)
        except ValueError as problem:
            found.leave(given.place, f"option {given.option}", str(problem))
    keys: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    boots = _BOOT_FILE in by_code
    for code, given in by_code.items():
        if why := _needless(code, boots):
            found.leave(given.place, f"option {dhcpoptions.name_of(code)}", why)
            continue
        try:
            if network is None or not _as_key(code, given, network, keys):
                plain[dhcpoptions.name_of(code)] = value_of(code, given.values)
        except ValueError as problem:
            found.leave(given.place, f"option {dhcpoptions.name_of(code)}", str(problem))
    if plain:
        keys["options"] = dict(sorted(plain.items(), key=lambda item: dhcpoptions.code_of(item[0])))
    return keys


def _needless(code: int, boots: bool) -> str:
    """Why an option is not given by the admin of netbootd, or nothing."""
    if code in (_BOOT_FILE, _CLASS, *_LOADERS) or (code == _BOOT_SERVER and boots):
        return BOOTING
    if code in (_RENEWAL, _REBINDING):
        return "renewal is at half of the lease time and rebinding at seven eighths"
    return ""


def _as_key(code: int, given: Given, network: IPv4Network, keys: dict[str, Any]) -> bool:
    """Put an option that is a key of a subnet into *keys*; raises ValueError for a wrong one."""
    value = value_of(code, given.values) if code != _LEASE_TIME else None
    if code in (_MASK, _BROADCAST):
        own = network.netmask if code == _MASK else network.broadcast_address
        return value == str(own)
    if code == _NAME:
        raise ValueError("a name is one machine's")
    if code in _LISTS:
        keys[_LISTS[code]] = value
    elif code == _DOMAIN:
        keys["domain"] = value
    elif code == _MTU:
        keys["mtu"] = value
    elif code in (_ROUTES, _MS_ROUTES):
        keys.setdefault("routes", value)
    elif code == _LEASE_TIME:
        keys["lease_time"] = seconds(given.values[0])
    else:
        return False
    return True


def seconds(text: str) -> int:
    """Digits as a time that a lease can have; raises ValueError."""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:12]) <= 0xFFFFFFFF:
        raise ValueError(f"{text!r:.40} is no number of seconds")
    return int(text)


#: Options of bytes that nobody writes as anything but bytes.
_BYTES = frozenset({43, 63, 77, 79, 81, 82, 120, 124, 125, 143, 159, 175, 208})
_TRUE, _FALSE = ("true", "on", "yes", "1"), ("false", "off", "no", "0")


def value_of(code: int, values: tuple[str, ...]) -> Any:
    """
    *values* in the shape that the option wants; raises ValueError where it can have none of them.

    Other servers write text alone, so what an option takes is found out by trying.
    """
    words = [value.strip() for value in values if value.strip()]
    in_hex = len(words) == 1 and words[0].lower().startswith("0x")
    if code in _BYTES and not in_hex:
        raise ValueError('its bytes are to be written in hexadecimal, "0x0102"')
    if code in (_ROUTES, _MS_ROUTES):
        shapes: list[Any] = [routes(words)]
    elif len(words) == 1:
        shapes = _single(words[0])
    elif is_nameless(str(code)) and not all(map(_is_address, words)):
        raise ValueError('its shape is not known: write its bytes in hexadecimal, "0x0102"')
    else:
        shapes = [words, _numbers(words), ", ".join(words)]
    problem = ValueError(_named(words) or "it has no value")
    for shape in shapes:
        if shape is not None and shape != []:
            try:
                dhcpoptions.encode(str(code), shape)
            except ValueError as told:
                problem = problem if _named(words) else told
            else:
                return shape
    raise problem


def _is_address(word: str) -> bool:
    return names.address(word) is not None


def _named(words: list[str]) -> str:
    """What to say of an option whose values are names, where it wants addresses."""
    named = any("." in word and names.hostname(word) for word in words)
    return names.NO_LOOK_UP if named else ""


def is_nameless(option: str) -> bool:
    """Whether nothing is known of the shape of *option*, a name or a number."""
    try:
        return dhcpoptions.name_of(dhcpoptions.code_of(option)).isdecimal()
    except ValueError:
        return False


def typed(kind: str, values: tuple[str, ...]) -> tuple[str, ...]:
    """
    *values* of an option that was declared to be of a *kind* (``unsigned integer 16``), as bytes
    where netbootd could not tell from the text: integers and booleans.
    """
    try:
        if size := re.search(r"integer (8|16|32)", kind):
            octets, signed = int(size[1]) // 8, re.search(r"\bsigned", kind) is not None
            numbers = [int(value[:12], 0) for value in values]
            data = b"".join(one.to_bytes(octets, "big", signed=signed) for one in numbers)
            return (f"0x{data.hex()}",)
        if kind.startswith(("boolean", "flag")):
            return (f"0x0{int(values[0].lower() in _TRUE)}",)
    except (ValueError, OverflowError, IndexError):
        pass  # what is wrong with it is said where it is encoded
    return values


def _single(word: str) -> list[Any]:
    shapes: list[Any] = [word, *(_numbers([word]) or ())]
    if word.lower() in _TRUE + _FALSE:
        shapes.append(word.lower() in _TRUE)
    return shapes


def _numbers(words: list[str]) -> list[int] | None:
    try:
        return [int(word[:12], 0) for word in words]
    except ValueError:
        return None


def routes(words: list[str]) -> dict[str, str] | str | None:
    """
    Pairs of a network and its gateway (``10.0.0.0/8``, ``10.1.0.1``), or the bytes of RFC 3442 in
    decimal, as dhcpd has them; None for what is neither.
    """
    if len(words) == 1 and words[0].lower().startswith("0x"):
        return words[0]
    flat = [part for word in words for part in word.replace(" - ", " ").split()]
    if flat and all(part.isdecimal() for part in flat):
        return _from_bytes(flat)
    if len(flat) % 2 or not flat:
        return None
    try:
        networks = [str(IPv4Network(part, strict=False)) for part in flat[::2]]
    except ValueError:
        return None
    return dict(zip(networks, flat[1::2], strict=True))


def _from_bytes(flat: list[str]) -> dict[str, str] | None:
    try:
        data = bytes(int(part[:4]) for part in flat)
    except ValueError:
        return None
    made: dict[str, str] = {}
    at = 0
    while at < len(data):
        length, used = data[at], (data[at] + 7) // 8
        network, gateway = data[at + 1 : at + 1 + used], data[at + 1 + used : at + 5 + used]
        if length > 32 or len(gateway) < 4:
            return None
        address = IPv4Address(network.ljust(4, b"\0"))
        made[str(IPv4Network((address, length), strict=False))] = str(IPv4Address(gateway))
        at += 5 + used
    return made
