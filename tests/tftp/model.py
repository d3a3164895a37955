"""
A client and a wire in memory, with a clock of their own: nothing here sleeps.

``Client`` reads as RFC 1350 and RFC 7440 say.  Where they leave room it can be difficult: it may
acknowledge every block that comes out of order, as many do, or a copy once only, as atftp does,
whose timer each packet starts anew.
"""

from __future__ import annotations

import heapq
import itertools
import random
import struct
from dataclasses import dataclass, field

from netbootd.tftp import wire
from netbootd.tftp.blocks import Train
from netbootd.tftp.options import PLAIN, Grant
from netbootd.tftp.transfer import Transfer

_TWO_NUMBERS = struct.Struct("!HH")
OPTIONS = {"blksize": "x"}  # any answer makes the transfer begin with an OACK


def synthetic(offset: int, count: int) -> bytes:
    """A file without end whose every block differs: its numbered 8-byte words."""
    first, last = offset // 8, (offset + count + 7) // 8
    words = struct.pack(f"!{last - first}Q", *range(first, last))
    return words[offset - first * 8 :][:count]


class File:
    """*size* bytes of the synthetic file."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.reads = 0

    def read(self, offset: int, count: int) -> bytes:
        self.reads += 1
        return synthetic(offset, max(0, min(count, self.size - offset)))


def grant(blksize: int = 512, windowsize: int = 1, timeout_s: int | None = None) -> Grant:
    return Grant(blksize, windowsize, timeout_s, OPTIONS)


def transfer(size: int, granted: Grant = PLAIN, **more) -> Transfer:
    return Transfer(File(size).read, size, granted, **more)


def datagrams(train: Train | None) -> list[bytes]:
    """What would leave on the wire."""
    if train is None:
        return []
    data, length = bytes(train[0]), train[1]
    return [data[at : at + length] for at in range(0, len(data), length)]


def numbers(train: Train | None) -> list[int]:
    """The 16-bit block numbers of a train of DATA."""
    return [wire.decode(each).block for each in datagrams(train)]


def _ack(number: int) -> bytes:
    return _TWO_NUMBERS.pack(wire.Opcode.ACK, number)


@dataclass
class Client:
    """Collects a file; *waits_s* is its own timer, after which it repeats its last packet."""

    granted: Grant
    nervous: bool = False  # acknowledges whatever is out of order, each time
    answers_once: bool = False  # copies of a block beyond the first are silently thrown away
    waits_s: float = 3.0
    received: bytearray = field(default_factory=bytearray)
    block: int = 0  # the last one in order, without roll-over
    since_ack: int = 0
    done: bool = False
    warned: bool = False  # about a gap, once until the gap is closed
    plain: bool = False  # a block of the size without options came, after ACKs of OACKs were lost
    _stray: int = 0  # the last block out of order
    _answered: int = -1  # the last block whose copy was acknowledged

    def hear(self, datagram: bytes) -> list[bytes]:
        opcode, number = _TWO_NUMBERS.unpack_from(datagram)
        if opcode == wire.Opcode.OACK:
            return [_ack(0)]
        if opcode == wire.Opcode.DATA:
            return self._data(number, datagram[wire.HEADER :])
        return []

    def _data(self, number: int, data: bytes) -> list[bytes]:
        self.plain = self.plain or len(data) > self.granted.blksize
        if number != (self.block + 1) & 0xFFFF:
            return self._out_of_order(number)
        if not self.done:
            self.received += data
        self.warned = False
        self.block += 1
        self.since_ack += 1
        self.done = self.done or len(data) < self.granted.blksize
        return self._ack() if self.done or self.since_ack == self.granted.windowsize else []

    def _out_of_order(self, number: int) -> list[bytes]:
        """A gap is told once; blocks that begin before our last one are a new attempt."""
        backwards = (number - self._stray) & 0xFFFF > 0x8000
        self._stray = number
        if self.answers_once and self._answered == self.block:
            return []
        self._answered = self.block
        if self.nervous or self.granted.windowsize == 1 or not self.warned or backwards:
            self.warned = True
            return self._ack()
        return []

    def _ack(self) -> list[bytes]:
        self.since_ack = 0
        return [_ack(self.block & 0xFFFF)]


@dataclass
class Wire:
    """Carries packets between one transfer and one client, more or less well."""

    seed: int = 0
    loss: float = 0.0
    doubling: float = 0.0
    disorder: float = 0.0
    delay_s: float = 0.001
    packets: int = 0
    now: float = 0.0

    def carry(self, served: Transfer, client: Client, limit: int = 1_000_000) -> None:
        """Until the transfer has an outcome."""
        self._chance = random.Random(self.seed)
        self._order = itertools.count()
        self._way: list[tuple[float, int, str, bytes]] = []
        self._put("client", datagrams(served.start(self.now)))
        heard_at = self.now
        while served.outcome is None:
            assert self.packets < limit, "more packets than such a file can need"
            timer = min(served.deadline, heard_at + client.waits_s)
            if self._way and self._way[0][0] <= timer:
                self.now, _, to, datagram = heapq.heappop(self._way)
                if to == "client":
                    heard_at = self.now
                    self._put("server", client.hear(datagram))
                else:
                    self._put("client", self._serve(served, datagram))
                continue
            self.now = timer
            if self.now >= served.deadline:
                self._put("client", datagrams(served.tick(self.now)))
            else:
                heard_at = self.now
                again = served.again(self.now)
                self._put("client", datagrams(again))
                self._put("server", client._ack() if client.block else [])

    def _serve(self, served: Transfer, datagram: bytes) -> list[bytes]:
        return datagrams(served.acknowledge(wire.acknowledged(datagram), self.now))

    def _put(self, to: str, sent: list[bytes]) -> None:
        for at, datagram in enumerate(sent):
            self.packets += 1
            if self._chance.random() < self.loss:
                continue
            copies = 2 if self._chance.random() < self.doubling else 1
            for _ in range(copies):
                late = 0.0005 if self._chance.random() < self.disorder else 0.0
                arrives = self.now + self.delay_s + at * 0.00001 + late
                heapq.heappush(self._way, (arrives, next(self._order), to, datagram))
