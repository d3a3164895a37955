"""
``nuisance.py SERVER SECONDS RATE SEED``: RATE things a second that nobody should send.

Datagrams of nonsense to every port, requests that are cut short, connections that say half a
request and then nothing, or are gone in the middle of a file, and lines of log.

``nuisance.py SERVER lines COUNT RATE``: lines of log alone, each of another machine in turn.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import time

UDP_PORTS = (67, 69, 514, 4011)
HALVES = (
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ",
    b"POST /done/x HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf",
    b"\0\xff" * 50,
    b"GET /images/initrd HTTP/1.1\r\nHost: x\r\n\r\n",
)
RRQ = b"\0\1images/initrd\0octet\0blksize\0" + b"512\0windowsize\0" + b"8\0"
MOST_OPEN = 20
#: Machines that log, of which the first LISTED have entries.
TALKERS, LISTED = 1000, 500


def main(server: str, seconds: float, rate: float, seed: int) -> None:
    chance = random.Random(seed)
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    held: list[socket.socket] = []
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        time.sleep(1 / rate)
        number += 1
        with contextlib.suppress(OSError):
            match number % 10:
                case 0:
                    held.append(_half(server, chance))
                case 1:  # asked from a port that is closed at once: a transfer without its client
                    with socket.socket(type=socket.SOCK_DGRAM) as gone:
                        gone.sendto(RRQ, (server, 69))
                case 2 | 3 | 4:
                    datagrams.sendto(line(number), (server, 514))
                case _:
                    garbage = chance.randbytes(chance.randrange(0, 600))
                    datagrams.sendto(garbage, (server, chance.choice(UDP_PORTS)))
        while len(held) > MOST_OPEN:
            held.pop(0).close()


def _half(server: str, chance: random.Random) -> socket.socket:
    opened = socket.create_connection((server, 3000), timeout=1)
    opened.sendall(chance.choice(HALVES))
    return opened


def card(number: int) -> str:
    """The MAC of a machine that logs."""
    return f"00:25:90:28:{number >> 8:02x}:{number & 255:02x}"


def line(number: int) -> bytes:
    """A syslog message (RFC 5424) of one of TALKERS, which says whose it is."""
    own = f'[netbootd@32473 mac="{card(number % TALKERS)}"]'
    return f"<13>1 - - app - - {own} line {number} {'x' * 600}".encode()


def lines(server: str, count: int, rate: float) -> None:
    """*count* lines, *rate* a second."""
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    began = time.monotonic()
    for number in range(count):
        if (ahead := began + number / rate - time.monotonic()) > 0:
            time.sleep(ahead)
        with contextlib.suppress(OSError):
            datagrams.sendto(line(number), (server, 514))


if __name__ == "__main__":
    if sys.argv[2] == "lines":
        lines(sys.argv[1], int(sys.argv[3]), float(sys.argv[4]))
    else:
        main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
