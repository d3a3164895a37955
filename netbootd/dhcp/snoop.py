"""
Packet sockets: hearing UDP 67 beside a DHCP server that owns it, and speaking past UDP sockets.

The server on this host keeps its port and all that is sent to it; we get a copy of what arrives on
one interface, and send packets of our own making.  CAP_NET_RAW is all that this needs (packet(7),
raw(7)), here or in the opener.  No promiscuous mode: a DISCOVER is a broadcast, and a relay writes
to our address.

What the kernel does for us, as we bind to IPv4 and not to everything (net/core/dev.c, packet(7)):
what this host itself sends is not heard; neither are the ports of a bridge, whose bridge is served
instead; a frame with a VLAN's tag is heard on the VLAN's interface, or as somebody else's.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

from netbootd.dhcp import filters, frame
from netbootd.dhcp.destination import EVERYBODY, Endpoint
from netbootd.interfaces import Interface
from netbootd.opener.client import packet_socket, raw_socket

# Linux, not in Python 3.11's socket module: linux/if_ether.h, linux/if_packet.h, linux/if_arp.h.
ETH_P_IP, ETH_P_ALL = 0x0800, 0x0003
_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_ARPHRD_ETHER = 1
_FOR_US = (socket.PACKET_HOST, socket.PACKET_BROADCAST)
_CHECKSUM_NOT_READY = 1 << 3  # made by a card that is not there: a veth's peer, a virtual machine
_VLAN_VALID = 1 << 4
_CHECKSUM_VALID = 1 << 7  # the kernel or the card has looked
_VLAN_ID = 0x0FFF
#: struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid
_AUXDATA = struct.Struct("=IIIHHHH")

AUXDATA_SPACE = socket.CMSG_SPACE(_AUXDATA.size)

LARGEST_PACKET = 2048
_EVERY_CARD = b"\xff" * 6


class Heard(NamedTuple):
    """
    A datagram for port 67: from where, and which address of ours it was sent to, None for
    broadcasts.
    """

    payload: bytes
    source: Endpoint
    addressed: IPv4Address | None


def open_snoop(interface: str, port: int) -> socket.socket:
    """
    A packet socket that hears what arrives for UDP *port* on *interface*; raises OSError.

    Only Ethernet and what looks like it (bridges, bonds, VLANs).
    """
    opened = packet_socket()
    try:
        bind(opened, interface, ETH_P_IP, filters.requests(port))
        if (kind := opened.getsockname()[3]) != _ARPHRD_ETHER:
            raise OSError(errno.EAFNOSUPPORT, f"hardware of type {kind} is not Ethernet")
    except OSError:
        opened.close()
        raise
    return opened


def bind(opened: socket.socket, interface: str, protocol: int, program: bytes) -> None:
    """
    Let *opened* hear of *protocol* (linux/if_ether.h) on *interface* what *program* lets pass, and
    tell with each packet what ``auxdata`` reads; raises OSError.
    """
    opened.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    filters.attach(opened, program)
    # Bound last: until then the socket hears nothing.
    opened.bind((interface, protocol))


def hear(
    opened: socket.socket,
    addresses: Sequence[IPv4Interface],
    host: Collection[IPv4Address] = (),
) -> Heard | None:
    """
    The next packet; None where it is for somebody else than our *addresses* here, or those of all
    this *host*: a relay may reach one of them by the cable of another.

    Raises OSError where there is none, and WireError for a broken one.
    """
    packet, ancillary, _, link = opened.recvmsg(LARGEST_PACKET, AUXDATA_SPACE)
    checked, tagged = auxdata(ancillary)
    # "For somebody else" is what a card brings in while a capture runs, and what carries the tag
    # of a VLAN that has no interface here.
    if link[2] not in _FOR_US or tagged:
        return None
    datagram = frame.parse(packet, checked=checked)
    to = IPv4Address(datagram.to[0])
    if to in host or any(to == ours.ip for ours in addresses):
        return Heard(datagram.payload, datagram.source, to)
    if str(to) == EVERYBODY or any(to == ours.network.broadcast_address for ours in addresses):
        return Heard(datagram.payload, datagram.source, None)
    return None  # passing through: this host is a router


def auxdata(ancillary: list[tuple[int, int, bytes]]) -> tuple[bool, bool]:
    """
    What the kernel says of a packet: whether its checksums need no look, and whether it carries a
    VLAN's tag.
    """
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA) and len(data) >= _AUXDATA.size:
            status, _, _, _, _, tag, _ = _AUXDATA.unpack_from(data)
            checked = bool(status & (_CHECKSUM_NOT_READY | _CHECKSUM_VALID))
            return checked, bool(status & _VLAN_VALID and tag & _VLAN_ID)
    return False, False


class Raw:
    """
    Sends UDP datagrams as packets of our own making, by *interface* or by normal routing.

    Raises OSError, PermissionError without CAP_NET_RAW.
    """

    def __init__(self, interface: Interface) -> None:
        self._name = interface.name
        self._frames = packet_socket()
        try:
            # Protocol 0: it hears nothing.
            self._frames.bind((interface.name, 0))
            self._routed = raw_socket()
        except OSError:
            self._frames.close()
            raise

    def to_card(self, payload: bytes, source: Endpoint, to: Endpoint, card: bytes | None) -> None:
        """In a frame to *card*, an Ethernet address of six bytes, or to every card."""
        packet = frame.build(payload, source, to)
        self._frames.sendto(packet, (self._name, ETH_P_IP, 0, 0, card or _EVERY_CARD))

    def by_route(self, payload: bytes, source: Endpoint, to: Endpoint) -> None:
        """As the kernel routes it, by whatever interface."""
        self._routed.sendto(frame.build(payload, source, to), (to[0], 0))

    def close(self) -> None:
        """Twice does no harm."""
        self._frames.close()
        self._routed.close()
