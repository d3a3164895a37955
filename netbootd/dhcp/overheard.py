"""
What another DHCP server says to a client, as far as it matters for a boot.

Pure: a reply in, an event out.  Sources: RFC 2131 and 2132; PXE 2.1, section 2.2, on proxies, which
say ``PXEClient`` and give no address; UEFI 2.10, section 24.7, on HTTP boot; RFC 5859, option 150.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address

from netbootd.dhcp import pxe
from netbootd.dhcp.message import Message, MessageType, Op, Option
from netbootd.events.witness import Overheard

_SAID: dict[int | None, str] = {
    MessageType.OFFER: "offer",
    MessageType.ACK: "ack",
    MessageType.NAK: "nak",
}
_PROXIES = ("PXEClient", "HTTPClient")
_LONGEST = 255  # characters kept of a name


def overheard(
    reply: Message, source: str, interface: str, ours: Collection[IPv4Address]
) -> Overheard | None:
    """
    What *reply*, which came from the address *source*, says; None where that is nothing to tell.

    That is so of a reply of ours as well, which another interface of this host may hear: a proxy's
    in the name of one of the addresses *ours*.
    """
    message = _SAID.get(reply.message_type)
    if reply.op != Op.REPLY or message is None:
        return None
    server = reply.server_id or IPv4Address(source)
    gives = bool(int(reply.yiaddr))
    proxy = not gives and reply.vendor_class.startswith(_PROXIES)
    if proxy and server in ours:
        return None
    return Overheard(
        mac=pxe.mac_of(reply),
        message=message,
        server=str(server),
        address=str(reply.yiaddr) if gives else "",
        file=_file(reply),
        next_server=_next_server(reply),
        proxy=proxy,
        interface=interface,
    )


def _file(reply: Message) -> str:
    """Option 67 goes before the header's field, as in EDK2; a server that fills both means both."""
    named = reply.text(Option.BOOT_FILE) or reply.file.decode("latin-1")
    return named[:_LONGEST]


def _next_server(reply: Message) -> str:
    """The header's siaddr, else a name or an address in an option."""
    if int(reply.siaddr):
        return str(reply.siaddr)
    if name := reply.text(Option.TFTP_SERVER_NAME):
        return name[:_LONGEST]
    servers = reply.options.get(Option.TFTP_SERVERS, b"")
    return str(IPv4Address(servers[:4])) if len(servers) >= 4 else ""
