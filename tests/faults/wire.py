"""
A cable that loses, doubles and delays frames: ``wire.py NEAR FAR SEED``.

NEAR and FAR are two interfaces of the namespace it runs in; what comes in at one leaves by the
other.  The n-th frame of a direction meets the same fate in each run with the same seed.  On
standard input come new figures, ``LOSS DOUBLED LATE`` in percent (at first 0 0 0), to which it
answers with a line; ``said`` asks how many frames met what.

A late frame waits a few milliseconds, in which those behind it overtake it.
"""

from __future__ import annotations

import heapq
import os
import random
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.end_to_end.lab import Lab
from tests.end_to_end.process import ROOT, Process

_ALL = 3  # ETH_P_ALL
_IGNORE_OUTGOING = 23  # PACKET_IGNORE_OUTGOING of linux/if_packet.h: what we send is not heard
_SOL_PACKET = 263
_ROOM = 8 << 20
_AT_ONCE = 64
_LATEST_S = 0.03


class Wire:
    """The cable of *place* in *lab*, from its eth0 to the switch; ``fails`` says how bad it is."""

    def __init__(self, lab: Lab, place: str, address: str, *, seed: int = 1) -> None:
        lab.namespace("wire")
        lab.ip(place, "link del eth0")
        near, far = lab.prefix + "wire", f"far-{place}"
        lab.ip(place, f"link add eth0 type veth peer name near netns {near}")
        lab.ip("switch", f"link add {far} type veth peer name far netns {near}")
        lab.ip("switch", f"link set {far} master lan up")
        for where, interface in (
            *((place, "eth0"), ("wire", "near")),
            *(("wire", "far"), ("switch", far)),
        ):
            # A frame that was still to be cut up or summed would not be one as on a cable.
            lab.run(where, "ethtool", "-K", interface, "tx", "off", "gro", "off")
            lab.ip(where, f"link set {interface} up")
        lab.ip(place, f"addr add {address} broadcast + dev eth0")
        argv = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.faults.wire")
        self._process: Process = lab.spawn("wire", *argv, "near", "far", str(seed))
        self._process.wait_for("ready\n", 10)

    def fails(self, loss: float, doubled: float = 0, late: float = 0) -> None:
        """So many of a hundred frames, in each direction, from now on."""
        self._ask(f"{loss} {doubled} {late}")

    def counted(self) -> dict[str, int]:
        """How many frames were ``lost``, ``doubled``, ``late`` and ``passed`` so far."""
        words = self._ask("said").split()
        return {word: int(number) for word, _, number in (one.partition("=") for one in words)}

    def _ask(self, line: str) -> str:
        heard = len(self._process.text)
        self._process.write(line + "\n")
        return self._process.wait_for("([^\n]*)\n", 10, after=heard)[1]


class _Direction:
    """From one interface to the other."""

    def __init__(self, source: socket.socket, sink: socket.socket, seed: int) -> None:
        self.source = source
        self._sink = sink
        self._chance = random.Random(seed)
        self._waiting: list[tuple[float, int, bytes]] = []
        self._number = 0
        self.counts: Counter[str] = Counter()
        self.percent = (0.0, 0.0, 0.0)

    def pass_on(self) -> None:
        """What has come in."""
        for frame in self._frames():
            self._number += 1
            lost, doubled, late = (self._chance.random() * 100 < one for one in self.percent)
            delay = self._chance.random() * _LATEST_S
            if lost:
                self.counts["lost"] += 1
                continue
            self.counts["doubled"] += doubled
            self.counts["late"] += late
            for _ in range(1 + doubled):
                if late:
                    due = time.monotonic() + delay
                    heapq.heappush(self._waiting, (due, self._number, frame))
                else:
                    self._send(frame)

    def _frames(self) -> Iterator[bytes]:
        for _ in range(_AT_ONCE):
            try:
                yield self.source.recv(65536)
            except (BlockingIOError, OSError):  # no more, or its interface is down
                return

    def pass_on_late(self) -> float | None:
        """What has waited long enough; seconds until the next, None where none waits."""
        while self._waiting and (left := self._waiting[0][0] - time.monotonic()) > 0:
            return left
        if not self._waiting:
            return None
        self._send(heapq.heappop(self._waiting)[2])
        return 0.0

    def _send(self, frame: bytes) -> None:
        self.counts["passed"] += 1
        try:
            self._sink.send(frame)
        except OSError:  # no room, or the other interface is down: lost as on any cable
            self.counts["dropped"] += 1


def main(near: str, far: str, seed: str) -> None:
    ends = [_opened(near), _opened(far)]
    ways = [_Direction(*ends, int(seed)), _Direction(*ends[::-1], int(seed) + 1)]
    selector = selectors.DefaultSelector()
    for way in ways:
        selector.register(way.source, selectors.EVENT_READ, way)
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        waits = [wait for way in ways if (wait := way.pass_on_late()) is not None]
        for key, _ in selector.select(min(waits, default=None)):
            if key.data is not None:
                key.data.pass_on()
            elif not _obey(os.read(sys.stdin.fileno(), 4096).decode(), ways):
                return


def _obey(text: str, ways: list[_Direction]) -> bool:
    for line in text.splitlines():
        if line == "said":
            said = ways[0].counts + ways[1].counts
            words = ("lost", "doubled", "late", "passed", "dropped")
            print(" ".join(f"{word}={said[word]}" for word in words), flush=True)
            continue
        loss, doubled, late = map(float, line.split())
        for way in ways:
            way.percent = (loss, doubled, late)
        print("so be it", flush=True)
    return bool(text)


def _opened(interface: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
    opened.bind((interface, _ALL))
    opened.setblocking(False)
    return opened


if __name__ == "__main__":
    main(*sys.argv[1:])
