"""
A DHCP, TFTP and web server that gets one thing wrong: what load generators have to notice.

    python -m tests.bench.liar dhcp|tftp|http FAULT [FILE]

It prints "ready" and serves until it is killed.  Every TENTH answer, transfer or body has the fault;
"none" has none.  It knows nothing of netbootd.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections import Counter
from itertools import count
from pathlib import Path

TENTH = 10
ADDRESS = "192.0.2.10"


def options(request: bytes) -> dict[int, bytes]:
    """Those of a DHCP *request*."""
    found, at = {}, 240
    while at < len(request) and request[at] != 255:
        found[request[at]] = request[at + 2 : at + 2 + request[at + 1]]
        at += 2 + request[at + 1]
    return found


def answer(request: bytes, number: int, fault: str) -> list[bytes]:
    """OFFER or ACK, as often as it is to be sent."""
    now = number % TENTH == TENTH - 1
    asked = options(request)
    head = bytearray(request[:240])
    head[0] = 2
    yiaddr = bytes((10, 65, *divmod(int.from_bytes(request[30:34], "big") % 65000, 256)))
    if fault in ("lease", "same address", "refusal"):
        head[16:20] = bytes((10, 65, 255, 254)) if now and fault == "same address" else yiaddr
    head[20:24] = socket.inet_aton(ADDRESS)
    head[108:119] = b"wrong.file\0" if now and fault == "file" else b"right.file\0"
    if now and fault == "machine":
        head[33] ^= 1
    uuid = asked[97][:-1] + bytes((asked[97][-1] ^ (now and fault == "uuid"),))
    kind = {1: 2, 3: 5}[asked[53][0]]
    if now and fault == "refusal" and kind == 5:
        kind = 6
    body = b"\x35\x01%c\x36\x04%b" % (kind, socket.inet_aton(ADDRESS))
    body += b"\x3c\x09PXEClient\x61\x11" + uuid
    body += b"" if now and fault == "torn" else b"\xff"
    times = {"silence": 0, "twice": 2}.get(fault, 1) if now else 1
    return [bytes(head) + body] * times


def dhcp(fault: str) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
    sock.bind(("", 67))
    print("ready", flush=True)
    seen: Counter[int] = Counter()
    while True:
        request = sock.recv(2048)
        kind = options(request)[53][0]
        for reply in answer(request, seen[kind], fault):
            sock.sendto(reply, ("255.255.255.255", 68))
        seen[kind] += 1


def tftp(fault: str, content: bytes) -> None:
    """Blocks of 512 bytes in lock step; the fourth block has the fault, if it is one of a block."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 69))
    print("ready", flush=True)
    for number in count():
        _, peer = sock.recvfrom(2048)
        now = fault if number % TENTH == TENTH - 1 else "none"
        threading.Thread(target=transfer, args=(peer, now, content), daemon=True).start()


def transfer(peer: tuple[str, int], fault: str, content: bytes) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(peer)
    sock.settimeout(10)
    if fault == "silence":
        return
    if fault == "short":
        content = content[:-600]
    if fault == "byte":
        content = content[:-1] + bytes((content[-1] ^ 1,))
    for number in range(len(content) // 512 + 1):
        now = fault if number == 3 else "none"
        packets = [data(number + (now == "early"), content)]
        packets += [data(number, content)] * {"early": 1, "twice": 1}.get(now, 0)
        if now == "gone":
            return
        if now == "stuck":
            threading.Event().wait(10)
        for packet in packets[now == "lost" :]:
            sock.send(packet)
        while (acked := int.from_bytes(sock.recv(2048)[2:4], "big")) <= number:
            if now == "lost" and acked == number:
                sock.send(packets[0])


def data(number: int, content: bytes) -> bytes:
    """The packet of the block *number*, from 0."""
    return b"\0\3" + (number + 1).to_bytes(2, "big") + content[number * 512 :][:512]


def http(fault: str, content: bytes) -> None:
    sock = socket.create_server(("", 3000), backlog=100)
    print("ready", flush=True)
    for number in count():
        peer, _ = sock.accept()
        now = fault if number % TENTH == TENTH - 1 else "none"
        threading.Thread(target=page, args=(peer, now, content), daemon=True).start()


def page(peer: socket.socket, fault: str, content: bytes) -> None:
    with peer:
        peer.recv(4096)
        if fault == "silence":
            threading.Event().wait(10)
        status = "500 Broken" if fault == "status" else "200 OK"
        size = len(content) - (600 if fault == "smaller" else 0)
        if fault == "byte":
            content = content[:-1] + bytes((content[-1] ^ 1,))
        if fault in ("short", "smaller"):
            content = content[:-600]
        if fault == "more":
            content += b"more"
        peer.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + content)


if __name__ == "__main__":
    SERVERS = {"dhcp": dhcp, "tftp": tftp, "http": http}
    SERVERS[sys.argv[1]](sys.argv[2], *(Path(file).read_bytes() for file in sys.argv[3:]))
