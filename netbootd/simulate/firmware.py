"""What each kind of firmware says of itself, as real ones do (EDK2, iPXE, Intel's ROM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from uuid import UUID

from netbootd import arch, configfiles
from netbootd.arch import Arch
from netbootd.boot.client import Stage
from netbootd.dhcp.message import BROADCAST_FLAG, Message, MessageType, Op, Option
from netbootd.mac import MAC
from netbootd.registry.marks import UNMARKED, Marks

XID = 0x6E657462  # "netb": a simulated client needs no chance in it
_USER_CLASS = b"iPXE"
RPIBOOT = 41
#: Option 60 of those that are no PXE clients (u-boot net/bootp.c).
_VENDOR_CLASSES = {"uboot-arm32": "U-Boot.armv7", "uboot-arm64": "U-Boot.armv8", "opal": ""}
# Version 1.21.1, and the features PXE extensions, HTTP, DNS, TFTP, bzImage, ELF, menu (option 175).
_IPXE_OPTIONS = bytes.fromhex("eb03011501100102130101110101150101180101220101270101")
_IPXE_EFI = bytes.fromhex("240101")  # that it runs EFI programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """
    *undi* is the interface version in option 60, *tftp* the options its TFTP client asks for, and
    *marks* what it knows of its machine.
    """

    name: str
    arch: Arch
    undi: str
    stage: Stage = Stage.FIRMWARE
    tftp: Mapping[str, str]
    marks: Marks = UNMARKED

    @property
    def vendor_class(self) -> str:
        """Option 60; empty where it sends none."""
        if self.arch.family in _VENDOR_CLASSES:
            return _VENDOR_CLASSES[self.arch.family]
        kind = "HTTPClient" if self.stage is Stage.HTTP_BOOT else "PXEClient"
        return f"{kind}:Arch:{self.arch.number:05}:UNDI:{self.undi}"

    def discover(self, mac: MAC) -> Message:
        """Its DHCPDISCOVER."""
        options = {
            int(Option.MESSAGE_TYPE): bytes((MessageType.DISCOVER,)),
            int(Option.MAX_SIZE): (1500).to_bytes(2, "big"),
            55: bytes.fromhex("010306070c0f11122b3c4243808182838485868797"),
            int(Option.ARCH): self.arch.number.to_bytes(2, "big"),
            94: b"\x01\x03\x00",
            int(Option.UUID): b"\0" + self.uuid(mac),
            int(Option.VENDOR_CLASS): self.vendor_class.encode(),
        }
        if not self.vendor_class:
            del options[int(Option.VENDOR_CLASS)]
        if self.marks.client_id:
            options[int(Option.CLIENT_ID)] = _bytes(self.marks.client_id)
        if self.stage is Stage.IPXE:
            options[int(Option.USER_CLASS)] = _USER_CLASS
            efi = _IPXE_EFI if self.arch.efi else b""
            options[int(Option.IPXE)] = _IPXE_OPTIONS + efi
        return Message(
            op=Op.REQUEST,
            xid=XID,
            flags=BROADCAST_FLAG,
            chaddr=mac.ljust(16, b"\0"),
            options=options,
        )

    def request(self, mac: MAC, offer: Message) -> Message:
        """Its DHCPREQUEST for what was offered (RFC 2131, section 4.3.2: selecting)."""
        plain = self.discover(mac)
        options = {
            **plain.options,
            int(Option.MESSAGE_TYPE): bytes((MessageType.REQUEST,)),
            int(Option.REQUESTED_ADDRESS): offer.yiaddr.packed,
            int(Option.SERVER_ID): (offer.server_id or offer.siaddr).packed,
        }
        return plain._replace(options=options)

    def uuid(self, mac: MAC) -> bytes:
        """16 bytes of option 97: its SMBIOS UUID; of a Raspberry Pi something else (sightings)."""
        if self.arch.number == RPIBOOT:
            return b"RPi4" + bytes(4) + mac[2:] + bytes.fromhex(self.pi_serial(mac))[::-1]
        if self.marks.uuid:
            return UUID(self.marks.uuid).bytes_le
        return mac + bytes(10)

    def pi_serial(self, mac: MAC) -> str:
        """The last eight digits of a Raspberry Pi's serial number, or some that stand for them."""
        return configfiles.pi_serial(self.marks.serial.strip()[-8:]) or mac[2:].hex()

    def boot_server_request(self, mac: MAC, address: str) -> Message:
        """What it asks port 4011 once it has an *address*: a new xid, as EDK2 does."""
        plain = self.discover(mac)
        options = {**plain.options, int(Option.MESSAGE_TYPE): bytes((MessageType.REQUEST,))}
        return plain._replace(xid=XID + 1, flags=0, ciaddr=IPv4Address(address), options=options)


_BIOS = Firmware(name="BIOS PXE", arch=arch.BIOS, undi="002001", tftp={"blksize": "1456"})
_EFI = Firmware(
    name="UEFI PXE",
    arch=arch.EFI_X64,
    undi="003000",
    tftp={"tsize": "0", "blksize": "1468", "windowsize": "4"},
)
_IPXE = Firmware(
    name="iPXE in the card",
    arch=arch.BIOS,
    undi="002001",
    stage=Stage.IPXE,
    tftp={"blksize": "1432", "tsize": "0"},
)
_HTTP = Firmware(
    name="UEFI HTTP boot", arch=arch.EFI_X64_HTTP, undi="003000", stage=Stage.HTTP_BOOT, tftp={}
)

IPXE_TFTP = _IPXE.tftp
_U_BOOT = Firmware(name="U-Boot", arch=arch.BIOS, undi="", tftp={})
#: Those whose kind is said by their architecture.
_BY_FAMILY = {
    "uboot-arm32": _U_BOOT,
    "uboot-arm64": _U_BOOT,
    "opal": replace(_U_BOOT, name="petitboot"),
    "rpiboot": Firmware(name="Raspberry Pi", arch=arch.BIOS, undi="002001", tftp={}),
}
KINDS: Mapping[str, Firmware] = {"bios": _BIOS, "efi": _EFI, "ipxe": _IPXE, "http": _HTTP}


def firmware(kind: str, number: int | None, known: Marks = UNMARKED) -> Firmware:
    """One of KINDS, as another architecture where *number* (option 93) says so."""
    row = KINDS[kind].arch if number is None else arch.arch_of(number)
    return replace(_BY_FAMILY.get(row.family, KINDS[kind]), arch=row, marks=known)


def ipxe_on(loaded_by: Firmware) -> Firmware:
    """The iPXE that *loaded_by* has loaded: same machine, now with a user class."""
    number = loaded_by.arch.number
    tftp_number = {15: 6, 16: 7, 17: 9, 18: 10, 19: 11}.get(number, number)
    found = replace(_IPXE, name="iPXE", arch=arch.arch_of(tftp_number), undi=loaded_by.undi)
    return replace(found, marks=loaded_by.marks)


def _bytes(client_id: str) -> bytes:
    """Option 61 of how an entry spells it."""
    return bytes.fromhex(client_id.strip().lower().removeprefix("0x").translate({58: "", 45: ""}))
