"""Names, addresses and identifiers of machines as other servers write them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from netbootd.mac import MAC
from netbootd.macslips import slip

NO_LOOK_UP = "a name stands there, which is not looked up here: write the address"

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_LONGEST = 253  # characters, RFC 1035, section 2.3.4


def hostname(text: str) -> str:
    """*text* where it is a name that a host may have (RFC 1123, section 2.1), else nothing."""
    text = text.strip()
    if len(text) > _LONGEST or not _HOSTNAME.fullmatch(text) or address(text) is not None:
        return ""
    return text.rstrip(".")


def address(text: str) -> IPv4Address | None:
    """An IPv4 address, or None."""
    try:
        return IPv4Address(text.strip())
    except ValueError:
        return None


def mac(text: str) -> MAC | None:
    """The address of a card that a machine may have, in any spelling, or None."""
    found = MAC.maybe(text)
    return found if found is not None and not found.reserved else None


def no_mac(text: str) -> str:
    """Why no machine is known by *text*."""
    told = slip(text)
    return f"it is no MAC of Ethernet: {told}" if told else "only MACs of Ethernet are taken"


def octets(text: str) -> str:
    """Bytes in hexadecimal, with colons, blanks or 0x or without, as ``01:02``; else nothing."""
    plain = text.strip().lower().removeprefix("0x")
    parts = re.split(r"[:\s.-]+", plain)
    joined = "".join(part.zfill(2) for part in parts) if len(parts) > 1 else plain
    try:
        return bytes.fromhex(joined).hex(":")
    except ValueError:
        return ""


def client_id(text: str) -> str:
    """
    Option 61 in hexadecimal: octets as they stand, anything else the bytes of that text, as dnsmasq
    and pfSense take it.
    """
    if ":" in text and (found := octets(text)):
        return found
    return text.encode().hex(":")
