"""
A reply as a frame to a card, past the kernel's search for neighbours.

What goes to an address that nobody answers for waits in the kernel for three seconds, and so does
the room it takes in its socket (RFC 4861, 7.3.3; Linux, net/core/neighbour.c): 250 forged requests
and no reply leaves any more for anybody.  Firmware makes its link-local address of its card's, so a
reply needs no search: it leaves so where the socket has no room.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address

from netbootd.dhcp6.message import card_of
from netbootd.opener.client import packet_socket

_ETH_P_IPV6 = 0x86DD  # linux/if_ether.h, not in Python's socket module
_HEADER = struct.Struct("!IHBB16s16s")  # RFC 8200, section 3
_UDP = struct.Struct("!HHHH")
_PSEUDO = struct.Struct("!16s16sII")  # RFC 8200, section 8.1
_VERSION, _HOPS = 6 << 28, 64
_LARGEST = 1280  # what every link takes (RFC 8200, section 5)


class Frames:
    """
    Sends by *interface*; raises OSError, PermissionError where packet sockets are not to be had.
    """

    def __init__(self, interface: str) -> None:
        self._name = interface
        self._socket = packet_socket()
        try:
            self._socket.bind((interface, 0))  # protocol 0: it hears nothing
        except OSError:
            self._socket.close()
            raise

    def send(
        self, payload: bytes, source: tuple[IPv6Address, int], to: tuple[IPv6Address, int]
    ) -> bool:
        """Whether it could leave: *to* tells its card, and it fits."""
        card, packet = card_of(to[0]), build(payload, source, to)
        if card is None or len(packet) > _LARGEST:
            return False
        self._socket.sendto(packet, (self._name, _ETH_P_IPV6, 0, 0, card))
        return True

    def close(self) -> None:
        """Twice does no harm."""
        self._socket.close()


def build(payload: bytes, source: tuple[IPv6Address, int], to: tuple[IPv6Address, int]) -> bytes:
    """The IPv6 packet that carries *payload* by UDP, from one address and port to another."""
    ours, theirs, length = source[0].packed, to[0].packed, _UDP.size + len(payload)
    pseudo = _PSEUDO.pack(ours, theirs, length, socket.IPPROTO_UDP)
    summed = pseudo + _UDP.pack(source[1], to[1], length, 0) + payload + bytes(length % 2)
    # RFC 1071: 0x10000 leaves 1 when it is divided by 0xFFFF, so all words add up in that division.
    check = 0xFFFF - int.from_bytes(summed, "big") % 0xFFFF
    head = _HEADER.pack(_VERSION, length, socket.IPPROTO_UDP, _HOPS, ours, theirs)
    return head + _UDP.pack(source[1], to[1], length, check) + payload
