"""UDP sockets for one interface, and what they say about where a datagram was sent to."""

from __future__ import annotations

import logging
import socket
import struct
from functools import lru_cache
from ipaddress import IPv4Address

from netbootd.opener.client import LowSocket

log = logging.getLogger(__name__)

# Linux, not in Python 3.11's socket module.
IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DONT = 0
_SO_RCVBUFFORCE = 33
PKTINFO = struct.Struct("=I4s4s")  # interface index, our address, the header's destination
PKTINFO_SPACE = socket.CMSG_SPACE(PKTINFO.size)
#: A rack that powers on sends thousands of DISCOVERs in a second, and repeats a lost one only after
#: four seconds.
_RECEIVE_BUFFER = 4 << 20


def addressed(pktinfo: bytes) -> IPv4Address | None:
    """
    Which of our addresses a datagram was sent to; None for broadcasts.

    The kernel reports the destination, and the address it would answer from: of a unicast these
    are the same (ip(7), IP_PKTINFO).
    """
    if len(pktinfo) != PKTINFO.size:
        return None
    ours, written = pktinfo[4:8], pktinfo[8:]
    return _address(ours) if ours == written else None


@lru_cache(maxsize=256)
def _address(ours: bytes) -> IPv4Address:
    return IPv4Address(ours)


def open_socket(interface: str, port: int) -> socket.socket:
    """
    A socket for UDP *port* that hears and speaks on *interface* only; raises OSError.

    The port is not shared with another server of this host (SO_REUSEADDR): broadcasts would reach
    both, but a unicast, such as the renewal of a lease, only one, and rather us than the server it
    was meant for.
    """
    opened = LowSocket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        opened.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        # Boot ROMs drop fragments, and none of ours is that long: there is no path to discover.
        opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
        enlarge_buffer(opened, interface, port)
        opened.bind(("", port))
    except OSError:
        opened.close()
        raise
    return opened


def enlarge_buffer(opened: socket.socket, interface: str, port: int) -> None:
    """Room for a burst; beyond net.core.rmem_max only with CAP_NET_ADMIN (socket(7))."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    got = opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel says it doubled
    if got < _RECEIVE_BUFFER:
        log.warning(
            "UDP %s on %s: receive buffer of %s bytes instead of %s; a burst of DISCOVERs may lose "
            "some. Raise net.core.rmem_max, or grant CAP_NET_ADMIN",
            *(port, interface, got, _RECEIVE_BUFFER),
        )
