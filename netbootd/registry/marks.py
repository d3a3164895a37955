"""
What tells a machine apart beside its MAC: ``client_id`` from DHCP (option 61), from SMBIOS
``uuid``, ``serial`` and ``asset``, and ``circuit_id`` and ``remote_id`` from a relay (option 82,
RFC 3046): the port of a switch, and the switch.

Switches count their ports from 1, so that of a machine which says both, both must fit.  What is in
them is theirs to choose, text or bytes; bytes are spelt ``0x0004000a0107`` here.

An InfiniBand card has no MAC, and a client identifier that ends in the GUID of its port (RFC 4390).
What stands before that differs from one program to the next, so the last eight bytes are compared:
the GUID alone names the card as well.

A UUID is met in two byte orders: its first three fields are little-endian in SMBIOS and in DHCP
option 97 (RFC 4578, section 2.3), and some programs print the bytes as they come (PXELINUX,
https://wiki.syslinux.org/wiki/index.php?title=PXELINUX).  Both spellings are one UUID here.

A Raspberry Pi's option 97 is no UUID.  Its boot ROM repeats the serial number four times; later
models say ``RPi4`` or ``RPi5``, then revision, the last four bytes of the MAC, and the serial
number, four bytes each
(https://www.raspberrypi.com/documentation/computers/raspberry-pi.html, DHCP_OPTION97).

Boards leave the factory with the same UUID or the same serial number by the thousand.  Those that
inventory programs know as such (GLPI keeps a list: glpi-project/glpi, src/Blacklist.php) tell no
machine apart and never match.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

#: Names of the marks, the most reliable first: the order in which they are looked at.
MARKS = ("uuid", "client_id", "serial", "asset", "circuit_id", "remote_id")
#: What a client says of itself.
OWN_MARKS = MARKS[:4]
#: Characters that are kept of what a client says; SMBIOS strings are shorter.
MOST = 128

_GUID = 8  # bytes of an InfiniBand port's GUID
_SHORTEST_ID = 2  # bytes, RFC 2132, section 9.14
_UUID_DIGITS = 32
_SLIPS = 2  # of the fingers, in a UUID

#: In lower case.
_SHARED_STRINGS = frozenset(
    {
        *("none", "n/a", "na", "null", "empty", "unknown", "invalid", "default", "oem", "o.e.m."),
        *("not specified", "not applicable", "not available", "default string"),
        *("to be filled by o.e.m.", "to be filled by oem", "(null string)"),
        *("system serial number", "chassis serial number", "base board serial number"),
        *("no asset tag", "no asset information", "asset tag", "asset-1234567890"),
        *("0123456789", "12345", "123456", "123456789", "1234567890"),
    }
)


@dataclass(frozen=True, slots=True)
class Marks:
    """What a client says of itself, in its own words; empty where that tells no machine apart."""

    uuid: str = ""
    serial: str = ""
    asset: str = ""
    client_id: str = ""
    circuit_id: str = ""
    remote_id: str = ""

    @classmethod
    def of(cls, said: Mapping[str, str], *, relayed: bool = False) -> Self:
        """
        The marks among *said*, such as the query of a URL; those of a relay only where it was
        *relayed*: no client is asked where it is plugged in.
        """
        words = MARKS if relayed else OWN_MARKS
        found = {mark: said[mark].strip()[:MOST] for mark in words if said.get(mark)}
        return cls(**{mark: text for mark, text in found.items() if normal(mark, text)})

    def over(self, older: Marks) -> Marks:
        """These, and those of *older* that are missing here."""
        if self == UNMARKED:
            return older
        if older is UNMARKED:
            return self
        return Marks(
            self.uuid or older.uuid,
            self.serial or older.serial,
            self.asset or older.asset,
            self.client_id or older.client_id,
            self.circuit_id or older.circuit_id,
            self.remote_id or older.remote_id,
        )


UNMARKED = Marks()


def told(mark: str, text: str) -> str:
    """What is kept of a *text* that was said as *mark*; empty where it tells no machine apart."""
    text = text.strip()[:MOST]
    return text if text and normal(mark, text) else ""


def parse(mark: str, text: str) -> str:
    """
    *text* in the one spelling that is compared; raises ValueError with the reason if it tells no
    machine apart.
    """
    return _PARSE.get(mark, _string)(text)


@functools.lru_cache(maxsize=8192)
def normal(mark: str, text: str) -> str:
    """Like parse, but empty for what tells no machine apart.  Asked many times in one boot."""
    try:
        return parse(mark, text)
    except ValueError:
        return ""


def spelt(data: bytes) -> str:
    """What a relay says of a port or of itself, as admins write it: text, or hexadecimal."""
    text = data.decode("ascii", "replace")
    if text.isascii() and text.isprintable() and text.strip() == text and text:
        return text
    return f"0x{data.hex()}" if data else ""


def port(circuit_id: str, remote_id: str) -> str:
    """A port of one switch alone, as it is compared."""
    return f"{_relayed(circuit_id)}\0{_relayed(remote_id)}"


@functools.lru_cache(maxsize=8192)
def pi_serials(uuid: str) -> tuple[str, ...]:
    """
    The serial number in a Pi's option 97, in both orders of its bytes; none for another's.

    DHCP's *uuid* has its first fields turned, as those of every UUID are on the wire.
    """
    said = _bytes(uuid)
    last = said[12:]
    if said[8:12] != last and b"RPi" not in (said[:3], said[3:0:-1]):
        return ()
    for option in (said[3::-1] + said[5:3:-1] + said[7:5:-1] + said[8:], said):
        if option[:3] == b"RPi" or option == last * 4:
            return last.hex(), last[::-1].hex()
    return ()


def _uuid(text: str) -> str:
    try:
        said = _bytes(text.strip())
    except ValueError:
        raise ValueError(f"{text!r:.60} is no UUID of 32 hexadecimal digits") from None
    found = _one_order(said)
    if said.count(said[0]) == len(said) or found in _SHARED_UUIDS:
        told = "is what boards have whose maker did not give them one"
        raise ValueError(f"{UUID(bytes=said)} {told}")
    return found


def resembles_uuid(text: str) -> bool:
    """
    Whether *text* is no UUID, but probably meant as one: but for two of its digits or so.

    One with a character behind it that is no digit is switched off, as a MAC is by that.
    """
    digits = re.sub("[^0-9a-zA-Z]", "", text)
    foreign = len(re.sub("[0-9a-fA-F]", "", digits))
    whole = re.sub("[^0-9a-fA-F]$", "", text.strip())
    try:
        _bytes(whole)
    except ValueError:
        return foreign <= _SLIPS and abs(len(digits) - _UUID_DIGITS) <= _SLIPS
    return False


@functools.lru_cache(maxsize=64)
def _bytes(text: str) -> bytes:
    """Those of a UUID; raises ValueError.  uuid.UUID takes long, and this is for each packet."""
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        digits = text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
        if digits.isalnum():
            return bytes.fromhex(digits)
    return UUID(text).bytes


def _client_id(text: str) -> str:
    plain = text.strip().lower().removeprefix("0x").replace(":", "").replace("-", "")
    try:
        identifier = bytes.fromhex(plain)
    except ValueError:
        raise ValueError(f"{text!r:.60} is not hexadecimal") from None
    if len(identifier) < _SHORTEST_ID or not any(identifier[-_GUID:]):
        raise ValueError(f"{text!r:.60} is too short, or nothing but zeros")
    return identifier[-_GUID:].hex(":")


def _relayed(text: str) -> str:
    plain = text.strip()
    if not plain:
        raise ValueError("it is empty")
    if not re.fullmatch(r"0[xX](?:[0-9A-Fa-f]{2})+", plain):
        return plain
    return spelt(bytes.fromhex(plain[2:]))


def _one_order(said: bytes) -> str:
    """The same text for both byte orders of a UUID."""
    turned = said[3::-1] + said[5:3:-1] + said[7:5:-1] + said[8:]
    digits = min(said, turned).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _string(text: str) -> str:
    plain = " ".join(text[:MOST].split()).lower()
    if not plain:
        raise ValueError("it is empty")
    if plain in _SHARED_STRINGS or len(set(plain)) == 1:
        raise ValueError(f'"{plain}" is what boards have whose maker did not give them one')
    return plain


_PARSE: Mapping[str, Callable[[str], str]] = {
    "uuid": _uuid,
    "client_id": _client_id,
    "circuit_id": _relayed,
    "remote_id": _relayed,
}
_SHARED_UUIDS = frozenset(
    _one_order(UUID(text).bytes)
    for text in (
        "03000200-0400-0500-0006-000700080009",
        "6ab5b300-538d-1014-9fb5-b0684d007b53",
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
    )
)
