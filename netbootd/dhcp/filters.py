"""
What a packet socket is given at all, as programs for the kernel (linux/filter.h, classic BPF).

They look at packets that begin with their IP header (SOCK_DGRAM of packet(7)).  A load beyond the
end of a packet drops it.
"""

from __future__ import annotations

import socket
import struct
from array import array
from typing import NamedTuple

from netbootd.dhcp.message import Op

# Linux, not in Python's socket module.
_SO_ATTACH_FILTER = 26
_ETH_P_IP = 0x0800

_INSTRUCTION = struct.Struct("=HBBI")
_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD = 0x30, 0x28, 0x20
_LOAD_BYTE_AT_X, _LOAD_HALF_AT_X, _LOAD_WORD_AT_X = 0x50, 0x48, 0x40
_HEADER_LENGTH_TO_X = 0xB1  # four times the low half of a byte
_AND, _JUMP_EQUAL, _RETURN = 0x54, 0x15, 0x06
_ETHERTYPE = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL: what the kernel knows of the frame
_MORE_OR_OFFSET = 0x3FFF  # "more fragments" and the offset

_UDP_HEADER = 8
_ARP_OF_IPV4, _ARP_LENGTHS = 0x00010800, 0x0604
_COOKIE_AT, _COOKIE = 236, 0x63825363  # RFC 2131, section 3; what is shorter does not pass


class _Check(NamedTuple):
    """What *instructions* load must be *equal* to; None: they only prepare."""

    instructions: tuple[tuple[int, int], ...]
    equal: int | None = None


_WHOLE_UDP = (
    _Check(((_LOAD_BYTE, 9),), socket.IPPROTO_UDP),
    _Check(((_LOAD_HALF, 6), (_AND, _MORE_OR_OFFSET)), 0),
    _Check(((_HEADER_LENGTH_TO_X, 0),)),
)


def requests(port: int) -> bytes:
    """BOOTP requests with DHCP's cookie to *port*: other UDP is no load for us."""
    return _program(*_WHOLE_UDP, _to(port), *_dhcp(Op.REQUEST))


def replies(port: int) -> bytes:
    """BOOTP replies with DHCP's cookie to *port*, for a socket that is given all protocols."""
    return _program(
        _Check(((_LOAD_HALF, _ETHERTYPE),), _ETH_P_IP), *_WHOLE_UDP, _to(port), *_dhcp(Op.REPLY)
    )


def claims() -> bytes:
    """ARP of Ethernet and IPv4 (RFC 826): types, and the lengths of their addresses."""
    return _program(
        _Check(((_LOAD_WORD, 0),), _ARP_OF_IPV4), _Check(((_LOAD_HALF, 4),), _ARP_LENGTHS)
    )


def nothing() -> bytes:
    """Not one packet."""
    return _INSTRUCTION.pack(_RETURN, 0, 0, 0)


def attach(opened: socket.socket, program: bytes) -> None:
    """Give *opened* only what *program* lets pass; raises OSError."""
    # struct sock_fprog points to the program; the kernel copies it.
    kept = array("B", program)
    fprog = struct.pack("HP", len(program) // _INSTRUCTION.size, kept.buffer_info()[0])
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)


def _dhcp(op: Op) -> tuple[_Check, _Check]:
    return (
        _Check(((_LOAD_BYTE_AT_X, _UDP_HEADER),), op),
        _Check(((_LOAD_WORD_AT_X, _UDP_HEADER + _COOKIE_AT),), _COOKIE),
    )


def _to(port: int) -> _Check:
    return _Check(((_LOAD_HALF_AT_X, 2),), port)


def _program(*checks: _Check) -> bytes:
    """All of *checks* one after the other; the first that fails jumps to the last instruction."""
    sizes = [len(check.instructions) + (check.equal is not None) for check in checks]
    left = sum(sizes)
    built = b""
    for check, size in zip(checks, sizes, strict=True):
        left -= size
        for code, operand in check.instructions:
            built += _INSTRUCTION.pack(code, 0, 0, operand)
        if check.equal is not None:
            built += _INSTRUCTION.pack(_JUMP_EQUAL, 0, left + 1, check.equal)
    return built + _INSTRUCTION.pack(_RETURN, 0, 0, 0xFFFF) + _INSTRUCTION.pack(_RETURN, 0, 0, 0)
