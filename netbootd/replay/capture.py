"""
Capture files: bytes in, frames out, numbered as Wireshark numbers them.

Both kinds are read, the classic one (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-03.html)
and pcapng (draft-ietf-opsawg-pcapng-02), each in either order of bytes.  They are simple enough for
``struct``; scapy's readers trust the lengths in the file and allocate what these say.

A capture that was cut off in the middle, as one is whose tcpdump was killed, gives all that is
whole, and then raises Damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from netbootd.errors import NetbootdError

#: Bytes of one frame that are believed: libpcap's MAXIMUM_SNAPLEN.
_LONGEST_FRAME = 262_144
#: Bytes of one block of pcapng: a frame and generous options.
_LONGEST_BLOCK = 16 << 20
_MOST_INTERFACES = 4096
_LATEST = 253_402_300_799  # the last second of the year 9999, beyond which is no time of a packet

_CLASSIC = {
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),  # times in nanoseconds
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
}
_SECTION = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDER = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_INTERFACE, _OBSOLETE, _SIMPLE, _ENHANCED = 1, 2, 3, 6
_TSRESOL, _TSOFFSET = 9, 14  # options of an interface
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class NoCapture(NetbootdError):
    """The file is none that can be read; the text says what it is instead."""


class Damaged(NetbootdError):
    """Behind the frames that were given, the file makes no sense; the text says where."""


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One frame: its *number* from 1, *at* in Unix seconds (0 where the capture says no time), its
    *link* type (https://www.tcpdump.org/linktypes.html), and its *size* in bytes on the wire, of
    which *data* may be the beginning only.
    """

    number: int
    at: float
    link: int
    data: bytes
    size: int


def frames(opened: BinaryIO) -> Iterator[Frame]:
    """Every frame of *opened*; raises NoCapture at once, or Damaged behind the last whole one."""
    magic = opened.read(4)
    if magic in _CLASSIC:
        return _classic(opened, *_CLASSIC[magic])
    if magic == _SECTION:
        return _Pcapng(opened).frames()
    if magic.startswith((_GZIP, _ZSTD)):
        raise NoCapture("it is compressed; uncompress it first (gunzip, unzstd)")
    if not magic:
        raise NoCapture("it is empty")
    raise NoCapture(f"it begins with {magic.hex(' ')}, as neither pcap nor pcapng does")


def _classic(opened: BinaryIO, order: str, unit: float) -> Iterator[Frame]:
    header = opened.read(20)
    if len(header) < 20:
        raise NoCapture("its header is cut off")
    link = int(struct.unpack(order + "HHiIII", header)[5]) & 0xFFFF  # above are the FCS's bits
    record = struct.Struct(order + "IIII")
    number = 0
    while head := opened.read(record.size):
        number += 1
        if len(head) < record.size:
            raise Damaged(f"the capture is cut off in packet {number}")
        seconds, fraction, kept, size = record.unpack(head)
        if kept > _LONGEST_FRAME:
            raise Damaged(f"packet {number} claims to have {kept:,} bytes")
        data = opened.read(kept)
        if len(data) < kept:
            raise Damaged(f"the capture is cut off in packet {number}")
        yield Frame(number, seconds + fraction * unit, link, data, max(size, kept))


@dataclass(slots=True)
class _Interface:
    link: int
    snaplen: int
    unit: float = 1e-6  # seconds
    offset: int = 0


@dataclass(slots=True)
class _Pcapng:
    """What is known while the blocks of *opened* go by; each section begins anew."""

    opened: BinaryIO
    order: str = "<"
    interfaces: list[_Interface] = field(default_factory=list)
    number: int = 0

    def frames(self) -> Iterator[Frame]:
        """The blocks that are frames."""
        self._begin_section()
        while (kind_bytes := self.opened.read(4)) != b"":
            if kind_bytes == _SECTION:
                self._begin_section()
                continue
            kind, body = self._block(kind_bytes)
            if kind == _INTERFACE:
                self._note_interface(body)
            elif kind in (_ENHANCED, _OBSOLETE, _SIMPLE):
                self.number += 1
                yield self._frame(kind, body)

    def _begin_section(self) -> None:
        head = self._take(8)
        order = _BYTE_ORDER.get(head[4:])
        if order is None:
            raise self._damaged(f"a section has the byte order {head[4:].hex(' ')}")
        self.order, self.interfaces = order, []
        size = struct.unpack(order + "I", head[:4])[0]
        self._take(self._checked(size) - 12)

    def _block(self, kind: bytes) -> tuple[int, bytes]:
        """Its type, and its body without the two lengths."""
        size = self._checked(struct.unpack(self.order + "I", self._take(4))[0])
        body = self._take(size - 8)
        return struct.unpack(self.order + "I", kind.ljust(4, b"\0"))[0], body[:-4]

    def _checked(self, size: int) -> int:
        if size < 12 or size % 4 or size > _LONGEST_BLOCK:
            raise self._damaged(f"a block claims to have {size:,} bytes")
        return size

    def _take(self, count: int) -> bytes:
        data = self.opened.read(count)
        if len(data) < count:
            raise self._damaged("the capture is cut off")
        return data

    def _damaged(self, told: str) -> Damaged:
        return Damaged(f"{told} after packet {self.number}")

    def _note_interface(self, body: bytes) -> None:
        if len(body) < 8 or len(self.interfaces) >= _MOST_INTERFACES:
            raise self._damaged("an interface is badly described")
        link, _, snaplen = struct.unpack_from(self.order + "HHI", body)
        interface = _Interface(link, snaplen)
        for code, value in self._options(body[8:]):
            if code == _TSRESOL and value:
                power = value[0] & 0x7F
                interface.unit = 2.0**-power if value[0] & 0x80 else 10.0**-power
            elif code == _TSOFFSET and len(value) == 8:
                interface.offset = struct.unpack(self.order + "q", value)[0]
        self.interfaces.append(interface)

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        at = 0
        while at + 4 <= len(data):
            code, size = struct.unpack_from(self.order + "HH", data, at)
            if code == 0 or at + 4 + size > len(data):
                return
            yield code, data[at + 4 : at + 4 + size]
            at += 4 + (size + 3 & ~3)

    def _frame(self, kind: int, body: bytes) -> Frame:
        if kind == _SIMPLE:
            return self._simple(body)
        shape = "IIIII" if kind == _ENHANCED else "HHIIII"
        head = struct.Struct(self.order + shape)
        if len(body) < head.size:
            raise self._damaged("the capture makes no sense")
        index, *skipped, high, low, kept, size = head.unpack_from(body)
        assert len(skipped) == (kind == _OBSOLETE)  # the number of drops
        interface = self._interface(index)
        at = ((high << 32) | low) * interface.unit + interface.offset
        at = at if 0 <= at <= _LATEST else 0.0
        return Frame(self.number, at, interface.link, *self._data(body[head.size :], kept, size))

    def _simple(self, body: bytes) -> Frame:
        if len(body) < 4:
            raise self._damaged("the capture makes no sense")
        interface = self._interface(0)
        size = struct.unpack_from(self.order + "I", body)[0]
        kept = min(size, interface.snaplen or size)
        return Frame(self.number, 0.0, interface.link, *self._data(body[4:], kept, size))

    def _data(self, behind: bytes, kept: int, size: int) -> tuple[bytes, int]:
        if kept > len(behind):
            raise self._damaged(f"the next one claims to have {kept:,} bytes, and the capture")
        return behind[:kept], max(size, kept)

    def _interface(self, index: int) -> _Interface:
        if index >= len(self.interfaces):
            raise self._damaged(f"a frame names interface {index}, which is not described,")
        return self.interfaces[index]
