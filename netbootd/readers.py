"""
Reads the values of settings: each function takes what the file has, and gives what the daemon uses.

All raise Wrong, with what would be right, for a value of the wrong shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from netbootd import dhcpoptions, optionshapes, replies
from netbootd.addressing import Serving
from netbootd.loaders import Choice
from netbootd.secretvalues import CREDENTIAL, FILE, BadSecret, file_of

_Word = TypeVar("_Word", bound=Enum)
#: RFC 3986, 3.2.2, as far as browsers send it.
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,252}[a-z0-9_])?(:[0-9]{1,5})?")


class Wrong(Exception):
    """
    A value of the wrong shape; the text says what was wanted.

    *one* is the element that is wrong, alone in a tuple, where the value is an array.
    """

    one: tuple[Any, ...] = ()

    def of(self, value: Any) -> Any:
        """What is wrong of *value*."""
        return self.one[0] if self.one else value


class Refused(Wrong):
    """Likewise, and the text has the value in it; *key* is the one of an object that is wrong."""

    def __init__(self, told: str, key: str = "") -> None:
        super().__init__(told)
        self.key = key


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


def number(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Wrong(f"a whole number from {low} to {high}")
        return value

    return read


def seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
        raise Wrong("seconds, from 0 to 86400")
    return float(value)


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise Wrong("a string")
    return value.strip()


def path(value: Any) -> Path:
    return Path(text(value))


def key_file(value: Any) -> Path:
    """A file with a secret, by its path or as other secrets are written."""
    if isinstance(value, dict) and len(value) == 1:
        (kind, name), *_ = value.items()
        if kind in (FILE, CREDENTIAL):
            try:
                return file_of(kind, text(name))
            except BadSecret as problem:
                raise Refused(str(problem)) from None
    return path(value)


def some(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """One value or an array of them."""

    def read_one(item: Any) -> Any:
        try:
            return read(item)
        except Wrong as wanted:
            wanted.one = (item,)
            raise

    def read_all(value: Any) -> tuple[Any, ...]:
        return tuple(read_one(item) for item in (value if isinstance(value, list) else [value]))

    return read_all


PORT = number(1, 65535)


def ports(value: Any) -> tuple[int, ...]:
    numbers = tuple(dict.fromkeys(some(PORT)(value)))
    if not numbers:
        raise Wrong("at least one port")
    return numbers


def hook(value: Any) -> tuple[str, ...]:
    """A URL, or a command as an array: no shell splits it."""
    wanted = "an http(s) URL, or an array: a program (with its path, or found by PATH), arguments"
    words = value if isinstance(value, list) else [value]
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise Wrong(wanted)
    if words and re.match(r"https?://", words[0], re.IGNORECASE):
        if len(words) > 1 or not _has_host(words[0]):
            raise Wrong(wanted)
    elif not isinstance(value, list) or (words and not re.fullmatch(r"/.+|[^/]+", words[0])):
        raise Wrong(wanted)
    return tuple(words)


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:  # a port that is no number
        return False


def one_of(words: type[_Word]) -> Callable[[Any], _Word]:
    """The value of a member of the enumeration *words*."""

    def read(value: Any) -> _Word:
        known = [word.value for word in words]
        if value not in known:
            raise Wrong(", ".join(f'"{word}"' for word in known[:-1]) + f' or "{known[-1]}"')
        return words(value)

    return read


def url(value: Any) -> str:
    """An http or https URL, without the slash at its end."""
    if not (isinstance(value, str) and re.match(r"https?://", value) and _has_host(value)):
        raise Wrong("an http(s) URL")
    return value.rstrip("/")


def namespace(value: Any) -> str:
    """The last part of a data stream's name, as Elasticsearch takes it."""
    if not (isinstance(value, str) and re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,99}", value)):
        raise Wrong("lower-case letters, digits, _, . and -")
    return value


def networks(value: Any) -> tuple[IPv4Network, ...]:
    """One network or address, or several, such as ``10.0.0.0/8``."""
    try:
        return tuple(IPv4Network(one) for one in some(text)(value))
    except ValueError as problem:
        raise Refused(f"networks such as 10.0.0.0/8: {problem}") from None


def any_networks(value: Any) -> tuple[IPv4Network | IPv6Network, ...]:
    """The same, of IPv4 or IPv6."""
    try:
        return tuple(ip_network(one) for one in some(text)(value))
    except ValueError as problem:
        raise Refused(f"networks or addresses such as 10.0.0.0/8: {problem}") from None


def host_name(value: Any) -> str:
    """What a URL may have for a host, in lower case, perhaps with a port."""
    name = text(value).lower()
    if not _HOST_NAME.fullmatch(name):
        raise Wrong('a name such as "boot.example.net"')
    return name


def stream(value: Any) -> str:
    """Where lines of JSON go by TCP, ``HOST:PORT``, or by HTTP, a URL."""
    if isinstance(value, str) and re.match(r"https?://", value):
        return url(value)
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise Wrong("HOST:PORT, or an http(s) URL")
    return str(value)


def loader(value: Any) -> Choice:
    try:
        return Choice.parse(value)
    except ValueError as problem:
        raise Refused(f"a set of loaders or a file: {problem}") from None


def style(value: Any) -> str:
    try:
        return replies.parse(value)
    except ValueError as problem:
        raise Refused(str(problem)) from None


def of_each(read: Callable[[Any], Any]) -> Callable[[Any], Mapping[str, Any]]:
    """An object, each of whose values is *read*."""

    def read_all(value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise Wrong("an object")
        found = {}
        for key, item in value.items():
            try:
                found[key] = read(item)
            except Wrong as wanted:
                raise Refused(f'"{key}" must be {wanted}, not {item!r:.60}', key) from None
        return found

    return read_all


#: Seconds of a lease; the largest of them is one without an end (RFC 2131, section 3.3).
LEASE = number(10, 0xFFFFFFFF)


def address(value: Any) -> IPv4Address:
    try:
        return IPv4Address(value.strip() if isinstance(value, str) else "")
    except ValueError:
        raise Wrong("an IPv4 address") from None


def any_address(value: Any) -> IPv4Address | IPv6Address:
    try:
        return ip_address(value.strip() if isinstance(value, str) else "")
    except ValueError:
        raise Wrong("an IP address") from None


def domain(value: Any) -> str:
    """A domain name, without the dot at its end."""
    name = text(value).rstrip(".")
    try:
        optionshapes.domains(name)
    except ValueError:
        raise Wrong('a domain name such as "example.net"') from None
    return name


def options(value: Any) -> Mapping[int, bytes]:
    """DHCP options by name or number, encoded."""
    if not isinstance(value, dict):
        raise Wrong('an object such as {"ntp-servers": "192.0.2.3"}')
    found, told = dhcpoptions.read(value)
    for one in told:
        if one.wrong:
            raise Refused(one.text.removesuffix("; left out"), one.key)
    return found


serving = one_of(Serving)


def or_auto(read: Callable[[Any], int]) -> Callable[[Any], int]:
    """A number, or ``"auto"``, which is 0."""

    def read_one(value: Any) -> int:
        if value == "auto":
            return 0
        try:
            return read(value)
        except Wrong as wanted:
            raise Wrong(f'"auto" or {wanted}') from None

    return read_one


_PRIORITIES = {"low": -10, "normal": 0, "high": 10}


def priority(value: Any) -> int:
    """Whose turn comes first where machines wait: the higher number's; the usual is 0."""
    if isinstance(value, str) and value in _PRIORITIES:
        return _PRIORITIES[value]
    if isinstance(value, bool) or not isinstance(value, int) or not -100 <= value <= 100:
        raise Wrong('"high", "normal", "low" or a whole number from -100 to 100')
    return value


_BITS = {"k": 1e3, "m": 1e6, "g": 1e9}
_BIT_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*([kKmMgG])b(?:it(?:/s|ps)?|ps)")


def bit_rate(value: Any) -> float:
    """``"10 Gbit/s"``, or "500 Mbit/s", as bytes a second."""
    match = _BIT_RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not float(match[1]):
        raise Wrong('a rate in kbit/s, Mbit/s or Gbit/s, such as "10 Gbit/s"')
    return float(match[1]) * _BITS[match[2].lower()] / 8
