"""
The PXE part of a request: who sent it, what it understands, and what it asks a boot server for.

Option 93 says what the firmware is and nothing else does, but for the BIOS of PXE 2.1: U-Boot
prints the number in option 60 in hexadecimal, and a loader that was started repeats there what the
last reply said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from netbootd.arch import BIOS, TABLE, Arch
from netbootd.boot.client import Client, Stage
from netbootd.dhcp.message import (
    HardwareType,
    Message,
    MessageType,
    Op,
    Option,
    dotted,
    sub_options,
)
from netbootd.dhcp.relay import relay_of
from netbootd.mac import MAC
from netbootd.registry.marks import Marks

# -- who is asking -----------------------------------------------------------------------------

_PXE, _HTTP = "PXEClient", "HTTPClient"  # PXE 2.1, section 2.2.1; UEFI 2.10, section 24.7
#: ``netbootd`` is what our own build says (firmware/README).
#: What firmware/build-ipxe has its iPXE say.
OUR_USER_CLASS = "netbootd"
_IPXE_USER_CLASSES = frozenset({"iPXE", "gPXE", OUR_USER_CLASS})
_IPXE_VENDOR_CLASSES = (b"iPXE", b"gPXE")
#: Before gPXE: it knows neither HTTP nor scripts, and takes an iPXE for its boot file.
_ETHERBOOT = "Etherboot"
_IPXE_FEATURES = frozenset(range(0x10, 0x30))  # iPXE, include/ipxe/features.h
_IPXE_HAS_HTTP = 0x13
_IPXE_VERSION = 0xEB  # iPXE, src/net/udp/dhcp.c: up to three bytes

#: Raspberry Pi's addresses (IEEE registry).  Its boot ROM claims to be a BIOS.
_PI_PREFIXES = tuple(
    bytes.fromhex(prefix) for prefix in ("b827eb", "dca632", "e45f01", "28cdc1", "d83add", "2ccf67")
)
_PI_UUID = b"\0RPi"
RPIBOOT = TABLE[41]


#: By one of these a netboot client gives itself away.
_SAYS = frozenset({Option.VENDOR_CLASS, Option.USER_CLASS, Option.IPXE})


def client_of(message: Message, ours: IPv4Address | None = None) -> Client | None:
    """
    Who sent *message*, or None: no netboot client, and none of our business.

    *ours* is our address on the interface it came in by.
    """
    if _stage_of(message) is None:
        return None
    return anybody(message, network_of(message, ours))


def anybody(message: Message, network: str) -> Client:
    """Who sent *message* from *network*, whether it boots or not; see ``Client``."""
    return Client(
        stage=_stage_of(message) or Stage.FIRMWARE,
        mac=mac_of(message),
        arch=_arch_of(message),
        address=dotted(message.ciaddr) if int(message.ciaddr) else "",
        uuid=message.uuid,
        client_id=identifier(message),
        network=network,
        features=features(message),
    )


def boots(message: Message) -> bool:
    """Whether *message* is of firmware or a loader, which takes a boot file from a DHCP server."""
    return _stage_of(message) is not None or is_other_firmware(message)


def as_said_by(client: Client) -> Message:
    """The least that a request of *client* would say: undo ``client_of``, for a look at one."""
    number = client.arch.number if client.arch else 0
    kind = _HTTP if client.stage is Stage.HTTP_BOOT else _PXE
    options = {
        int(Option.MESSAGE_TYPE): bytes((MessageType.DISCOVER,)),
        int(Option.VENDOR_CLASS): f"{kind}:Arch:{number:05}".encode(),
        int(Option.ARCH): number.to_bytes(2, "big"),
    }
    if client.stage is Stage.IPXE:
        options[int(Option.USER_CLASS)] = b"iPXE"
    chaddr = (client.mac or b"").ljust(16, b"\0")
    return Message(op=Op.REQUEST, chaddr=chaddr, options=options)


def marks_of(message: Message) -> Marks:
    """What the sender says of its machine, and its relay of where that is plugged in."""
    said = {"uuid": message.uuid, "client_id": identifier(message)}
    if relay := relay_of(message):
        said |= {"circuit_id": relay.circuit, "remote_id": relay.remote}
    return Marks.of(said, relayed=True)


def identifier(message: Message) -> str:
    """Option 61 in hexadecimal, ``ff:00:…``; empty where there is none."""
    return message.options.get(Option.CLIENT_ID, b"").hex(":")


def _stage_of(message: Message) -> Stage | None:
    if _SAYS.isdisjoint(message.options):
        return None
    if is_ipxe(message):
        return Stage.FIRMWARE if lacks_http(message) else Stage.IPXE
    if message.vendor_class.startswith(_HTTP):
        return Stage.HTTP_BOOT
    if message.vendor_class.startswith((_PXE, _ETHERBOOT)):
        return Stage.FIRMWARE
    return None


def _arch_of(message: Message) -> Arch | None:
    """Option 93; without it only the BIOS of PXE 2.1 is believed from the digits of option 60."""
    if Option.VENDOR_CLASS not in message.options:
        return message.arch
    if is_raspberry_pi(message):
        return RPIBOOT
    arch = message.arch
    if arch is None and message.vendor_class.startswith((f"{_PXE}:Arch:00000", _ETHERBOOT)):
        return BIOS
    return arch


def network_of(message: Message, ours: IPv4Address | None = None) -> str:
    """
    The address that tells where the sender is: what its relay says, else its own, else ours.
    """
    if relay := relay_of(message):
        return relay.place
    return "" if int(message.ciaddr) or ours is None else dotted(ours)


def is_ipxe(message: Message) -> bool:
    """iPXE or gPXE: by user class, by the options only they send, or by vendor class."""
    options = message.options
    if Option.IPXE in options:
        return True
    if Option.USER_CLASS in options and not _IPXE_USER_CLASSES.isdisjoint(message.user_classes):
        return True
    return options.get(Option.VENDOR_CLASS, b"").startswith(_IPXE_VENDOR_CLASSES)


def is_ours(message: Message) -> bool:
    """An iPXE that was built for us: by the user class that its own script takes."""
    return OUR_USER_CLASS in message.user_classes


def features(message: Message) -> frozenset[int] | None:
    """What an iPXE lists of what it can do, by the numbers of option 175; None for no list."""
    listed = message.options.get(Option.IPXE)
    return None if listed is None else _features(listed)


@lru_cache(maxsize=1024)
def _features(listed: bytes) -> frozenset[int] | None:
    found = dict(sub_options(listed)).keys() & _IPXE_FEATURES
    return frozenset(found) or None


def lacks_http(message: Message) -> bool:
    """Whether an iPXE lists its features and HTTP is not among them: it cannot fetch a script."""
    listed = features(message)
    return listed is not None and _IPXE_HAS_HTTP not in listed


def rom_of(message: Message) -> str:
    """The firmware's own words: option 60, and the version where it is an iPXE."""
    if Option.IPXE not in message.options:
        return message.vendor_class
    version = message.ipxe_options.get(_IPXE_VERSION, b"")
    of_ipxe = f" iPXE {'.'.join(map(str, version))}" if version else ""
    return f"{message.vendor_class}{of_ipxe}"


def is_raspberry_pi(message: Message) -> bool:
    """The Pi's own boot ROM; a Pi with UEFI firmware or iPXE says so and is like any other."""
    arch = message.arch
    if arch is not RPIBOOT:
        uuid = message.options.get(Option.UUID, b"")
        from_its_maker = message.chaddr.startswith(_PI_PREFIXES) or uuid.startswith(_PI_UUID)
        if not from_its_maker or (arch is not None and arch is not BIOS):
            return False
    return message.vendor_class.startswith(_PXE) and not is_ipxe(message)


_NO_NAMES: frozenset[str] = frozenset()  # one for all: each is an object of 200 bytes


def pi_serials(message: Message) -> frozenset[str]:
    """
    The names under which a Raspberry Pi asks for its files: the last four bytes of its UUID in
    either order, of which one is its serial number.  Model 3 has that four times.
    """
    uuid = message.options.get(Option.UUID, b"")
    if not is_raspberry_pi(message) or len(uuid) != 17:
        return _NO_NAMES
    last = uuid[-4:]
    if not any(last):
        return _NO_NAMES
    return frozenset({last.hex(), last[::-1].hex()})


# -- the machine's address ---------------------------------------------------------------------


def mac_of(message: Message) -> MAC | None:
    """
    The sender's Ethernet address; of InfiniBand the one that is made of its port's GUID.

    None where there is neither: EDK2 may send the system's UUID for an address (hlen 16).
    """
    if message.htype == HardwareType.INFINIBAND:
        guid = _port_guid(message)
        # As Mellanox' firmware and iPXE's IPoIB do (ipxe/ipxe src/drivers/net/ipoib.c).
        return MAC(guid[:3] + guid[5:]) if guid else None
    return message.mac


def _port_guid(message: Message) -> bytes:
    """
    RFC 4390: the hardware address does not fit, so hlen is 0 and option 61 ends in the GUID.

    Older iPXE has the GUID itself for its hardware address instead (src/net/udp/dhcp.c,
    dhcp_chaddr).
    """
    if len(identifier := message.options.get(Option.CLIENT_ID, b"")) >= _GUID:
        return identifier[-_GUID:]
    return message.chaddr[:_GUID] if message.hlen == _GUID else b""


_GUID = 8


def unsupported(message: Message) -> str | None:
    """Why nobody with this address can be helped, or None."""
    mac = mac_of(message)
    return f"{mac} is {mac.reserved}" if mac and mac.reserved else None


def addressed(message: Message) -> str:
    """The sender's address in words, for one that is no Ethernet card."""
    address = message.chaddr[: min(message.hlen, 16)].hex(":") or "none"
    return (
        f"hardware type {message.htype}, address {address}, "
        f"client identifier {identifier(message) or 'none'}"
    )


# -- who boots from the network, and not from a proxy ------------------------------------------

_POWER_OPAL, _OPEN_FIRMWARE = TABLE[14], TABLE[12]
_UBOOT = "U-Boot"
_NO_UNDI = b"\1\0\0"  # UNDI 0.0, as U-Boot writes it (net/bootp.c)


def is_other_firmware(message: Message) -> bool:
    """Whether what is no client of a proxy's is firmware or a loader, and no running system."""
    return Option.ARCH in message.options or message.vendor_class.startswith(_UBOOT)


def heeds_no_proxy(message: Message) -> bool:
    """
    U-Boot that starts EFI programs by itself: it says PXEClient, and nothing of the machine.

    EDK2 and iPXE send a UUID, and have an UNDI of some version (RFC 4578, section 2.2).
    """
    interface = message.options.get(Option.INTERFACE)
    return interface == _NO_UNDI and Option.UUID not in message.options


def beyond_a_proxy(message: Message, server: IPv4Address) -> str | None:
    """
    Why a client that wants to boot takes nothing from a proxy, and what its DHCP server must say
    then; None for one that does not boot from the network.
    """
    if message.message_type == MessageType.DISCOVER and message.vendor_class.startswith(_UBOOT):
        return (
            "U-Boot takes its boot file from the DHCP server alone (u-boot net/bootp.c): let that "
            f"one give it next-server {server} (siaddr) and, where a file is wanted, its name "
            "(option 67)"
        )
    if message.arch is _POWER_OPAL and message.message_type == MessageType.DISCOVER:
        return (
            "petitboot takes its configuration from the DHCP server alone: let that one give it "
            f"option 210 (path prefix) tftp://{server}/, or option 209 (configuration file)"
        )
    if message.arch is _OPEN_FIRMWARE and not message.vendor_class:
        return (
            "Open Firmware takes its boot file from the DHCP server alone: let that one give it "
            f"next-server {server} (siaddr) and the file's name (the header's file field)"
        )
    return None


# -- the boot item of a boot server request ----------------------------------------------------

_BOOT_ITEM = 71  # PXE 2.1, section 2.2.3: type and layer, two bytes each
_CREDENTIALS = 0x8000  # bit of the layer: the client wants the file's signature (BIS)


@dataclass(frozen=True, slots=True)
class BootItem:
    """What a client chose from a boot menu; a boot server repeats it in its answer."""

    encoded: bytes

    @property
    def wants_credentials(self) -> bool:
        """Asks for a signature, which nobody has made."""
        return bool(int.from_bytes(self.encoded[2:], "big") & _CREDENTIALS)

    @property
    def option(self) -> bytes:
        """Option 43 of the answer."""
        return bytes((_BOOT_ITEM, len(self.encoded))) + self.encoded + b"\xff"


def boot_item(message: Message) -> BootItem | None:
    """The boot item in option 43, if there is a whole one."""
    if Option.VENDOR_OPTIONS not in message.options:
        return None
    encoded = message.vendor_options.get(_BOOT_ITEM, b"")
    return BootItem(encoded) if len(encoded) == 4 else None
