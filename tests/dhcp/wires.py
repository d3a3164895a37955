"""
DhcpService in one namespace, clients in another, for tests that need a wire between them.

A booting client has no address, so its packets are made and read as Ethernet frames; scapy is the
other side's stack here.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import scapy.layers.dhcp  # noqa: F401  so that replies are read as such
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from . import captures
from .namespaces import Namespace

ROOT = Path(__file__).parents[2]
FIRST, SECOND = "192.0.2.1", "192.0.2.2"
OTHER = "198.51.100.1"
USUAL = (f"eth0={FIRST}/24,{SECOND}/24", f"eth1={OTHER}/24")
CLIENT = "192.0.2.50"
PATIENCE_S = 5.0
_SO_RCVBUFFORCE = 33


class Server:
    """DhcpService in a namespace of its own, ``eth0`` and ``eth1`` towards the clients."""

    def __init__(
        self, home: Namespace, *settings: str, interfaces: tuple[str, ...] = USUAL
    ) -> None:
        python = home.command(sys.executable, "-m", "tests.dhcp.lone_service")
        self.process = subprocess.Popen(
            [*python, *settings, *interfaces], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        assert self.process.stdout.readline() == "ready\n"
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)

    def saw(self, text: str) -> bool:
        """Whether an event with *text* was printed, now or soon."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if any(text in line for line in list(self.lines)):
                return True
            time.sleep(0.01)
        return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


class Firmware:
    """A client without an IP stack, on one interface; each frame comes from *mac*."""

    def __init__(self, space: Namespace, interface: str) -> None:
        with space.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)
        self.socket.bind((interface, 0x0800))

    def __enter__(self) -> Firmware:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def broadcast(self, payload: bytes) -> None:
        self.socket.send(frame(payload))

    def replies(self, seconds: float):
        """Every frame with a reply to port 68, until none came for *seconds*."""
        while select.select([self.socket], [], [], seconds)[0]:
            packet = Ether(self.socket.recv(2048))
            if UDP in packet and packet[UDP].dport == 68:
                yield packet

    def reply(self) -> Ether:
        return next(self.replies(PATIENCE_S))


def frame(payload: bytes) -> bytes:
    ethernet = Ether(src=payload[28:34], dst="ff:ff:ff:ff:ff:ff")
    ip = IP(src="0.0.0.0", dst="255.255.255.255")
    return bytes(ethernet / ip / UDP(sport=68, dport=67, chksum=0) / payload)


def payload(name="qemu-ovmf-x64-pxe-discover", *, xid=0x11111111, ciaddr=None, giaddr=None):
    packet = bytearray(captures.capture(name).payload)
    packet[4:8] = xid.to_bytes(4, "big")
    if ciaddr:
        packet[12:16] = socket.inet_aton(ciaddr)
    if giaddr:
        packet[24:28] = socket.inet_aton(giaddr)
    return bytes(packet)


def udp(space: Namespace, address: str, port: int) -> socket.socket:
    with space.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(PATIENCE_S)
    made.bind((address, port))
    return made
