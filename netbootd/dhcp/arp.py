"""
ARP as it asks whether somebody has an address (RFC 826; RFC 5227, section 2.1.1), as bytes.

Pure.  The Ethernet header is not here: the kernel puts it on (packet(7), SOCK_DGRAM).
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import NamedTuple

from netbootd.errors import WireError

_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4 = 1, 0x0800
_REQUEST, _REPLY = 1, 2


class Claim(NamedTuple):
    """The *card* that says it has *address*."""

    address: IPv4Address
    card: bytes


def probe(address: IPv4Address, card: bytes) -> bytes:
    """
    A question for *address* from our *card*, which leaves our own address out: nobody's table of
    neighbours learns of us by it, and who answers is asked by no name.
    """
    return _PACKET.pack(
        *(_ETHERNET, _IPV4, 6, 4, _REQUEST, card, bytes(4), bytes(6), address.packed)
    )


def claim(packet: bytes) -> Claim | None:
    """
    Whose the sender's address is, of a reply or of a question; None for a probe, which claims
    nothing.  Raises WireError for what is no ARP of Ethernet and IPv4.
    """
    if len(packet) < _PACKET.size:
        raise WireError(f"{len(packet)} bytes are no ARP packet")
    hardware, protocol, hlen, plen, operation, card, address, _, _ = _PACKET.unpack_from(packet)
    if (hardware, protocol, hlen, plen) != (_ETHERNET, _IPV4, 6, 4):
        raise WireError("ARP of something else than Ethernet and IPv4")
    if operation not in (_REQUEST, _REPLY) or not any(address):
        return None
    return Claim(IPv4Address(address), card)
