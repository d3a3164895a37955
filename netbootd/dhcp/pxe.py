"""
The PXE part: what a request says about its client, and how each kind of client wants to be told
of its boot file.

``STYLES`` is the table of the second; a row changes with its source only.  The file is always in
the OFFER and in the answer on port 4011 alike, since some firmware reads one and some the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from netbootd.arch import BIOS, Arch
from netbootd.boot.client import Client, Stage
from netbootd.dhcp.message import Message, Option

# -- who is asking -----------------------------------------------------------------------------

_PXE, _HTTP = "PXEClient", "HTTPClient"  # PXE 2.1, section 2.2.1; UEFI 2.10, section 24.7
_IPXE_USER_CLASSES = frozenset({"iPXE", "gPXE"})
_IPXE_FEATURES = range(0x10, 0x30)  # iPXE, include/ipxe/features.h
_IPXE_HAS_HTTP = 0x13

#: Raspberry Pi's addresses (IEEE registry).  Its boot ROM claims to be a BIOS.
_PI_PREFIXES = tuple(
    bytes.fromhex(prefix) for prefix in ("b827eb", "dca632", "e45f01", "28cdc1", "d83add", "2ccf67")
)
_PI_UUID = b"\0RPi"


def client_of(message: Message) -> Client | None:
    """Who sent *message*, or None: no netboot client, and none of our business."""
    stage = _stage_of(message)
    if stage is None:
        return None
    return Client(
        stage=stage,
        mac=message.mac,
        arch=_arch_of(message),
        address=str(message.ciaddr) if int(message.ciaddr) else "",
        uuid=message.uuid,
    )


def _stage_of(message: Message) -> Stage | None:
    if is_ipxe(message):
        return Stage.FIRMWARE if lacks_http(message) else Stage.IPXE
    if message.vendor_class.startswith(_HTTP):
        return Stage.HTTP_BOOT
    if message.vendor_class.startswith(_PXE):
        return Stage.FIRMWARE
    return None


def _arch_of(message: Message) -> Arch | None:
    """Option 93; without it only the BIOS of PXE 2.1 is believed from the digits of option 60."""
    arch = message.arch
    if arch is None and message.vendor_class.startswith(f"{_PXE}:Arch:00000"):
        return BIOS
    return arch


def is_ipxe(message: Message) -> bool:
    """iPXE or gPXE: by user class, or by the options only they send."""
    if Option.IPXE in message.options:
        return True
    return any(name in _IPXE_USER_CLASSES for name in message.user_classes)


def lacks_http(message: Message) -> bool:
    """Whether an iPXE lists its features and HTTP is not among them: it cannot fetch a script."""
    features = message.ipxe_options.keys() & set(_IPXE_FEATURES)
    return bool(features) and _IPXE_HAS_HTTP not in features


def unsupported(message: Message) -> str | None:
    """Why no loader of ours can help this client, or None."""
    if is_raspberry_pi(message):
        return "a Raspberry Pi boots from a folder of files, not from a loader: not supported yet"
    mac = message.mac
    if mac is None:
        address = message.chaddr[: message.hlen].hex(":") or "none"
        identifier = message.options.get(Option.CLIENT_ID, b"").hex(":") or "none"
        return (
            f"machines are known by Ethernet address, this is hardware type {message.htype}, "
            f"address {address}, client identifier {identifier}"
        )
    return f"{mac} is {mac.reserved}" if mac.reserved else None


def is_raspberry_pi(message: Message) -> bool:
    """The Pi's own boot ROM; a Pi with UEFI firmware or iPXE says so and is like any other."""
    if is_ipxe(message) or (message.arch or BIOS) is not BIOS:
        return False
    from_its_maker = message.chaddr.startswith(_PI_PREFIXES)
    return from_its_maker or message.options.get(Option.UUID, b"").startswith(_PI_UUID)


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
    encoded = message.vendor_options.get(_BOOT_ITEM, b"")
    return BootItem(encoded) if len(encoded) == 4 else None


# -- how to tell it ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """
    One way to name a boot file.

    *vendor_options* is option 43 of an OFFER, *ipxe_options* option 175.  *boot_file_option* also
    puts the name into option 67, *named_server* our address into the field sname.
    """

    vendor_class: bytes = b"PXEClient"  # exactly: some firmware compares the length as well
    vendor_options: bytes = b""
    ipxe_options: bytes = b""
    boot_file_option: bool = False
    named_server: bool = True
    source: str


# Discovery control 8: take the file of this offer (PXE 2.1, section 2.2.3).
_TAKE_THIS = bytes.fromhex("060108")
_SILENT_PROMPT = bytes.fromhex("0a0400505845")  # timeout 0, "PXE"
_VENDOR_END = b"\xff"

STYLES: Mapping[str, Style] = {
    "iPXE": Style(
        vendor_options=_TAKE_THIS + _VENDOR_END,
        # Priority 1: where the DHCP server names a file too, iPXE would take that one.
        ipxe_options=bytes.fromhex("010101"),
        source="ipxe/ipxe src/net/udp/dhcp.c, dhcp_offer and dhcp_has_pxeopts; "
        "https://ipxe.org/cfg/priority",
    ),
    "HTTP boot": Style(
        vendor_class=b"HTTPClient",
        boot_file_option=True,
        named_server=False,
        source="tianocore/edk2 NetworkPkg/HttpBootDxe/HttpBootDhcp4.c: an offer counts with "
        "HTTPClient in 60 and a URL in 67 or file; older builds read only one of the two",
    ),
    "UEFI": Style(
        # No option 43: some firmware ignores offers that carry it (danderson/netboot,
        # pixiecore/dhcp.go).  EDK2 then asks again on port 4011.
        source="tianocore/edk2 NetworkPkg/UefiPxeBcDxe/PxeBcDhcp4.c, PxeBcRetryBinlOffer",
    ),
    "BIOS": Style(
        # With the prompt, since some ROMs take a bare control byte for a menu without entries.
        vendor_options=_TAKE_THIS + _SILENT_PROMPT + _VENDOR_END,
        source="PXE 2.1, section 2.2.3; dnsmasq src/rfc2131.c, pxe_opts",
    ),
}


def style_of(message: Message, client: Client) -> Style:
    """The row for a client."""
    if is_ipxe(message):
        return STYLES["iPXE"]
    if client.stage is Stage.HTTP_BOOT:
        return STYLES["HTTP boot"]
    return STYLES["UEFI" if client.arch and client.arch.efi else "BIOS"]


@dataclass(frozen=True, slots=True)
class Fields:
    """The boot part of a reply; *options* begin with 54 and stand in the order tested."""

    siaddr: IPv4Address
    sname: bytes
    file: bytes
    options: dict[int, bytes]


def fields(
    request: Message, style: Style, server: IPv4Address, file: str, vendor_options: bytes
) -> Fields:
    """Tell the sender of *request* to load *file*, a path or URL, from *server*."""
    in_header, in_option = _boot_file(file.encode(), style)
    options: dict[int, bytes] = {
        Option.SERVER_ID: server.packed,
        Option.VENDOR_CLASS: style.vendor_class,
        Option.UUID: _uuid_echo(request),
        Option.VENDOR_OPTIONS: vendor_options,
        Option.BOOT_FILE: in_option,
        Option.IPXE: style.ipxe_options,
        Option.CLIENT_ID: request.options.get(Option.CLIENT_ID, b""),  # RFC 6842
        Option.RELAY_AGENT: request.options.get(Option.RELAY_AGENT, b""),  # RFC 3046: the last
    }
    return Fields(
        siaddr=server,
        sname=str(server).encode() if style.named_server else b"",
        file=in_header,
        # An empty option 43 would make EDK2 drop the whole packet; no other is of use either.
        options={code: value for code, value in options.items() if value},
    )


def _uuid_echo(request: Message) -> bytes:
    """Option 97 as it came, if it has the one shape defined (RFC 4578, section 2.3)."""
    value = request.options.get(Option.UUID, b"")
    return value if len(value) == 17 and value[0] == 0 else b""


def _boot_file(name: bytes, style: Style) -> tuple[bytes, bytes]:
    """
    The header field and option 67; a name of more than 127 bytes fits the option only.

    The option ends in a NUL where there is room: EDK2 writes one over the next option otherwise
    (HttpBootDhcp4.c, PxeBcDhcp4.c), and some ROMs need it.
    """
    fits = len(name) <= 127
    if fits and not style.boot_file_option:
        return name, b""
    return name if fits else b"", name if len(name) >= 255 else name + b"\0"
