"""What takes CAP_NET_RAW to make, and who is at the other end; for both processes."""

from __future__ import annotations

import socket
import struct

_CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid


def packet_socket() -> socket.socket:
    """One that hears nothing before it is bound."""
    return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)


def raw_socket() -> socket.socket:
    """One that sends what has an IPv4 header already, and hears nothing."""
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    return socket.socket(socket.AF_INET, kind, socket.IPPROTO_RAW)


def user_of(connection: socket.socket) -> int:
    """Who was at the other end of a Unix socket when it connected (SO_PEERCRED, unix(7))."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(raw)[1]
    return uid
