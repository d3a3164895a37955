"""
A client that hears nothing: requests with addresses that are not its own, and what their owners
would have to answer, by a packet socket.

``python forger.py INTERFACE SERVER-IP SERVER-MAC WHAT [NUMBER]`` asks for ``big`` in the largest
windows, in the name of 198.18.0.9 (RFC 2544), and prints how many packets and bytes it has sent:

``single``   its ACKs to port 69, NUMBER of them, as often as there could be an answer
``spray``    its first one to each port that a kernel may have chosen
``known``    NUMBER requests a second for a minute, in the names of 198.18.0.0 and 1,999 more
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

from tests.end_to_end.flood import udp

VICTIM, VICTIM_PORT = IPv4Address("198.18.0.9"), 2000
KNOWN = 2000
REQUEST = b"\0\1big\0octet\0blksize\x001456\0windowsize\x0064\0"
_LEAST_FRAME = 60  # bytes, without its checksum
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def known(number: int) -> IPv4Address:
    """One of those 2,000."""
    return IPv4Address("198.18.0.0") + number % KNOWN


class Forger:
    """Sends and counts."""

    def __init__(self, interface: str, server: str, server_mac: str) -> None:
        self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._wire.bind((interface, 0))
        self._server = IPv4Address(server).packed
        self._head = bytes.fromhex(server_mac.replace(":", "")) + b"\2\0\0\0\0\1\x08\0"
        self.packets = self.bytes = 0

    def frame(self, payload: bytes, to: int, source: IPv4Address, port: int) -> bytes:
        return self._head + udp(source.packed, self._server, (port, to), payload)

    def send(self, frame: bytes) -> None:
        self.packets += 1
        self.bytes += max(_LEAST_FRAME, len(frame))
        with contextlib.suppress(OSError):  # the queue of the card is full
            self._wire.send(frame)

    def say(self, payload: bytes, to: int = 69) -> None:
        """In the victim's name."""
        self.send(self.frame(payload, to, VICTIM, VICTIM_PORT))


def single(forger: Forger, count: int) -> None:
    """Blocks are four to the window."""
    forger.say(REQUEST)
    time.sleep(0.2)
    for number in range(count):
        forger.say(b"\0\4" + struct.pack(">H", 4 * number & 0xFFFF))
        time.sleep(0.0002)


def spray(forger: Forger) -> None:
    low, high = map(int, _RANGE.read_text().split())
    forger.say(REQUEST)
    time.sleep(0.2)
    for port in range(low, high + 1):
        forger.say(b"\0\4\0\0", port)
        if not port % 100:
            time.sleep(0.001)


def flood(forger: Forger, rate: int) -> None:
    dice = random.Random(rate)
    payload = b"\0\1loader\0octet\0tsize\x000\0blksize\x001456\0"
    made = [
        forger.frame(payload, 69, known(dice.randrange(KNOWN)), dice.randrange(1024, 65_000))
        for _ in range(20_000)
    ]
    print("floods", flush=True)
    began = time.monotonic()
    while (passed := time.monotonic() - began) < 60:
        for _ in range(min(int(passed * rate) - forger.packets, rate // 10)):
            forger.send(made[forger.packets % len(made)])
        time.sleep(0.005)


if __name__ == "__main__":
    made = Forger(*sys.argv[1:4])
    match sys.argv[4:]:
        case ["single", count]:
            single(made, int(count))
        case ["spray"]:
            spray(made)
        case ["known", rate]:
            flood(made, int(rate))
    print(made.packets, made.bytes, flush=True)
