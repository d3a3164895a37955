"""
Boot ROMs that want an offer: they ask as firmware does, after 4, 8 and 16 s again, each time by the
same transaction.

``python rom.py INTERFACE MAC...`` says of each, once all have been answered or given up, at which
try it was answered, 0 for none: ``MAC TRY``.  With ``-6`` before them they SOLICIT as RFC 8415 (15)
wants it, by the link-local address of the card.
"""

from __future__ import annotations

import random
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from tests.end_to_end import flood

_TRIES_S = (0.0, 4.0, 12.0, 28.0)
_LAST_S = 32.0  # that the last one waits
_TRIES6_S = (0.0, 1.0, 3.0, 7.0, 15.0, 31.0)
_HEAD, _HEAD6 = 14 + 20 + 8, 14 + 40 + 8


def main(interface: str, *macs: str) -> None:
    cards = [bytes.fromhex(mac.replace(":", "")) for mac in macs]
    tries = ask(interface, cards, _asked, _answered, _TRIES_S)
    tell(macs, tries)


def main6(interface: str, server_mac: str, *macs: str) -> None:
    there = bytes.fromhex(server_mac.replace(":", ""))
    cards = [bytes.fromhex(mac.replace(":", "")) for mac in macs]

    def asked(card: bytes, xid: bytes) -> bytes:
        return flood.frame6(card, card, there, flood.solicit(card, xid[1:]))

    tell(macs, ask(interface, cards, asked, _answered6, _TRIES6_S))


def tell(macs: Sequence[str], tries: Sequence[int]) -> None:
    for mac, number in zip(macs, tries, strict=True):
        print(mac, number, flush=True)
    print("done", flush=True)


def ask(
    interface: str,
    cards: Sequence[bytes],
    asked: Callable[[bytes, bytes], bytes],
    answered: Callable[[bytes], bytes | None],
    tries_s: Sequence[float],
) -> list[int]:
    """At which try each of *cards* was answered; 0 for never."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    wire.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
    wire.bind((interface, 0x0003))
    dice = random.Random()
    xids = {b"\0" + dice.randbytes(3): number for number in range(len(cards))}
    heard, began = [0] * len(cards), time.monotonic()
    for number, until in enumerate((*tries_s[1:], tries_s[-1] + _LAST_S)):
        for xid, which in xids.items():
            if not heard[which]:
                wire.send(asked(cards[which], xid))
        for frame in _frames(wire, began + until):
            which = xids.get(answered(frame) or b"")
            if which is not None and not heard[which]:
                heard[which] = number + 1
                if all(heard):
                    return heard
    return heard


def _frames(wire: socket.socket, until: float) -> Iterator[bytes]:
    while (left := until - time.monotonic()) > 0:
        if select.select([wire], [], [], left)[0]:
            yield wire.recv(2048)


def _asked(card: bytes, xid: bytes) -> bytes:
    packet = flood.discover(card, int.from_bytes(xid, "big"))
    return b"\xff" * 6 + card + b"\x08\0" + packet


def _answered(frame: bytes) -> bytes | None:
    """The transaction of an offer."""
    if frame[12:14] != b"\x08\0" or frame[36:38] != b"\0\x44" or frame[_HEAD : _HEAD + 1] != b"\2":
        return None
    return frame[_HEAD + 4 : _HEAD + 8]


def _answered6(frame: bytes) -> bytes | None:
    """That of an advertisement."""
    if frame[12:14] != b"\x86\xdd" or frame[_HEAD6 : _HEAD6 + 1] != b"\2":
        return None
    return b"\0" + frame[_HEAD6 + 1 : _HEAD6 + 4]


if __name__ == "__main__":
    if sys.argv[1] == "-6":
        main6(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
