"""
A flood: Ethernet frames with addresses that nobody has, as fast as is asked for, by a packet socket.

``python flood.py INTERFACE SERVER-IP SERVER-MAC SECONDS KIND=RATE...``; the kinds are below, the
rates in packets a second.  Frames are made beforehand, so that a thousand of them cost some
milliseconds; it says how many it has sent.

All go to the server's card alone, or every other host of the network would be flooded as well.
Each frame has a source of its own: its MAC, its address (in 198.18.0.0/15, RFC 2544, or with
``near-`` before the kind on the server's own network) and its port.  UDP checksums are left out,
which RFC 768 allows; DHCPv6 has them.

The kinds that end in ``-listed`` are sent in the name of the LISTED machines that a site may have;
``fresh-`` before them has each packet be of a transaction of its own, else they go round and round.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

MADE = 20_000  # frames of one kind, sent round and round
_BURSTS_A_SECOND = 100
_COOKIE = bytes.fromhex("63825363")
LISTED = 10_000
_XID_AT = 14 + 20 + 8 + 4  # of a DISCOVER in its frame


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


def listed(number: int) -> bytes:
    """The MAC of a machine that the configuration names."""
    return bytes.fromhex("52540077") + (number % LISTED).to_bytes(2, "big")


def _discover(mac: bytes, _source: bytes, _server: bytes, number: int) -> bytes:
    return discover(mac, number)


def discover(mac: bytes, number: int) -> bytes:
    """A card with PXE, which nobody knows, in the transaction *number*."""
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


def _broken(mac: bytes, source: bytes, server: bytes, number: int) -> bytes:
    """
    To 67 or 4011: of impossible lengths, or with a wrong checksum, of IP or UDP; cut short, without
    the cookie, or with options that have no end.
    """
    port = (67, 4011)[number % 2]
    whole = _discover(mac, source, server, number)
    packet = bytearray(udp(source, server, (68, port), whole[28:]))
    match number // 2 % 6:
        case 0:
            packet[26:28] = b"\x12\x34"  # RFC 768
        case 1:
            packet[10:12] = b"\0\0"
        case 2:
            packet[24:26] = b"\xff\xff"
        case 3:
            packet[28 + 236 : 28 + 240] = bytes(4)
        case 4:
            return udp(source, server, (68, port), whole[28 : 28 + number % 230])
        case 5:
            packet[28 + 243 :] = b"\x0c\xff" * ((len(packet) - 28 - 243) // 2)
            return udp(source, server, (68, port), bytes(packet[28:]))
    return bytes(packet)


def solicit(card: bytes, xid: bytes) -> bytes:
    """Of UEFI, which wants an address and a file."""
    duid = b"\0\3\0\1" + card
    options = b"\0\1" + len(duid).to_bytes(2, "big") + duid
    options += bytes.fromhex("0003000c00000007") + bytes(8) + bytes.fromhex("000600040017003b")
    vendor = b"\0\0\1\x57\0\x20PXEClient:Arch:00007:UNDI:003000"
    options += b"\0\x3d\0\2\0\7" + b"\0\x10" + len(vendor).to_bytes(2, "big") + vendor
    return b"\1" + xid + options


def link_local(card: bytes) -> bytes:
    """The address that *card* makes of its own (RFC 4291, appendix A)."""
    near = bytes((card[0] ^ 2,)) + card[1:3] + b"\xff\xfe" + card[3:]
    return b"\xfe\x80" + bytes(6) + near


def frame6(card: bytes, by: bytes, server_mac: bytes, message: bytes) -> bytes:
    """*message* to all DHCPv6 servers from the link-local address of *card*, in a frame *by*."""
    source = link_local(card)
    to = IPv6Address("ff02::1:2").packed
    length = 8 + len(message)
    head = struct.pack(">HHHH", 546, 547, length, 0)
    padded = head + message + bytes(length % 2)
    check = _sum(source + to + struct.pack(">II", length, socket.IPPROTO_UDP) + padded) or 0xFFFF
    udp = head[:6] + struct.pack(">H", check) + message
    ip = struct.pack(">IHBB", 6 << 28, length, socket.IPPROTO_UDP, 1) + source + to
    return server_mac + by + b"\x86\xdd" + ip + udp


KINDS: dict[str, Callable[[bytes, bytes, bytes, int], bytes]] = {
    "discover": _discover,
    "discover-listed": _discover,
    "broken": _broken,
    "rrq": _read_request,
    "missing": _missing,
    "ack": _stray,
    "syslog": _line,
    "syn": _syn,
}


def frames(kind: str, server: bytes, server_mac: bytes, made: int = MADE) -> list[bytes]:
    """*made* of that *kind*."""
    kind, near = kind.removeprefix("fresh-").removeprefix("near-"), kind.startswith("near-")
    dice, made_frames = random.Random(kind), []
    for number in range(made):
        mac = listed(number) if kind.endswith("-listed") else b"\x02" + dice.randbytes(5)
        if kind.startswith("solicit"):
            by = b"\x02" + dice.randbytes(5)  # or switches would send answers our way
            made_frames.append(frame6(mac, by, server_mac, solicit(mac, dice.randbytes(3))))
            continue
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
                frame = made[kind][number % MADE]
                if kind.startswith("fresh-"):
                    xid = struct.pack(">I", number & 0xFFFF_FFFF)
                    frame = frame[:_XID_AT] + xid + frame[_XID_AT + 4 :]
                with contextlib.suppress(OSError):  # the queue of the card is full
                    wire.send(frame)
            sent[kind] += due
        time.sleep(1 / _BURSTS_A_SECOND)
    print("sent", *(f"{kind}={count}" for kind, count in sent.items()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), *sys.argv[5:])
