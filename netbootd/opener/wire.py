"""
What the daemon asks the opener, and what it is answered: one message each, of one fixed length, on
a Unix socket that keeps messages apart (SOCK_SEQPACKET, unix(7)), with at most one descriptor
beside it (SCM_RIGHTS).

Which socket is to be bound, and of what kind it is, the descriptor says, not the message.
"""

from __future__ import annotations

import socket
import struct
from enum import IntEnum
from typing import NamedTuple

from netbootd.errors import WireError

#: What is asked, the family of the address, its port, its scope (ipv6(7)), the address.
_REQUEST = struct.Struct("!BBHI16s")
_ANSWER = struct.Struct("!iI")
REQUEST_SIZE, ANSWER_SIZE = _REQUEST.size, _ANSWER.size
#: In place of an errno: the port is not among those that the opener may open.
NOT_LISTED = -1
_LENGTHS = {int(socket.AF_INET): 4, int(socket.AF_INET6): 16}


class Ask(IntEnum):
    """What can be asked."""

    BIND = 1  #: bind the socket that comes along
    PACKET = 2  #: a packet socket that hears nothing (packet(7))
    RAW = 3  #: a socket for packets with an IPv4 header of their own (raw(7), IPPROTO_RAW)
    PEER = 4  #: the user at the other end of the Unix socket that comes along


class Request(NamedTuple):
    """*ask*; of BIND the *address* in text, with its *family*, *port* and *scope*."""

    ask: Ask
    family: int = 0
    address: str = ""
    port: int = 0
    scope: int = 0


class Answer(NamedTuple):
    """*status* is 0, an errno or ``NOT_LISTED``; *value* the number that was asked for."""

    status: int
    value: int = 0


def encode(request: Request) -> bytes:
    """As ``decode`` reads it; raises OSError for what is no address of the family."""
    packed = socket.inet_pton(request.family, request.address) if request.family else b""
    return _REQUEST.pack(request.ask, request.family, request.port, request.scope, packed)


def decode(data: bytes) -> Request:
    """Raises WireError for whatever ``encode`` does not make."""
    if len(data) != REQUEST_SIZE:
        raise WireError(f"a request of {len(data)} bytes")
    number, family, port, scope, packed = _REQUEST.unpack(data)
    if number == Ask.BIND:
        return Request(Ask.BIND, family, _address(family, packed, scope), port, scope)
    if number not in set(Ask) or any(data[1:]):
        raise WireError("no such request")
    return Request(Ask(number))


def _address(family: int, packed: bytes, scope: int) -> str:
    length = _LENGTHS.get(family)
    if length is None or any(packed[length:]) or (scope and length == 4):
        raise WireError("no such address")
    return socket.inet_ntop(family, packed[:length])


def encode_answer(answer: Answer) -> bytes:
    """As ``decode_answer`` reads it."""
    return _ANSWER.pack(*answer)


def decode_answer(data: bytes) -> Answer:
    """Raises WireError where it is none."""
    if len(data) != ANSWER_SIZE:
        raise WireError(f"an answer of {len(data)} bytes")
    return Answer(*_ANSWER.unpack(data))
