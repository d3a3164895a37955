"""
An IPv4 packet with a UDP datagram in it, as bytes: what a packet socket hears and says.

Pure.  The Ethernet header is not here: the kernel takes it off and puts it on (packet(7),
SOCK_DGRAM), with the card's address of that moment and a VLAN's tag.  Sources: RFC 791, RFC 768,
RFC 1071; RFC 1122, section 4.1.3.4, on checksums.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from ipaddress import IPv4Address
from typing import NamedTuple

from netbootd.dhcp.destination import Endpoint
from netbootd.errors import WireError

_UDP = 17
_TTL = 64
_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP_HEADER = struct.Struct("!HHHH")
_PSEUDO = struct.Struct("!4s4sBBH")  # RFC 768: what the checksum covers of the IP header
_MORE_OR_OFFSET = 0x3FFF  # "more fragments" and the offset, in units of 8 bytes


class Datagram(NamedTuple):
    """A UDP datagram with both ends."""

    payload: bytes
    source: Endpoint
    to: Endpoint


def parse(packet: bytes, *, checked: bool) -> Datagram:
    """
    The datagram in *packet*, which begins with its IPv4 header and may be padded behind.

    *checked*: the UDP checksum needs no look, since the kernel has seen to it, or it is not yet
    there (PACKET_AUXDATA in packet(7): a packet from this very host or its virtual machines).
    Raises WireError for whatever else than a whole, sound UDP datagram.
    """
    if len(packet) < _IP.size:
        raise WireError(f"{len(packet)} bytes are no IPv4 packet")
    version, _, total, _, fragment, _, protocol, _, source, to = _IP.unpack_from(packet)
    head = (version & 15) * 4
    if version >> 4 != 4 or not _IP.size <= head <= total <= len(packet):
        raise WireError("an IPv4 header of impossible lengths")
    if checksum(packet[:head]):
        raise WireError("the IPv4 header's checksum is wrong")
    if protocol != _UDP or fragment & _MORE_OR_OFFSET:
        raise WireError("no whole UDP datagram")
    if total < head + _UDP_HEADER.size:
        raise WireError("a UDP header cut short")
    sport, dport, length, summed = _UDP_HEADER.unpack_from(packet, head)
    if not _UDP_HEADER.size <= length <= total - head:
        raise WireError("a UDP header of impossible length")
    udp = packet[head : head + length]
    # 0 says that the sender made none.
    if not checked and summed and checksum(_PSEUDO.pack(source, to, 0, _UDP, length) + udp):
        raise WireError("the UDP checksum is wrong")
    payload = udp[_UDP_HEADER.size :]
    return Datagram(payload, (_dotted(source), sport), (_dotted(to), dport))


def _dotted(address: bytes) -> str:
    return "%d.%d.%d.%d" % tuple(address)


def build(payload: bytes, source: Endpoint, to: Endpoint) -> bytes:
    """
    The IPv4 packet that carries *payload*, with both checksums.

    It may be fragmented: it is at most 1,500 bytes long, and a router before a relay may do so.
    """
    head, pseudo = _headers(source, to, _UDP_HEADER.size + len(payload))
    summed = checksum(pseudo + payload)
    return head + (summed or 0xFFFF).to_bytes(2, "big") + payload


@lru_cache(maxsize=256)
def _headers(source: Endpoint, to: Endpoint, length: int) -> tuple[bytes, bytes]:
    """Both headers up to the checksum of UDP, and what that covers of them."""
    ours, theirs = IPv4Address(source[0]).packed, IPv4Address(to[0]).packed
    udp = _UDP_HEADER.pack(source[1], to[1], length, 0)
    fields = (0x45, 0, _IP.size + length, 0, 0, _TTL, _UDP)
    summed = checksum(_IP.pack(*fields, 0, ours, theirs))
    pseudo = _PSEUDO.pack(ours, theirs, 0, _UDP, length)
    return _IP.pack(*fields, summed, ours, theirs) + udp[:-2], pseudo + udp


def checksum(data: bytes) -> int:
    """RFC 1071; over data that holds its own right checksum it is 0."""
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")
    # 0x10000 leaves 1 when it is divided by 0xFFFF, so all words add up in that one division.
    total = number % 0xFFFF or (0xFFFF if number else 0)
    return total ^ 0xFFFF
