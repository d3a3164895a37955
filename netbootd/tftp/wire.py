"""
Bytes to TFTP packets and back (RFC 1350, RFC 2347).  tftpy is met here and nowhere else.

tftpy's packet classes do the codec.  Three things around them are ours.  The file name is taken
out before tftpy sees a request, since it decodes ASCII only and a name may be any bytes.  So are
the options: tftpy refuses a request for one without a value, as RFC 2090 has it, and one strange
option must not cost a client its boot.  And the two packets of which a transfer has thousands,
DATA out and ACK in, have a short way each: a table of ready headers and one ``unpack``.

Whatever the bytes were, ``decode`` raises WireError and nothing else.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import (
    TftpPacket,
    TftpPacketACK,
    TftpPacketDAT,
    TftpPacketERR,
    TftpPacketOACK,
    TftpPacketRRQ,
    TftpPacketWRQ,
)
from tftpy.TftpShared import TftpException

from netbootd.errors import WireError

# tftpy logs every ERROR a client sends as an error of ours; here it becomes an event instead.
logging.getLogger("tftpy.TftpPacketTypes").setLevel(logging.CRITICAL)

HEADER = 4  # bytes in front of the data of a DATA packet
#: More than the 512 bytes that RFC 2347 allows a request, for the sake of long paths.
LONGEST_REQUEST = 1400
_LONGEST_ERROR_TEXT = 120


class Opcode(IntEnum):
    """RFC 1350 section 5; OACK is RFC 2347."""

    RRQ = 1
    WRQ = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OACK = 6


class ErrorCode(IntEnum):
    """RFC 1350 appendix I; 8 is RFC 2347."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    ILLEGAL_OPERATION = 4
    UNKNOWN_TID = 5
    OPTION_REFUSED = 8


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """
    RRQ.  *mode* and the names of *options* are lower case, options in the order they were asked;
    one without a value is not among them.

    *path* is UTF-8 where the client's bytes were, else Latin-1: always text that can be printed.
    """

    path: str
    mode: str = "octet"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """WRQ: only to be refused."""

    path: str
    mode: str = "octet"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Data:
    """DATA; *block* is the 16-bit number on the wire."""

    block: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """ACK; *block* is the 16-bit number on the wire."""

    block: int


@dataclass(frozen=True, slots=True)
class OptionAck:
    """OACK: what was granted, names as they are to appear."""

    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Error:
    """ERROR; *code* may be one that no RFC knows."""

    code: int
    text: str


Packet = ReadRequest | WriteRequest | Data | Ack | OptionAck | Error

#: The four bytes in front of each block, by its 16-bit number: 3 MB that save a pack per block.
DATA_HEADERS: tuple[bytes, ...] = tuple(
    struct.pack("!HH", Opcode.DATA, block) for block in range(1 << 16)
)

_TWO_NUMBERS = struct.Struct("!HH")
_FACTORY = TftpPacketFactory()
_TFTPY_ERRORS = (TftpException, UnicodeDecodeError, struct.error)


def opcode_of(datagram: bytes) -> int:
    """The first two bytes as a number, 0 where there are fewer."""
    return int.from_bytes(datagram[:2], "big") if len(datagram) >= 2 else 0


def acknowledged(datagram: bytes) -> int:
    """The 16-bit block number of an ACK, -1 for any other packet.  The hot way in."""
    if len(datagram) < HEADER:
        return -1
    opcode, block = _TWO_NUMBERS.unpack_from(datagram)
    return block if opcode == Opcode.ACK else -1


def decode(datagram: bytes) -> Packet:
    """Any packet; raises WireError for what is none."""
    opcode = opcode_of(datagram)
    try:
        if opcode in (Opcode.RRQ, Opcode.WRQ):
            return _decode_request(datagram)
        return _plain(_FACTORY.parse(datagram))
    except _TFTPY_ERRORS as problem:
        raise WireError(f"opcode {opcode}, {len(datagram)} bytes: {problem}") from None


def _decode_request(datagram: bytes) -> ReadRequest | WriteRequest:
    if len(datagram) > LONGEST_REQUEST:
        raise WireError(f"request of {len(datagram)} bytes")
    name, _, rest = datagram[2:].partition(b"\0")
    mode, end, rest = rest.partition(b"\0")
    packet = _FACTORY.parse(datagram[:2] + b"-\0" + mode + end)
    kind = ReadRequest if packet.opcode == Opcode.RRQ else WriteRequest
    return kind(_text(name), packet.mode, _options(rest))


def _options(strings: bytes) -> dict[str, str]:
    """
    Name, value, name, value …, each with a zero behind it; what is not so is left out.

    A name that is empty is skipped by itself: zeros behind the last value are padding (some ROMs
    send their whole buffer), and those between two options disturb neither.
    """
    *ended, _ = strings.split(b"\0")
    options: dict[str, str] = {}
    remaining = iter(ended)
    for name in remaining:
        if name and (value := next(remaining, b"")):
            options[name.decode("latin-1").lower()] = value.decode("latin-1")
    return options


def _text(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _plain(packet: object) -> Packet:
    """tftpy's packet as one of our values."""
    match packet:
        case TftpPacketACK():
            return Ack(packet.blocknumber)
        case TftpPacketDAT():
            return Data(packet.blocknumber, packet.data)
        case TftpPacketERR():
            text = (packet.errmsg or b"").split(b"\0")[0]
            return Error(packet.errorcode, text.decode("latin-1"))
        case TftpPacketOACK():
            return OptionAck({name.lower(): value for name, value in packet.options.items()})
    raise WireError(f"unexpected {type(packet).__name__}")


def encode(packet: Packet) -> bytes:
    """The datagram; nothing behind the last string's zero."""
    tftpy_packet = _tftpy(packet)
    tftpy_packet.encode()
    buffer: bytes = tftpy_packet.buffer
    return buffer


def _tftpy(packet: Packet) -> TftpPacket:
    match packet:
        case ReadRequest() | WriteRequest():
            made = TftpPacketRRQ() if isinstance(packet, ReadRequest) else TftpPacketWRQ()
            made.filename, made.mode = packet.path.encode(), packet.mode
            made.options = packet.options
        case Data():
            made = TftpPacketDAT()
            made.blocknumber, made.data = packet.block, packet.data
        case Ack():
            made = TftpPacketACK()
            made.blocknumber = packet.block
        case OptionAck():
            made = TftpPacketOACK()
            made.options = packet.options
        case Error():
            made = TftpPacketERR()
            made.errorcode = packet.code
            made.errmsgs = {packet.code: _ascii(packet.text)}
    return made


def _ascii(text: str) -> bytes:
    """RFC 1350 wants netascii; a zero would end the text, and a ROM's buffer is small."""
    return text.encode("ascii", "replace").replace(b"\0", b"?")[:_LONGEST_ERROR_TEXT]
