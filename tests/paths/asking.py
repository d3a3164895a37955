"""
Asks a server for everything in a file, by raw sockets: one line of base64 for each request.

``asking.py tftp|http SERVER FILE``; says for each, as a line of JSON: the request, what came (bytes
in base64), and a word for it: of TFTP ``error``, ``data``, ``oack`` or ``silence``, of HTTP the
status, or ``closed``.  It knows nothing of netbootd.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import sys

_WORDS = {3: "data", 5: "error", 6: "oack"}


def tftp(server: str, request: bytes) -> tuple[str, bytes]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(3)
        for _ in range(3):
            udp.sendto(request, (server, 69))
            try:
                came, _ = udp.recvfrom(65536)
            except TimeoutError:
                continue
            (opcode,) = struct.unpack_from("!H", came)
            return _WORDS.get(opcode, str(opcode)), came
    return "silence", b""


def http(server: str, request: bytes) -> tuple[str, bytes]:
    with socket.create_connection((server, 3000), 10) as tcp:
        tcp.sendall(request)
        tcp.shutdown(socket.SHUT_WR)
        came = b""
        try:
            while more := tcp.recv(65536):
                came += more
        except ConnectionResetError:
            pass
    return (came.split(b" ")[1].decode() if came.startswith(b"HTTP/1.1 ") else "closed"), came


def main() -> None:
    ask = {"tftp": tftp, "http": http}[sys.argv[1]]
    with open(sys.argv[3], "rb") as file:
        for line in file:
            request = base64.b64decode(line)
            word, came = ask(sys.argv[2], request)
            kept = base64.b64encode(came).decode()
            print(json.dumps({"request": repr(request), "word": word, "came": kept}))


if __name__ == "__main__":
    main()
