"""
A flood: Ethernet frames with addresses that nobody has, as fast as is asked for, by a packet socket.

``python flood.py INTERFACE SERVER-IP SERVER-MAC SECONDS KIND=RATE...``; the kinds are below, the
rates in packets a second.  Frames are made beforehand, so that a thousand of them cost some
milliseconds; it says how many it has sent.

All go to the server's card alone, or every other host of the network would be flooded as well.
Each frame has a source of its own: its MAC, its address (in 198.18.0.0/15, RFC 2544, or with
``near-`` before the kind on the server's own network) and its port.  UDP checksums are left out,
which RFC 768 allows.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address

MADE = 20_000  # frames of one kind, sent round and round
_BURSTS_A_SECOND = 100
_COOKIE = bytes.fromhex("63825363")


def _sum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ip(source: bytes, to: bytes, protocol: int, payload: bytes) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    check = struct.pack(">H", _sum(head + source + to))
    return head[:10] + check + source + to + payload


def udp(source: bytes, to: bytes, ports: tuple[int, int], payload: bytes) -> bytes:
    """An IPv4 packet from the first of *ports* to the second."""
    return _ip(
        source, to, socket.IPPROTO_UDP, struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload
    )


def _discover(mac: bytes, _source: bytes, _server: bytes, number: int) -> bytes:
    """A card with PXE, which nobody knows."""
    header = struct.pack(">BBBBIHH16x6s10x192x", 1, 1, 6, 0, number, 0, 0x8000, mac)
    options = bytes((53, 1, 1, 60, 32)) + b"PXEClient:Arch:00000:UNDI:002001"
    options += bytes((93, 2, 0, 0, 94, 3, 1, 2, 1, 97, 17, 0)) + mac + bytes(10)
    options += bytes((55, 4, 1, 3, 66, 67)) + bytes((12, 6)) + mac.hex()[:6].encode() + b"\xff"
    payload = header + _COOKIE + options
    return udp(bytes(4), b"\xff" * 4, (68, 67), payload)


def _read_request(_mac: bytes, source: bytes, server: bytes, number: int) -> bytes:
    payload = b"\0\1undionly.kpxe\0octet\0tsize\0000\0blksize\0001456\0"
    return udp(source, server, (1024 + number % 60_000, 69), payload)


def _missing(_mac: bytes, source: bytes, server: bytes, number: int) -> bytes:
    payload = b"\0\1pxelinux.cfg/%d\0octet\0" % number
    return udp(source, server, (1024 + number % 60_000, 69), payload)


def _stray(_mac: bytes, source: bytes, server: bytes, number: int) -> bytes:
    return udp(source, server, (1024 + number % 60_000, 69), b"\0\4\0\1")


def _line(_mac: bytes, source: bytes, server: bytes, number: int) -> bytes:
    payload = b"<13>1 - host%d app - - - a line that says nothing at all" % number
    return udp(source, server, (1024 + number % 60_000, 514), payload)


def _syn(_mac: bytes, source: bytes, server: bytes, number: int) -> bytes:
    port = 1024 + number % 60_000
    plain = struct.pack(">HHIIBBHHH", port, 3000, number, 0, 0x50, 2, 64240, 0, 0)
    check = _sum(source + server + struct.pack(">BBH", 0, socket.IPPROTO_TCP, 20) + plain)
    segment = plain[:16] + struct.pack(">HH", check, 0)
    return _ip(source, server, socket.IPPROTO_TCP, segment)


KINDS: dict[str, Callable[[bytes, bytes, bytes, int], bytes]] = {
    "discover": _discover,
    "rrq": _read_request,
    "missing": _missing,
    "ack": _stray,
    "syslog": _line,
    "syn": _syn,
}


def frames(kind: str, server: bytes, server_mac: bytes, made: int = MADE) -> list[bytes]:
    """*made* of that *kind*."""
    kind, near = kind.removeprefix("near-"), kind.startswith("near-")
    dice, made_frames = random.Random(kind), []
    for number in range(made):
        mac = b"\x02" + dice.randbytes(5)
        if near:
            source = server[:3] + bytes((200 + number % 50,))
        else:
            source = (int(IPv4Address("198.18.0.0")) + dice.getrandbits(17)).to_bytes(4, "big")
        packet = KINDS[kind](mac, source, server, dice.getrandbits(32))
        made_frames.append(server_mac + mac + b"\x08\0" + packet)
    return made_frames


def main(interface: str, server: str, server_mac: str, seconds: float, *wanted: str) -> None:
    there, card = IPv4Address(server).packed, bytes.fromhex(server_mac.replace(":", ""))
    rates = {kind: int(rate) for kind, rate in (word.split("=") for word in wanted)}
    made = {kind: frames(kind, there, card) for kind in rates}
    sent = dict.fromkeys(rates, 0)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind((interface, 0))
    print("floods", flush=True)
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        for kind, rate in rates.items():
            due = min(int(passed * rate) - sent[kind], rate // 10)
            for number in range(sent[kind], sent[kind] + due):
                with contextlib.suppress(OSError):  # the queue of the card is full
                    wire.send(made[kind][number % MADE])
            sent[kind] += due
        time.sleep(1 / _BURSTS_A_SECOND)
    print("sent", *(f"{kind}={count}" for kind, count in sent.items()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), *sys.argv[5:])
