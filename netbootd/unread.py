"""
How much waits in a socket, by what the kernel says of its memory (SO_MEMINFO, since Linux 4.12).

A queue that is not read to its end soon is a queue in which everybody waits for as long as it takes
to read all of it: then strangers have to be turned away sooner than their time is used up.
"""

from __future__ import annotations

import socket
import sys

_SO_MEMINFO = 55  # asm-generic/socket.h
_WORDS = 36  # bytes: nine of four each, of which the first is what was received (sock_diag.h)
#: Bytes with what the kernel adds to each packet: some hundred of them, a tenth of a second's work.
MUCH = 512 << 10


def is_much(opened: socket.socket) -> bool:
    """Whether more waits in *opened* than is soon read."""
    try:
        words = opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _WORDS)
    except OSError:  # an older kernel
        return False
    return int.from_bytes(words[:4], sys.byteorder) > MUCH
