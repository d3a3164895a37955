"""
Bytes to TFTP packets and back (RFC 1350, RFC 2347).  tftpy is met here and nowhere else.

tftpy's packet classes do the codec; what they made of an OACK or a mode is kept, since whole racks
say the same.  Three things around them are ours.  The file name is taken
out before tftpy sees a request, since it decodes ASCII only and a name may be any bytes.  So are
the options: tftpy refuses a request for one without a value, as RFC 2090 has it, and one strange
option must not cost a client its boot.  And the two packets of which a transfer has thousands,
DATA out (``blocks``) and ACK in, have a short way each.

Whatever the bytes were, ``decode`` raises WireError and nothing else.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache, partial
from types import MappingProxyType, SimpleNamespace
from typing import Any

from netbootd.errors import WireError

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

_TWO_NUMBERS = struct.Struct("!HH").unpack_from
_RRQ = int(Opcode.RRQ)
_ACK = int(Opcode.ACK)  # an enum's own look-up costs more than the rest
#: An ACK of the 16-bit block number.
ack: Callable[[int], bytes] = partial(struct.Struct("!HH").pack, _ACK)
#: OACKs, and what stands behind the names that are asked for: a few sizes of files, a few sets of
#: options.
_MOST_KEPT = 256


@lru_cache(maxsize=1)
def _tftpy() -> SimpleNamespace:
    """tftpy, which takes 10 ms to import."""
    from tftpy import TftpPacketTypes  # noqa: PLC0415
    from tftpy.TftpPacketFactory import TftpPacketFactory  # noqa: PLC0415
    from tftpy.TftpShared import TftpException  # noqa: PLC0415

    # It logs every ERROR a client sends as an error of ours; here it becomes an event instead.
    logging.getLogger("tftpy.TftpPacketTypes").setLevel(logging.CRITICAL)
    return SimpleNamespace(
        types=TftpPacketTypes,
        parse=TftpPacketFactory().parse,
        errors=(TftpException, UnicodeDecodeError, struct.error),
    )


def opcode_of(datagram: bytes) -> int:
    """The first two bytes as a number, 0 where there are fewer."""
    return int.from_bytes(datagram[:2], "big") if len(datagram) >= 2 else 0


def acknowledged(datagram: bytes) -> int:
    """The 16-bit block number of an ACK, -1 for any other packet.  The hot way in."""
    if len(datagram) < HEADER:
        return -1
    opcode, block = _TWO_NUMBERS(datagram)
    return block if opcode == _ACK else -1


def decode(datagram: bytes) -> Packet:
    """Any packet; raises WireError for what is none."""
    opcode = opcode_of(datagram)
    try:
        if opcode in (Opcode.RRQ, Opcode.WRQ):
            return _decode_request(datagram)
        return _plain(_tftpy().parse(datagram))
    except _tftpy().errors as problem:
        raise WireError(f"opcode {opcode}, {len(datagram)} bytes: {problem}") from None


def _decode_request(datagram: bytes) -> ReadRequest | WriteRequest:
    if len(datagram) > LONGEST_REQUEST:
        raise WireError(f"request of {len(datagram)} bytes")
    name, _, rest = datagram[2:].partition(b"\0")
    kind = ReadRequest if datagram[1] == _RRQ else WriteRequest
    return kind(_text(name), *_manner(datagram[:2], rest))


@lru_cache(maxsize=_MOST_KEPT)
def _manner(opcode: bytes, rest: bytes) -> tuple[str, Mapping[str, str]]:
    """Mode and options of a request, of which *rest* is what stands behind the name."""
    mode, end, strings = rest.partition(b"\0")
    plain: str = _tftpy().parse(opcode + b"-\0" + mode + end).mode
    return plain, MappingProxyType(_options(strings))


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


def _plain(packet: Any) -> Packet:
    """tftpy's packet as one of our values."""
    types = _tftpy().types
    if isinstance(packet, types.TftpPacketACK):
        return Ack(packet.blocknumber)
    if isinstance(packet, types.TftpPacketDAT):
        return Data(packet.blocknumber, packet.data)
    if isinstance(packet, types.TftpPacketERR):
        text = (packet.errmsg or b"").split(b"\0")[0]
        return Error(packet.errorcode, text.decode("latin-1"))
    if isinstance(packet, types.TftpPacketOACK):
        return OptionAck({name.lower(): value for name, value in packet.options.items()})
    raise WireError(f"unexpected {type(packet).__name__}")


def encode(packet: Packet) -> bytes:
    """The datagram; nothing behind the last string's zero."""
    if isinstance(packet, OptionAck):
        return _option_ack(tuple(packet.options.items()))
    return _encoded(_of_tftpy(packet))


@lru_cache(maxsize=_MOST_KEPT)
def _option_ack(options: tuple[tuple[str, str], ...]) -> bytes:
    """Whole racks get the same one."""
    made = _tftpy().types.TftpPacketOACK()
    made.options = dict(options)
    return _encoded(made)


def _encoded(packet: Any) -> bytes:
    packet.encode()
    buffer: bytes = packet.buffer
    return buffer


def _of_tftpy(packet: Packet) -> Any:
    """The same as tftpy has it; an OACK has a way of its own."""
    types = _tftpy().types
    match packet:
        case ReadRequest() | WriteRequest():
            reads = isinstance(packet, ReadRequest)
            made = types.TftpPacketRRQ() if reads else types.TftpPacketWRQ()
            made.filename, made.mode = packet.path.encode(), packet.mode
            made.options = dict(packet.options)
        case Data():
            made = types.TftpPacketDAT()
            made.blocknumber, made.data = packet.block, packet.data
        case Ack():
            made = types.TftpPacketACK()
            made.blocknumber = packet.block
        case Error():
            made = types.TftpPacketERR()
            made.errorcode = packet.code
            made.errmsgs = {packet.code: _ascii(packet.text)}
    return made


def _ascii(text: str) -> bytes:
    """RFC 1350 wants netascii; a zero would end the text, and a ROM's buffer is small."""
    return text.encode("ascii", "replace").replace(b"\0", b"?")[:_LONGEST_ERROR_TEXT]
