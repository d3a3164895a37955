"""
What ``vmadm`` takes for the value of a property, by type.

Sources: ``properties``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, ip_address, ip_interface
from typing import Any, NamedTuple

from netbootd.printable import printable
from netbootd.relaxedjson import kind


class Advice(NamedTuple):
    """One thing about the property at *path* (``nics.0.mtu``); *refused*: vmadm stops at it."""

    path: str
    text: str
    refused: bool

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.text}", 400)


Found = Iterator[Advice]
Check = Callable[[str, Any], Found]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WHOLE = re.compile(r"-?[0-9]+")
_ROUTE = re.compile(r"nics\[[0-9]+\]|macs\[[0-9A-Fa-f:]+\]")


def bad(path: str, wanted: str, value: Any) -> Advice:
    """*value* at *path* is none of what is *wanted*: vmadm stops."""
    return Advice(path, f"bad value: must be {wanted}, not {shown(value)}", True)


def shown(value: Any) -> str:
    """*value* as JSON has it; of what may be deeper than Python can print, only what it is."""
    if isinstance(value, dict | list):
        return kind(value)
    return json.dumps(value, ensure_ascii=False)[:60]


def fitting(wanted: str, fits: Callable[[Any], bool]) -> Check:
    """A value of which *fits* is true."""

    def check(path: str, value: Any) -> Found:
        if not fits(value):
            yield bad(path, wanted, value)

    return check


def boolean(path: str, value: Any) -> Found:
    """True or false, in one of the ways that vmadm takes."""
    if value in ("true", "false") or isinstance(value, bool):
        return
    if value in (1, "1"):
        yield Advice(path, "taken for true; write true", False)
    else:
        yield bad(path, "true or false", value)


def _unset(value: Any) -> bool:
    """To vmadm, empty and null are as good as absent, where a string or number may stand."""
    return value is None or value == ""


def whole(value: Any) -> int | None:
    """The whole number that *value* is or spells, None for what is none."""
    if isinstance(value, str) and len(value) < 100 and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def integer(low: int, high: int | None = None) -> Check:
    """A whole number, or one that is spelt, from *low* to *high*; nothing at all will do."""

    def fits(value: Any) -> bool:
        if _unset(value):
            return True
        number = whole(value)
        return number is not None and number >= low and (high is None or number <= high)

    wanted = f"a whole number, at least {low}" if high is None else f"from {low} to {high}"
    return fitting(wanted, fits)


def matching(pattern: re.Pattern[str], wanted: str) -> Check:
    """A string that is *pattern* as a whole."""
    return fitting(wanted, lambda value: isinstance(value, str) and bool(pattern.fullmatch(value)))


STRING = fitting("a string", lambda value: _unset(value) or isinstance(value, str))
UUID = matching(_UUID, "a UUID in lower case")
TRUE = fitting("true, or absent", lambda value: value in (True, "true", "1"))


def items_of(value: Any) -> list[Any] | None:
    """The items of a list, which may be written as one string with commas; None for no list."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",")] if value else []
    return value if isinstance(value, list) else None


def listed(fits: Callable[[str], bool] = lambda _: True, wanted: str = "", most: int = 0) -> Check:
    """A list of texts that *fit*, at most *most* of them."""
    each = wanted or "strings or numbers, without commas in them"

    def check(path: str, value: Any) -> Found:
        if _unset(value):
            return
        items = items_of(value)
        if items is None or not all(_plain(item) and fits(str(item)) for item in items):
            yield bad(path, f"a list of {each}", value)
        elif most and len(items) > most:
            yield Advice(path, f"bad value: {len(items)} entries; at most {most}", True)

    return check


def _plain(item: Any) -> bool:
    if isinstance(item, str):
        return "," not in item
    return isinstance(item, int | float) and not isinstance(item, bool)


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_ipv4(text: str) -> bool:
    """Whether it is one of IPv4."""
    return is_address(text) and isinstance(ip_address(text), IPv4Address)


def is_interface(text: str) -> bool:
    """``address/prefix``, or who is to be asked for one."""
    if text in ("dhcp", "addrconf"):
        return True
    try:
        ip_interface(text)
    except ValueError:
        return False
    return "/" in text


def flat(path: str, value: Any) -> Found:
    """An object of plain values."""
    if not isinstance(value, dict):
        yield bad(path, "an object", value)
        return
    for key, item in value.items():
        if not isinstance(item, str | int | float):
            wanted = "a string, a number, true or false; write JSON as a string"
            yield bad(f"{path}.{key}", wanted, item)


def metadata(path: str, value: Any) -> Found:
    """Likewise, with names that the guest may write."""
    yield from flat(path, value)
    for key in value if isinstance(value, dict) else ():
        if key.startswith("sdc:"):
            yield Advice(f"{path}.{key}", "names that begin with sdc: cannot be written", False)


def routes(path: str, value: Any) -> Found:
    """Likewise, of gateways by destination."""
    yield from flat(path, value)
    for key, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, str) and not (is_address(item) or _ROUTE.fullmatch(item)):
            yield bad(f"{path}.{key}", "an IP address, nics[N] or macs[MAC]", item)


def power_of_two(low: int, high: int) -> Callable[[Any], bool]:
    """Whether a value is a power of two from *low* to *high*."""

    def fits(value: Any) -> bool:
        number = whole(value)
        return number is not None and low <= number <= high and not number & (number - 1)

    return fits


def guest_block_size(value: Any) -> bool:
    """``N``, or logical and physical as ``N/N``."""
    sizes = str(value).split("/")
    return len(sizes) <= 2 and all(power_of_two(1, 1 << 30)(size) for size in sizes)
