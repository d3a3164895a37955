"""
The name that a client is known by: its machine's, else its own word where that is a name
(RFC 1123, section 2.1) in option 12, or in option 81 (RFC 4702).
"""

from __future__ import annotations

import re
from typing import Any

from netbootd.dhcp.message import Message, Option
from netbootd.registry.machine import Machine

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ENCODED = 0x04  # option 81's flag E: the name is in DNS's own encoding
_BEFORE_NAME = 3  # octets of option 81: flags, and two that mean nothing any more


def name_of(request: Message, machine: Machine | None) -> str:
    """The first label of the name, in lower case; empty for none."""
    own: Any = machine.variables.get("hostname") if machine else None
    if isinstance(own, str) and (name := _label(own)):
        return name
    return _label(request.text(Option.HOST_NAME)) or _label(_told(request))


def _told(request: Message) -> str:
    """What option 81 says."""
    said = request.options.get(Option.CLIENT_NAME, b"")
    flags, name = said[:1], said[_BEFORE_NAME:]
    if flags and flags[0] & _ENCODED:
        name = name[1 : 1 + name[0]] if name else b""
    return name.decode("latin-1")


def _label(said: str) -> str:
    label = said.strip().partition(".")[0].lower()
    return label if _LABEL.fullmatch(label) else ""
