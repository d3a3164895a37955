"""
MAC addresses: every spelling in, one spelling out.

The spellings are those met in the field: the colons of iPXE's ``${net0/mac}``, the percent signs
an older iPXE puts in their place (builds before November 2021), the hyphens of ``${mac:hexhyp}``
and Windows, the ``01-`` that PXELINUX puts in front (RFC 1700 hardware type), the bare digits of
firmware screens, the dots of switches, and the single digits that illumos prints.
"""

from __future__ import annotations

import re
import secrets
from typing import Self

_OCTETS = re.compile(r"[0-9a-f]{1,2}(?:([:-])[0-9a-f]{1,2}(?:\1[0-9a-f]{1,2}){4})")
_HARDWARE_TYPE = re.compile(r"01([:-])(?=[0-9a-f]{2}(?:\1[0-9a-f]{2}){5}$)")
_CISCO = re.compile(r"[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}")
_USUAL = (":::::", "-----")
_BARE = re.compile(r"(?:01)?([0-9a-f]{12})")
#: How those that nobody has begin: locally administered, and of no maker of virtual machines.
_MADE_UP = bytes.fromhex("026e62")


class MAC(bytes):
    """
    Six octets; prints lower case with colons.

    >>> str(MAC.parse("00-25-90-27-DB-B4"))
    '00:25:90:27:db:b4'
    """

    __slots__ = ()

    def __new__(cls, octets: bytes) -> Self:
        if len(octets) != 6:
            raise ValueError(f"a MAC has 6 octets, not {len(octets)}")
        return super().__new__(cls, octets)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read any spelling; raises ValueError with a hint for everything else."""
        if len(text) == 17 and (between := text[2::3]) in _USUAL:
            try:  # for files of 100,000, and storms of scripts: a context manager costs more
                return cls(bytes.fromhex(text.replace(between[0], "")))
            except ValueError:
                pass
        plain = text.strip().lower().replace("%3a", ":").removeprefix("mac=")
        plain = _HARDWARE_TYPE.sub("", plain)
        if _OCTETS.fullmatch(plain):
            return cls(bytes(int(octet, 16) for octet in re.split("[:-]", plain)))
        if _CISCO.fullmatch(plain):
            return cls(bytes.fromhex(plain.replace(".", "")))
        if match := _BARE.fullmatch(plain):
            return cls(bytes.fromhex(match[1]))
        raise ValueError(f"{text!r} is not a MAC; six octets such as 00:25:90:27:db:b4 expected")

    @classmethod
    def maybe(cls, text: str) -> Self | None:
        """Like parse, but None for what is no MAC."""
        try:
            return cls.parse(text)
        except ValueError:
            return None

    def __str__(self) -> str:
        return self.hex(":")

    def __repr__(self) -> str:
        return f"MAC({self})"

    @property
    def dashed(self) -> str:
        """``00-25-90-27-db-b4``: safe in file names and URLs of every client."""
        return self.hex("-")

    @property
    def raw(self) -> str:
        """``00259027dbb4``."""
        return self.hex()

    @classmethod
    def make_up(cls) -> Self:
        """One by chance for a machine that there is not, as ``netbootd doctor`` asks for."""
        return cls(_MADE_UP + secrets.token_bytes(3))

    @property
    def is_made_up(self) -> bool:
        """Whether it is one of ``make_up``, here or on another host."""
        return self[:3] == _MADE_UP

    @property
    def reserved(self) -> str | None:
        """Why no machine can have this address, or None."""
        if self == bytes(6):
            return "the all-zero address"
        if self == b"\xff" * 6:
            return "the broadcast address"
        if self[0] & 1:
            return "a multicast address (lowest bit of the first octet is set)"
        return None
