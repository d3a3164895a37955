"""
The reply styles: how each kind of firmware wants to be told of its boot file, and which it is told
first.

``STYLES`` has the bytes; ``TABLE`` the order in which styles are tried, by what the firmware is,
the maker of its card and its own words.  A row of either changes with its source only.  Whatever
the style, the file is the same in the OFFER and in the answer on port 4011, since some firmware
reads one and some the other.

Pure.  What an admin chose counts before what was learned (``record/styles``), and that before the
table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address

from netbootd import replies
from netbootd.boot.client import Client, Stage
from netbootd.config import ProxyDhcp
from netbootd.dhcp import pxe
from netbootd.dhcp.message import Message
from netbootd.mac import MAC
from netbootd.record.styles import NO_PAST, Chosen, Kind, Past, choose
from netbootd.registry.machine import Machine
from netbootd.registry.subnets import ELSEWHERE, Subnet

# -- option 43, PXE 2.1, section 2.2.3 ---------------------------------------------------------

# Discovery control 8: take the file of this offer.
_TAKE_THIS = bytes.fromhex("060108")
# Discovery control 3: look for boot servers neither by broadcast nor by multicast.
_ASK_NOBODY = bytes.fromhex("060103")
_SILENT_PROMPT = bytes.fromhex("0a0400505845")  # take the first line after 0 s, "PXE"
_VENDOR_END = b"\xff"
_SERVERS, _MENU = 8, 9
_OUR_TYPE = 0x8000  # of boot server: 0 to 14 and 65535 are assigned
_LOCAL_DISK = 0


def _line(type_: int, text: str) -> bytes:
    return type_.to_bytes(2, "big") + bytes((len(text),)) + text.encode()


def _menu(*lines: bytes) -> bytes:
    joined = b"".join(lines)
    return bytes((_MENU, len(joined))) + joined


# Two lines: a Realtek firmware boots with no fewer (WillChamness/Dnsmasq-PXE#3).
_BOOT_MENU = _menu(_line(_OUR_TYPE, "Network boot"), _line(_LOCAL_DISK, "Local disk"))


def _servers(server: IPv4Address) -> bytes:
    one = _OUR_TYPE.to_bytes(2, "big") + b"\1" + server.packed
    return bytes((_SERVERS, len(one))) + one


# -- the styles --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """
    One way to name a boot file, by its *name* of ``replies``.

    *vendor* is option 43 of an OFFER, but for *lists_us*: a list of boot servers, which is us.
    *ipxe_options* is option 175.  *boot_file_option* also puts the name into option 67,
    *named_server* our address into the field sname, *server_option* into option 66.  *with_file*
    is False where the client goes by names of its own.
    """

    name: str
    vendor_class: bytes = b"PXEClient"  # exactly: some firmware compares the length as well
    vendor: bytes = b""
    lists_us: bool = False
    ipxe_options: bytes = b""
    boot_file_option: bool = False
    named_server: bool = True
    server_option: bool = False
    with_file: bool = True
    source: str

    def vendor_options(self, server: IPv4Address) -> bytes:
        """Option 43 of an OFFER of *server*."""
        if not self.lists_us:
            return self.vendor
        return _ASK_NOBODY + _servers(server) + self.vendor


STYLES: Mapping[str, Style] = {
    style.name: style
    for style in (
        Style(
            name=replies.DIRECT,
            # With the prompt, since some ROMs take a bare control byte for a menu without entries.
            vendor=_TAKE_THIS + _SILENT_PROMPT + _VENDOR_END,
            source="PXE 2.1, section 2.2.3; dnsmasq src/rfc2131.c, pxe_opts; "
            "https://github.com/tianocore/edk2/issues/8149",
        ),
        Style(
            name=replies.BOOT_SERVER,
            # EDK2 then asks again on port 4011, whatever file the offer names.
            source="tianocore/edk2 NetworkPkg/UefiPxeBcDxe/PxeBcDhcp4.c, PxeBcRetryBinlOffer; "
            "danderson/netboot pixiecore/dhcp.go",
        ),
        Style(
            name=replies.MENU,
            lists_us=True,
            vendor=_BOOT_MENU + _SILENT_PROMPT + _VENDOR_END,
            source="PXE 2.1, section 2.2.3; tianocore/edk2 NetworkPkg/UefiPxeBcDxe/PxeBcBoot.c, "
            "PxeBcSelectBootPrompt; https://github.com/WillChamness/Dnsmasq-PXE/issues/3",
        ),
        Style(
            name=replies.RASPBERRY_PI,
            vendor=_ASK_NOBODY
            + _SILENT_PROMPT
            + _menu(_line(_LOCAL_DISK, "Raspberry Pi Boot"))
            + _VENDOR_END,
            server_option=True,
            with_file=False,
            source="raspberrypi/documentation boot-net.adoc; dnsmasq's pxe-service=0",
        ),
        Style(
            name=replies.RASPBERRY_PI_3,
            vendor=_ASK_NOBODY
            + _SILENT_PROMPT
            + _menu(_line(_LOCAL_DISK, "Raspberry Pi Boot   "))
            + _VENDOR_END,
            server_option=True,
            with_file=False,
            source="raspberrypi/documentation boot-net.adoc, known problems: the first ROMs count "
            "three more characters",
        ),
        Style(
            name=replies.HTTP,
            vendor_class=b"HTTPClient",
            boot_file_option=True,
            named_server=False,
            source="tianocore/edk2 NetworkPkg/HttpBootDxe/HttpBootDhcp4.c: an offer counts with "
            "HTTPClient in 60 and a URL in 67 or file; older builds read only one of the two",
        ),
        Style(
            name=replies.IPXE,
            vendor=_TAKE_THIS + _VENDOR_END,
            # Priority 1: where the DHCP server names a file too, iPXE would take that one.
            ipxe_options=bytes.fromhex("010101"),
            source="ipxe/ipxe src/net/udp/dhcp.c, dhcp_offer and dhcp_has_pxeopts; "
            "https://ipxe.org/cfg/priority",
        ),
    )
}


# -- where we are the DHCP server --------------------------------------------------------------

#: One reply has the address and the file, and firmware that follows no proxy follows it.  Option 60
#: would send UEFI to port 4011 (tianocore/edk2 NetworkPkg/UefiPxeBcDxe, PxeBcRetryBinlOffer).
PLAIN = Style(
    name="plain",
    vendor_class=b"",
    named_server=False,
    source="RFC 2131, table 3: siaddr and file",
)
PLAIN_IPXE = Style(
    name="plain",
    vendor_class=b"",
    named_server=False,
    # Priority 1, and no-pxedhcp: it need not wait for a proxy.
    ipxe_options=bytes.fromhex("010101b00101"),
    source="ipxe/ipxe src/net/udp/dhcp.c, dhcp_discovery_rx and dhcp_has_pxeopts",
)
#: What reads a configuration of its own by siaddr, and no boot file.
PLAIN_ALONE = Style(
    name="plain",
    vendor_class=b"",
    named_server=False,
    with_file=False,
    source="u-boot cmd/pxe.c; open-power/petitboot discover/pxe-parser.c",
)


# -- which, and in what order ------------------------------------------------------------------


class Speaks(Enum):
    """What a client understands, by which it is looked up."""

    IPXE = "iPXE"
    HTTP = "HTTP boot"
    PI = "Raspberry Pi"
    UEFI = "UEFI"
    BIOS = "BIOS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    Clients that speak *speaks*, of one of *makers* (the first three bytes of a MAC) where that is
    given, whose option 60 begins with *rom*, are told in the styles of *order*, the first first.
    """

    speaks: Speaks
    makers: tuple[bytes, ...] = ()
    rom: str = ""
    order: tuple[str, ...]
    source: str

    def fits(self, speaks: Speaks, maker: bytes, rom: str) -> bool:
        """Whether the row is about a card of *maker* whose option 60 is *rom*."""
        from_its_maker = not self.makers or maker in self.makers
        return self.speaks is speaks and from_its_maker and rom.startswith(self.rom)


#: The first row that fits counts.
TABLE: tuple[Row, ...] = (
    Row(speaks=Speaks.IPXE, order=(replies.IPXE,), source=STYLES[replies.IPXE].source),
    Row(speaks=Speaks.HTTP, order=(replies.HTTP,), source=STYLES[replies.HTTP].source),
    Row(
        speaks=Speaks.PI,
        makers=(bytes.fromhex("b827eb"),),  # models 1 to 3, of which some have the first ROM
        order=(replies.RASPBERRY_PI_3, replies.RASPBERRY_PI),
        source=STYLES[replies.RASPBERRY_PI_3].source,
    ),
    Row(
        speaks=Speaks.PI,
        order=(replies.RASPBERRY_PI, replies.RASPBERRY_PI_3),
        source="raspberrypi/rpi-eeprom release notes: since October 2019 what follows the text "
        "does not count, before it had to be exact",
    ),
    Row(
        speaks=Speaks.UEFI,
        # Some firmware ignores offers that carry option 43, some any without it (an HP laptop
        # that sees both offers, asks nobody and repeats its DISCOVER after 4, 12 and 28 s).
        order=(replies.BOOT_SERVER, replies.DIRECT, replies.MENU),
        source="danderson/netboot pixiecore/dhcp.go; "
        "https://github.com/garybowers/bootimus/issues/77; "
        "https://github.com/tianocore/edk2/issues/8149",
    ),
    Row(
        speaks=Speaks.BIOS,
        order=(replies.DIRECT, replies.BOOT_SERVER, replies.MENU),
        source="PXE 2.1, sections 2.2.3 and 2.3; dnsmasq src/rfc2131.c, pxe_opts",
    ),
)


def speaks(message: Message, client: Client) -> Speaks:
    """What the sender of *message* understands."""
    if pxe.is_ipxe(message):
        return Speaks.IPXE
    if client.stage is Stage.HTTP_BOOT:
        return Speaks.HTTP
    if pxe.is_raspberry_pi(message):
        return Speaks.PI
    return Speaks.UEFI if client.arch and client.arch.efi else Speaks.BIOS


def row_of(message: Message, client: Client) -> Row:
    """The row for who sent *message*."""
    return _row(speaks(message, client), message.chaddr[:3], message.vendor_class)


@lru_cache(maxsize=1024)
def _row(understood: Speaks, maker: bytes, rom: str) -> Row:
    return next(row for row in TABLE if row.fits(understood, maker, rom))


def kind_of(message: Message, client: Client) -> Kind | None:
    """Under what something may be learned of such firmware; None where there is but one style."""
    if client.mac is None or len(row_of(message, client).order) == 1:
        return None
    arch = client.arch.number if client.arch else None
    return _kind(client.mac[:3], arch, pxe.rom_of(message))


@lru_cache(maxsize=1024)
def _kind(maker: bytes, arch: int | None, rom: str) -> Kind:
    return Kind.of(MAC(maker + bytes(3)), arch, rom)


@dataclass(frozen=True, slots=True)
class Choice:
    """
    The *style*, *why*, and what to remember of it: *chosen* of *order*, None where what is known of
    the past does not count.
    """

    style: Style
    why: str
    order: tuple[str, ...] = ()
    chosen: Chosen | None = None


def pick(
    message: Message,
    client: Client,
    settings: ProxyDhcp,
    machine: Machine | None = None,
    subnet: Subnet = ELSEWHERE,
    past: Past = NO_PAST,
) -> Choice:
    """How to tell the sender of *message*, of which *past* is known."""
    row = row_of(message, client)
    if len(row.order) == 1:
        return Choice(STYLES[row.order[0]], f"all that {row.speaks.value} understands")
    for whose, name in _wished(settings, machine, subnet):
        if name == replies.AUTO:
            break
        if name in row.order:
            return Choice(STYLES[name], f"{whose} says so")
    if not settings.learn:
        return Choice(STYLES[row.order[0]], "the first for such firmware")
    chosen = choose(row.order, past)
    return Choice(STYLES[chosen.style], chosen.why, row.order, chosen)


def of_server(
    message: Message,
    client: Client,
    settings: ProxyDhcp,
    machine: Machine | None = None,
    subnet: Subnet = ELSEWHERE,
) -> Style:
    """How the sender of *message* is told by who gives it its address as well."""
    understood = speaks(message, client)
    if understood is Speaks.IPXE:
        return PLAIN_IPXE
    if understood in (Speaks.HTTP, Speaks.PI):
        return pick(message, client, replace(settings, learn=False), machine, subnet).style
    return PLAIN


def _wished(
    settings: ProxyDhcp, machine: Machine | None, subnet: Subnet
) -> Iterator[tuple[str, str]]:
    """Who says something of it, in the order in which they count."""
    if machine is not None and machine.reply_style:
        yield "the machine", machine.reply_style
    if subnet.reply_style:
        yield f"subnet {subnet.name}", subnet.reply_style
    yield "the setting 'proxydhcp.style'", settings.style
