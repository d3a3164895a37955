"""
Who is asking.  Each protocol makes a Client from its own words; from here on nobody knows which.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from netbootd.arch import Arch
from netbootd.mac import MAC
from netbootd.registry.marks import UNMARKED, Marks


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
    *address* is the client's own address in text, empty before it has one.  *uuid*, *serial* and
    *asset* are what SMBIOS calls the machine, *client_id* is what DHCP knows it by (option 61), in
    any spelling, *circuit_id* and *remote_id* what its relay says of where it is plugged in; each
    empty where unknown.

    *network* is an address of the subnet it is in, where DHCP knows that before it has one of its
    own.  *features* are what an iPXE says it can do, by the numbers of option 175 (iPXE,
    include/ipxe/features.h); None where it does not say.

    *asks*: it is there, and what is made goes to it: secrets are in their places.  Whoever only
    looks at what a machine would get has stand-ins for them (``secretvalues``).
    """

    stage: Stage
    mac: MAC | None = None
    arch: Arch | None = None
    address: str = ""
    uuid: str = ""
    serial: str = ""
    asset: str = ""
    client_id: str = ""
    circuit_id: str = ""
    remote_id: str = ""
    network: str = ""
    features: frozenset[int] | None = None
    asks: bool = False

    @property
    def link(self) -> str:
        """The address that tells its subnet."""
        return self.network or self.address

    def marked(self, marks: Marks) -> Client:
        """The same client, known to have *marks*."""
        if marks == UNMARKED:
            return self
        return Client(  # dataclasses.replace takes three times as long, and this is for each packet
            stage=self.stage,
            mac=self.mac,
            arch=self.arch,
            address=self.address,
            uuid=marks.uuid,
            serial=marks.serial,
            asset=marks.asset,
            client_id=marks.client_id,
            circuit_id=marks.circuit_id,
            remote_id=marks.remote_id,
            network=self.network,
            features=self.features,
            asks=self.asks,
        )
