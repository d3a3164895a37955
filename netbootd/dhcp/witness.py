"""
Hearing what other DHCP servers say to clients: UDP port 68, which is not ours and stays so.

It explains a boot that went nowhere: no address was given, or another server named another file.
A packet socket gets a copy of what arrives on one interface (see ``snoop``), and nothing is sent
by it.  CAP_NET_RAW is all that it needs, here or in the opener; without that, nothing is overheard.

What is heard: broadcasts, which firmware asks for (EDK2 and BIOS ROMs set the broadcast flag), and
what this network brings by chance, for there is no promiscuous mode: what a switch sends to the
client alone is not heard, such as the replies to iPXE, nor what goes through a relay.

A server on this host is heard where it is known to be: where it has UDP 67 and we snoop.  A socket
for IPv4 alone is not given what this host sends; one for every protocol is (net/core/dev.c,
dev_queue_xmit_nit), and costs a copy of each packet's descriptor, so it is had only there.  Our own
offers are among what it hears, and are known by what they say (see ``overheard``).

Hostile packets: what is no BOOTP reply does not leave the kernel; what is, costs at most
PACKETS_A_SECOND on each interface, and the rest is lost in the kernel's own buffer.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Collection
from ipaddress import IPv4Address
from typing import Any

from netbootd.dhcp import filters, frame, wire
from netbootd.dhcp.overheard import overheard
from netbootd.dhcp.snoop import (
    AUXDATA_SPACE,
    ETH_P_ALL,
    ETH_P_IP,
    LARGEST_PACKET,
    auxdata,
    bind,
)
from netbootd.errors import WireError
from netbootd.events.event import Event
from netbootd.interfaces import Interface
from netbootd.opener.client import packet_socket

log = logging.getLogger(__name__)

_CLIENT_PORT = 68
#: A rack that is switched on causes as many, for a moment.
PACKETS_A_SECOND = 1000
_ONE_TURN = 32  # packets read before the reactor serves others
_ROOM = 1 << 20  # bytes of packets that wait, as far as net.core.rmem_max allows


def open_witness(interface: str, *, own_host: bool) -> socket.socket:
    """
    A packet socket that hears replies on *interface*, with *own_host* those of this host as well;
    raises OSError.
    """
    opened = packet_socket()
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        protocol = ETH_P_ALL if own_host else ETH_P_IP
        bind(opened, interface, protocol, filters.replies(_CLIENT_PORT))
    except OSError:
        opened.close()
        raise
    return opened


class Witness:
    """
    One packet socket, as the reactor reads it (IReadDescriptor).

    *interface* is replaced when its addresses change, and so is *host*, the addresses that are
    served on all interfaces.
    """

    host: Collection[IPv4Address] = ()

    def __init__(
        self,
        descriptor: socket.socket,
        interface: Interface,
        publish: Callable[[Event], None],
        reactor: Any,
    ) -> None:
        self.interface = interface
        self._socket = descriptor
        self._publish = publish
        self._reactor = reactor
        self._until = 0.0  # the end of the second that is counted
        self._left = PACKETS_A_SECOND
        self._rest: Any = None  # a timer, while more came than is heard
        self._told = False

    def doRead(self) -> None:
        """Take what has arrived, up to a turn's worth, unless it is too much."""
        for _ in range(_ONE_TURN):
            if not self._affordable():
                self._pause()
                return
            try:
                packet, ancillary, _, _ = self._socket.recvmsg(LARGEST_PACKET, AUXDATA_SPACE)
            except OSError:  # empty, or the device is going
                return
            self._left -= 1
            self._hear(packet, ancillary)

    def _hear(self, packet: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        """Nothing that a packet holds can raise."""
        checked, tagged = auxdata(ancillary)
        if tagged:  # of a VLAN that is another interface's, or nobody's
            return
        try:
            datagram = frame.parse(packet, checked=checked)
            reply = wire.decode(datagram.payload)
            event = overheard(reply, datagram.source[0], self.interface.name, self.host)
        except WireError:
            return
        except Exception:
            log.exception("a DHCP reply on %s met a fault of ours", self.interface.name)
            return
        if event is not None:
            self._publish(event)

    def _affordable(self) -> bool:
        now = self._reactor.seconds()
        if now >= self._until:
            self._until, self._left = now + 1.0, PACKETS_A_SECOND
        return self._left > 0

    def _pause(self) -> None:
        """Leave the rest of this second to the kernel, which drops what finds no room."""
        self._reactor.removeReader(self)
        self._rest = self._reactor.callLater(self._until - self._reactor.seconds(), self._resume)
        if not self._told:
            self._told = True
            log.info(
                "more than %s DHCP replies in a second on %s: not all of them are looked at",
                *(PACKETS_A_SECOND, self.interface.name),
            )

    def _resume(self) -> None:
        self._rest = None
        self._reactor.addReader(self)

    def close(self) -> None:
        """Hear no more; twice does no harm."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self._socket.close()

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return f"DHCP replies on {self.interface.name}"

    def connectionLost(self, reason: Any) -> None:
        """The device went down (packet(7), ENETDOWN): the same socket hears when it is up again."""
        if self.fileno() >= 0:
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # reading it clears it
            self._reactor.addReader(self)
