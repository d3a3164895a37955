"""
Answers of DHCP, TFTP and HTTP in the same words, so that any two can be held beside each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from netbootd.dhcp.message import Message, Option, sub_options
from netbootd.printable import printable
from netbootd.tftp import wire as tftp

_LONGEST = 400

#: Options of a reply that tell a machine how to boot, by number, and what they are called.
BOOT_OPTIONS: Mapping[int, str] = {
    13: "boot file size",
    43: "vendor options",
    54: "server identifier",
    60: "vendor class",
    66: "TFTP server name",
    67: "boot file",
    93: "architecture",
    97: "UUID",
    150: "TFTP server address",
    175: "iPXE options",
    209: "PXELINUX configuration",
    210: "PXELINUX path prefix",
}
_TOKEN = re.compile(r"\btoken=[\w-]+")
_SERVER = f"54 {BOOT_OPTIONS[54]}"
_TEXTS = frozenset({60, 66, 67, 209, 210})
_ADDRESSES = frozenset({54, 150})
#: Sub-options of 43 (PXE 2.1, section 2.2.3).
_VENDOR_NAMES = {
    6: "discovery control",
    7: "multicast address",
    8: "boot servers",
    9: "menu",
    10: "prompt",
    71: "boot item",
}


class Difference(NamedTuple):
    """Of one field, as text; empty where one has it not."""

    field: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """
    One answer: *what* it is in a word, *by* whom, and its *fields* as text.

    *number* and *at* are of its packet, 0 for ours.  *boots*: it tells how to boot, which the
    answer of a DHCP server need not.  *because* are our reasons.  *cut*: the capture has not all
    of it.
    """

    what: str
    by: str
    fields: Mapping[str, str] = field(default_factory=dict)
    number: int = 0
    at: float = 0.0
    boots: bool = True
    because: tuple[str, ...] = ()
    cut: bool = False


def differences(ours: Said, theirs: Said) -> tuple[Difference, ...]:
    """
    Field by field, in our order, then theirs; none is that another answers (option 54), or that
    the token of the boot is another.
    """
    names = dict.fromkeys((*ours.fields, *theirs.fields))
    if theirs.fields.get(_SERVER) == theirs.by:
        names.pop(_SERVER)
    found = [
        Difference(name, one, other)
        for name in names
        if (one := _plain(ours, name)) != (other := _plain(theirs, name))
    ]
    if ours.what != theirs.what:
        found.insert(0, Difference("answer", ours.what, theirs.what))
    return tuple(found)


def _plain(said: Said, name: str) -> str:
    return _TOKEN.sub("token=…", said.fields.get(name, ""))


# -- DHCP --------------------------------------------------------------------------------------


def tells_to_boot(reply: Message) -> bool:
    """Whether *reply* is about booting, and not about an address alone."""
    options = (43, 60, 66, 67, 150, 175, 209, 210)
    return bool(reply.file) or any(code in reply.options for code in options)


def of_message(reply: Message) -> dict[str, str]:
    """The fields of a DHCP reply that a booting machine looks at; empty ones left out."""
    told = {
        "siaddr": str(reply.siaddr) if int(reply.siaddr) else "",
        "sname": _text(reply.sname),
        "file": _text(reply.file),
        "flags": "broadcast" if reply.flags & 0x8000 else "",
    }
    for code, name in BOOT_OPTIONS.items():
        if code in reply.options:
            told[f"{code} {name}"] = _option(code, reply.options[code])
    return {name: text for name, text in told.items() if text}


def _option(code: int, value: bytes) -> str:
    if code in _TEXTS:
        return _text(value.rstrip(b"\0"))
    if code in _ADDRESSES and value and len(value) % 4 == 0:
        return ", ".join(".".join(map(str, value[at : at + 4])) for at in range(0, len(value), 4))
    if code == Option.VENDOR_OPTIONS:
        return vendor_options(value)
    if code == Option.UUID and len(value) == 17 and not value[0]:
        return str(UUID(bytes_le=value[1:]))  # as RFC 4578, section 2.3, has its bytes
    return value.hex(" ")[:_LONGEST]


def vendor_options(value: bytes) -> str:
    """Option 43: its sub-options by name, or all of it in hexadecimal where there are none."""
    found = [_vendor_option(code, data) for code, data in sub_options(value)]
    return "; ".join(found)[:_LONGEST] if found else value.hex(" ")[:_LONGEST]


def _vendor_option(code: int, data: bytes) -> str:
    name = _VENDOR_NAMES.get(code, "")
    label = f"{code} {name}" if name else str(code)
    words = "".join(chr(byte) for byte in data if 32 <= byte < 127)
    said = f' "{words}"' if code in (9, 10) and words else ""
    return f"{label} = {data.hex(' ')}{said}"


def _text(value: bytes) -> str:
    return printable(value.decode("latin-1"), _LONGEST)


# -- TFTP --------------------------------------------------------------------------------------


def of_packet(packet: tftp.Packet) -> tuple[str, dict[str, str], str]:
    """
    The first answer to a read request: what it is, its fields, and the text of an ERROR, which is
    for people and no difference.
    """
    match packet:
        case tftp.OptionAck(options):
            told = {printable(name, 40): printable(value, 40) for name, value in options.items()}
            return "OACK", told, ""
        case tftp.Data(block):
            return f"DATA {block}", {}, ""
        case tftp.Error(code, text):
            return f"ERROR {code}", {}, printable(text)
    return type(packet).__name__, {}, ""
