"""
Who is asking.  Each protocol makes a Client from its own words; from here on nobody knows which.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from netbootd.arch import Arch
from netbootd.mac import MAC


class Stage(Enum):
    """How far a client has come, which decides what it can be given next."""

    FIRMWARE = "firmware"  # PXE in the firmware: wants a loader by TFTP
    HTTP_BOOT = "HTTP boot"  # UEFI HTTP boot: wants a loader by URL
    IPXE = "iPXE"  # our loader, or an iPXE that lives in the card: wants a script


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """
    Whoever sent this packet, known or not.

    *mac* is None where the protocol cannot tell (a bare TFTP path from an unknown address);
    *address* is the client's own address in text, empty before it has one; *uuid* the SMBIOS UUID
    in its standard text form, lower case, empty where unknown.
    """

    stage: Stage
    mac: MAC | None = None
    arch: Arch | None = None
    address: str = ""
    uuid: str = ""
