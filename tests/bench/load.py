"""
Many DHCP clients in one program: what they send, and how long each waits.

Each asks for an address as a client does that has none, with DISCOVER, OFFER, REQUEST and ACK (RFC
2131, section 3.1).  They are behind a relay, which is this program: servers answer its address by
unicast, and no client needs one.  Or they are on the server's network and want broadcasts, which
all of them hear.

It runs by itself in a namespace, so that the clients share no processor time with the servers::

    python -m tests.bench.load '{"server": "10.64.0.1", "relay": "10.64.0.2", "clients": 1000}'

and prints one JSON object.  It knows nothing of netbootd: packets are put together with struct.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

COOKIE = b"\x63\x82\x53\x63"
#: What clients commonly ask for (option 55): netmask, router, DNS, host and domain name, MTU,
#: broadcast address, NTP, search list.
WISHES = bytes((55, 9, 1, 3, 6, 12, 15, 26, 28, 42, 119))
BROADCAST = 0x8000
OFFER, ACK, NAK = 2, 5, 6
#: Seconds after which a client asks again, as RFC 2131 would have it (4.1) but sooner.
PATIENCE_S = 1.0
BUFFER = 32 << 20


@dataclass
class Load:
    """
    *clients* want an address of *server*: through the *relay* that has this address, or by
    broadcast where that is empty.

    *rate*: so many begin in each second, and none asks twice; 0: as soon as there are less than
    *window* under way, for *most_s* seconds, and who gets no answer asks again.  *first* is the number of the first
    client, of which its MAC is made.
    """

    server: str
    relay: str = ""
    clients: int = 1000
    rate: float = 0
    window: int = 64
    most_s: float = 60
    first: int = 1


@dataclass
class Counted:
    """
    Times in seconds: of the whole, and of each client from its DISCOVER to its ACK.

    *addresses* are those that were given, each once, however many have it.
    """

    seconds: float = 0.0
    again: int = 0
    refused: int = 0
    offered: list[float] = field(default_factory=list)
    leased: list[float] = field(default_factory=list)
    addresses: set[bytes] = field(default_factory=set)


class Clients:
    """All of them, on one socket.  A client's number is the xid of its packets."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.counted = Counted()
        self._socket, self._to = _socket(load)
        self._begun: dict[int, float] = {}
        self._waiting: dict[int, bytes] = {}
        self._overdue: deque[tuple[float, int]] = deque()
        self._buffer = bytearray(2048)

    def run(self) -> Counted:
        """Until each has its address, or has waited long enough."""
        start = time.perf_counter()
        if self.load.rate:
            self._at_a_rate(start)
        else:
            self._as_fast_as_may_be()
        self.counted.seconds = time.perf_counter() - start
        return self.counted

    def _at_a_rate(self, start: float) -> None:
        last = self.load.first + self.load.clients
        for number in range(self.load.first, last):
            due = start + (number - self.load.first) / self.load.rate
            while (left := due - time.perf_counter()) > 0:
                self._hear(left)
            self._begin(number, due)
        end = time.perf_counter() + 3 * PATIENCE_S
        while self._begun and (left := end - time.perf_counter()) > 0:
            self._hear(left)

    def _as_fast_as_may_be(self) -> None:
        numbers = iter(range(self.load.first, self.load.first + self.load.clients))
        end = time.perf_counter() + self.load.most_s
        more = True
        while (more or self._begun) and time.perf_counter() < end:
            while more and len(self._begun) < self.load.window:
                number = next(numbers, None)
                if number is None:
                    more = False
                else:
                    self._begin(number, time.perf_counter())
            self._hear(PATIENCE_S)
            self._ask_again(time.perf_counter())

    def _begin(self, number: int, now: float) -> None:
        self._begun[number] = now
        self._send(number, packet(number, self.load.relay, 1), now)

    def _send(self, number: int, message: bytes, now: float) -> None:
        self._waiting[number] = message
        self._overdue.append((now + PATIENCE_S, number))
        self._socket.sendto(message, self._to)

    def _ask_again(self, now: float) -> None:
        while self._overdue and self._overdue[0][0] < now:
            _, number = self._overdue.popleft()
            if number in self._begun:
                self.counted.again += 1
                self._send(number, self._waiting[number], now)

    def _hear(self, seconds: float) -> None:
        """What there is, or comes within *seconds*."""
        if not select.select([self._socket], [], [], seconds)[0]:
            return
        for _ in range(256):
            try:
                self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            self._answered(self._buffer)

    def _answered(self, reply: bytearray) -> None:
        number = int.from_bytes(reply[4:8], "big")
        begun = self._begun.get(number)
        if begun is None or reply[0] != 2:
            return
        kind, server = type_and_server(reply)
        now = time.perf_counter()
        if kind == OFFER and self._waiting[number][242] == 1:
            self.counted.offered.append(now - begun)
            chosen = bytes((50, 4)) + reply[16:20] + bytes((54, 4)) + server
            self._send(number, packet(number, self.load.relay, 3, chosen), now)
        elif kind == ACK:
            self.counted.leased.append(now - begun)
            self.counted.addresses.add(bytes(reply[16:20]))
            del self._begun[number], self._waiting[number]
        elif kind == NAK:
            self.counted.refused += 1
            del self._begun[number], self._waiting[number]


def _socket(load: Load) -> tuple[socket.socket, tuple[str, int]]:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, 33, BUFFER)  # SO_RCVBUFFORCE
    if load.relay:
        opened.bind((load.relay, 67))
        to = (load.server, 67)
    else:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
        opened.bind(("", 68))
        to = ("255.255.255.255", 67)
    opened.setblocking(False)
    return opened, to


def packet(number: int, relay: str, kind: int, options: bytes = b"") -> bytes:
    """A request of type *kind* (option 53) with *options*, of client *number*."""
    mac = b"\x02\x00" + number.to_bytes(4, "big")
    hops, flags = (1, 0) if relay else (0, BROADCAST)
    head = struct.pack("!BBBBIHH", 1, 1, 6, hops, number, 0, flags)
    addresses = bytes(12) + socket.inet_aton(relay or "0.0.0.0")
    body = head + addresses + mac + bytes(10 + 64 + 128) + COOKIE
    body += bytes((53, 1, kind)) + options + WISHES + bytes((61, 7, 1)) + mac + b"\xff"
    return body.ljust(300, b"\0")  # as BOOTP had it (RFC 1542, section 2.1)


def type_and_server(reply: bytearray) -> tuple[int, bytes]:
    """Options 53 and 54."""
    kind, server, at = 0, bytes(4), 240
    while at < len(reply) and reply[at] != 255:
        if reply[at] == 0:
            at += 1
            continue
        if reply[at] == 53:
            kind = reply[at + 2]
        elif reply[at] == 54:
            server = bytes(reply[at + 2 : at + 6])
        if kind and server != bytes(4):
            break
        at += 2 + reply[at + 1]
    return kind, server


def quantile(times: list[float], part: float) -> float:
    """The time in which that *part* of them was over; nan for none."""
    ordered = sorted(times)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else float("nan")


def summary(counted: Counted) -> dict[str, Any]:
    """For print: times in milliseconds."""
    return {
        "seconds": counted.seconds,
        "leases": len(counted.leased),
        "addresses": len(counted.addresses),
        "again": counted.again,
        "refused": counted.refused,
        **{
            f"{name}_p{percent}": quantile(times, percent / 100) * 1000
            for name, times in (("offer", counted.offered), ("lease", counted.leased))
            for percent in (50, 99)
        },
        "lease_max": max(counted.leased, default=float("nan")) * 1000,
    }


if __name__ == "__main__":
    gc.disable()
    print(json.dumps(summary(Clients(Load(**json.loads(sys.argv[1]))).run())))
