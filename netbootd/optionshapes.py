"""
The shapes of values of DHCP options: how each is encoded, and what a person reads of it.

They are those of RFC 2132, and of the RFC that is named beside one.  A value that has not the shape
is a ValueError, whose text, if any, is what exactly is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any, NamedTuple

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253  # characters, RFC 1035, section 2.3.4


class Shape(NamedTuple):
    """How a value is encoded, and what the text of a finding says that it must be."""

    wanted: str
    encode: Callable[[Any], bytes]


def addresses(value: Any) -> bytes:
    """One IPv4 address, or an array of them."""
    return b"".join(_address(one) for one in _several(value))


def domains(value: Any) -> bytes:
    """Domain names as RFC 1035 has them, one after the other (RFC 3397, section 2)."""
    return b"".join(_domain(one) for one in _several(value))


def routes(value: Any) -> bytes:
    """
    Networks and their gateways, ``{"10.9.0.0/16": "10.1.0.254"}``: of each network as many bytes
    as its prefix has (RFC 3442).
    """
    if not isinstance(value, dict):
        raise ValueError
    found = b""
    for written, gateway in value.items():
        network = IPv4Network(written.strip())
        used = (network.prefixlen + 7) // 8
        found += bytes([network.prefixlen]) + network.network_address.packed[:used]
        found += _address(gateway)
    return found


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _address(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError
    try:
        return IPv4Address(value.strip()).packed
    except ValueError:
        raise ValueError(f"{value!r:.40} is none") from None


def _one_address(value: Any) -> bytes:
    if isinstance(value, list) and len(value) != 1:
        raise ValueError
    return addresses(value)


def _pairs(value: Any) -> bytes:
    """Two addresses each, as ``"10.0.0.0 255.0.0.0"`` or as a pair of an array."""
    flat: list[str] = []
    for one in _several(value):
        if not isinstance(one, str):
            raise ValueError
        flat += one.split()
    if len(flat) % 2:
        raise ValueError("there is one left over")
    return addresses(flat)


def _text(value: Any) -> bytes:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value.encode()


def _domain(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError
    labels = value.strip().rstrip(".").split(".")
    if len(value) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{value!r:.60} is none")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def _domain_name(value: Any) -> bytes:
    _domain(value)
    return str(value).strip().rstrip(".").encode()


def _flag(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise ValueError
    return bytes([value])


def _number(size: int, low: int, high: int) -> Callable[[Any], bytes]:
    def encoded(value: Any) -> bytes:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value.to_bytes(size, "big", signed=low < 0)

    return encoded


def _numbers(size: int, low: int, high: int) -> Callable[[Any], bytes]:
    one = _number(size, low, high)
    return lambda value: b"".join(one(item) for item in _several(value))


def _hex(value: Any) -> bytes:
    """Without the ``0x`` as well: ``"01:02:0a"``."""
    if not isinstance(value, str):
        raise ValueError
    return bytes.fromhex(value.replace(":", " "))


def _any(value: Any) -> bytes:
    """Of an option of which no shape is known: addresses, or else text."""
    if isinstance(value, list):
        return addresses(value)
    if not isinstance(value, str):
        raise ValueError
    try:
        return _address(value)
    except ValueError:
        return _text(value)


def _slp(value: Any) -> bytes:
    """RFC 2610: a byte that says whether the addresses alone count, then the addresses."""
    return b"\0" + addresses(value)


IP = Shape("one IPv4 address", _one_address)
IPS = Shape("an IPv4 address or an array of them", addresses)
PAIRS = Shape('pairs of addresses such as "10.0.0.0 10.1.0.1"', _pairs)
TEXT = Shape("text", _text)
NAME = Shape('a domain name such as "example.net"', _domain_name)
NAMES = Shape('a domain name such as "example.net" or an array of them', domains)
FLAG = Shape("true or false", _flag)
U8 = Shape("a whole number from 0 to 255", _number(1, 0, 0xFF))
U16 = Shape("a whole number from 0 to 65535", _number(2, 0, 0xFFFF))
U32 = Shape("a whole number from 0 to 4294967295", _number(4, 0, 0xFFFFFFFF))
S32 = Shape("a whole number of seconds", _number(4, -(1 << 31), (1 << 31) - 1))
MTU = Shape("a whole number from 68 to 65535", _number(2, 68, 65535))
U16S = Shape("a whole number from 0 to 65535 or an array of them", _numbers(2, 0, 0xFFFF))
ROUTES = Shape('an object such as {"10.9.0.0/16": "10.1.0.254"}', routes)
BYTES = Shape('bytes in hexadecimal such as "0x01020a"', _hex)
SLP = Shape("an IPv4 address or an array of them", _slp)
ANY = Shape(
    'text, an address, an array of addresses or "0x…" in hexadecimal, as its shape is not known',
    _any,
)


def as_text(shape: Shape, data: bytes) -> str:
    """*data* as a person reads it; hexadecimal where it does not fit *shape*."""
    if shape in (IP, IPS) and len(data) % 4 == 0:
        each = (str(IPv4Address(data[at : at + 4])) for at in range(0, len(data), 4))
        return ", ".join(each)
    if shape in (U8, U16, U32, S32, MTU) and len(data) <= 4:
        return str(int.from_bytes(data, "big", signed=shape is S32))
    if shape is NAMES and (names := _names(data)):
        return ", ".join(names)
    if shape is ROUTES and (told := _routes(data)):
        return ", ".join(told)
    text = data.decode("ascii", "replace")
    if shape in (TEXT, NAME, ANY) and text.isascii() and text.isprintable():
        return text
    return f"0x{data.hex()}"


def _names(data: bytes) -> list[str]:
    """As domains encodes them; empty for anything else."""
    labels: list[str] = [""]
    while data:
        size, label, data = data[0], data[1 : 1 + data[0]], data[1 + data[0] :]
        if not label.isascii() or len(label) != size:
            return []
        labels[-1] += f"{label.decode()}." if size else ""
        labels += [""] if not size else []
    return [name.removesuffix(".") for name in labels if name]


def _routes(data: bytes) -> list[str]:
    """As routes encodes them; empty for anything else."""
    found = []
    while data:
        length = data[0]
        used = (length + 7) // 8
        if length > 32 or len(data) < used + 5:
            return []
        network = IPv4Address(data[1 : used + 1].ljust(4, b"\0"))
        found.append(f"{network}/{length} via {IPv4Address(data[used + 1 : used + 5])}")
        data = data[used + 5 :]
    return found
