"""
Questions as firmware asks them, and every answer that comes back within its patience.

A question goes out as a broadcast of this host's own, so that servers on this host hear it as well:
the kernel gives them a copy.  Answers are taken from a packet socket, which needs no port and sees
what this host sends, too.
"""

from __future__ import annotations

import secrets
import select
import socket
import time
from dataclasses import dataclass

from netbootd.dhcp import filters, frame, wire
from netbootd.dhcp.destination import EVERYBODY
from netbootd.dhcp.message import Message, Op
from netbootd.dhcp.snoop import AUXDATA_SPACE, ETH_P_ALL, auxdata, bind
from netbootd.errors import WireError
from netbootd.interfaces import Interface
from netbootd.mac import MAC
from netbootd.opener.sockets import packet_socket
from netbootd.simulate.firmware import KINDS, Firmware

_SERVER, _CLIENT = 67, 68
_LARGEST = 2048
#: EDK2 collects offers for 4 s; but a server that pings an address before it offers it is late
#: (dnsmasq: 3 s, one client after the other), and to be seen for all that.
_PATIENCE_S = 7.0
_AGAIN_S = 2.0  # and a question that nobody has answered by then is asked once more
#: Asked as: a legacy PXE ROM, and EDK2.
_ASKED = ("bios", "efi")


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer: to which *firmware*, from which address, and all that it says."""

    firmware: str
    source: str
    message: Message


class Questions:
    """One for each kind of firmware, by made-up machines (``MAC.make_up``)."""

    def __init__(self, interface: Interface) -> None:
        self._interface = interface
        self._asked = {secrets.randbits(32): KINDS[kind] for kind in _ASKED}

    def ask(self) -> list[Heard]:
        """The answers in the order in which they came; raises OSError without CAP_NET_RAW."""
        with _ears(self._interface.name) as ears, _mouth(self._interface.name) as mouth:
            began = time.monotonic()
            packets = [self._packet(xid, firmware) for xid, firmware in self._asked.items()]
            heard: list[Heard] = []
            for until in (began + _AGAIN_S, began + _PATIENCE_S):
                if not heard:
                    for packet in packets:
                        mouth.sendto(packet, (EVERYBODY, 0))
                heard += self._until(until, ears)
            return heard

    def _packet(self, xid: int, firmware: Firmware) -> bytes:
        discover = firmware.discover(MAC.make_up())._replace(xid=xid)
        ours = str(self._interface.addresses[0].ip)
        return frame.build(wire.encode(discover), (ours, _CLIENT), (EVERYBODY, _SERVER))

    def _until(self, deadline: float, ears: socket.socket) -> list[Heard]:
        heard = []
        while (left := deadline - time.monotonic()) > 0:
            if select.select([ears], [], [], left)[0] and (one := self._hear(ears)):
                heard.append(one)
        return heard

    def _hear(self, ears: socket.socket) -> Heard | None:
        packet, ancillary, _, _ = ears.recvmsg(_LARGEST, AUXDATA_SPACE)
        checked, tagged = auxdata(ancillary)
        try:
            datagram = frame.parse(packet, checked=checked)
            message = wire.decode(datagram.payload)
        except WireError:
            return None
        firmware = self._asked.get(message.xid)
        if tagged or firmware is None or message.op != Op.REPLY:
            return None
        return Heard(firmware.name, datagram.source[0], message)


def _ears(interface: str) -> socket.socket:
    ears = packet_socket()
    try:
        # Everything, and not IPv4 only: what this host sends itself is heard there alone.
        bind(ears, interface, ETH_P_ALL, filters.replies(_CLIENT))
    except OSError:
        ears.close()
        raise
    return ears


def _mouth(interface: str) -> socket.socket:
    mouth = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    try:
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError:
        mouth.close()
        raise
    return mouth
