"""UDP sockets for DHCPv6 on one interface, and what they say about where a datagram was sent to."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address

from netbootd.opener.client import LowSocket

#: RFC 8415, section 7.1: all relays and servers of a link, and all servers of a site.
EVERYBODY, SERVERS = "ff02::1:2", "ff05::1:3"
SERVER, CLIENT = 547, 546  # RFC 8415, section 7.2
_PKTINFO = struct.Struct("=16sI")  # the header's destination, interface index
PKTINFO_SPACE = socket.CMSG_SPACE(_PKTINFO.size)
_SO_RCVBUFFORCE = 33  # Linux, not in Python's socket module
#: As for DHCPv4: a rack that powers on asks within one second.
_RECEIVE_BUFFER = 4 << 20


def unicast(ancillary: list[tuple[int, int, bytes]]) -> bool:
    """Whether a datagram was sent to an address of ours (ipv6(7), IPV6_PKTINFO)."""
    for level, kind, data in ancillary:
        about_packet = level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO
        if about_packet and len(data) >= _PKTINFO.size:
            return not IPv6Address(_PKTINFO.unpack_from(data)[0]).is_multicast
    return False


def open_socket(interface: str, index: int, port: int) -> socket.socket:
    """
    A socket for UDP *port* that hears and speaks on *interface* only; raises OSError.

    The port is not shared with another server of this host: a unicast would reach only one of them.
    """
    opened = LowSocket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        _enlarge_buffer(opened)
        opened.bind(("::", port))
        for group in (EVERYBODY, SERVERS):
            joined = IPv6Address(group).packed + struct.pack("=I", index)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, joined)
    except OSError:
        opened.close()
        raise
    return opened


def _enlarge_buffer(opened: socket.socket) -> None:
    """Beyond net.core.rmem_max only with CAP_NET_ADMIN, the lack of which DHCPv4's port tells."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
