"""
What listens on one interface, as the reactor reads it, and how its replies leave.

Twisted's UDP port does not report the address a datagram was sent to, and a boot server must answer
from that one; so sockets are read here with ``recvmsg`` and IP_PKTINFO (ip(7)), as descriptors of
the reactor.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any, Protocol

from netbootd.dhcp import snoop
from netbootd.dhcp.destination import EVERYBODY, Destination, Port, is_beyond
from netbootd.dhcp.message import dotted
from netbootd.dhcp.prober import Prober
from netbootd.dhcp.snoop import Heard, Raw
from netbootd.dhcp.sockets import IP_PKTINFO, PKTINFO, PKTINFO_SPACE, addressed
from netbootd.dhcpgate import Gate
from netbootd.errors import WireError
from netbootd.interfaces import Interface
from netbootd.unread import is_much

log = logging.getLogger(__name__)

_LARGEST_DATAGRAM = 2048
#: Datagrams answered before the reactor serves others.  In a storm of 2,000 nodes 64 were too few
#: beside what scripts and TFTP take of a turn: some of iPXE's questions waited for over a second.
#: Of those that are not even looked at, since there is a flood, eight times as many are read.
_ONE_TURN, _OF_ONE = 256 * 8, 8


class Edge(Protocol):
    """What is done with what was heard; nothing raises."""

    def receive(self, heard: Heard, to: Listener) -> bool:
        """Answer it by ``to.send``, or not; whether it was looked at."""

    def broken(self, problem: WireError, to: Listener) -> bool:
        """Tell of a frame that has no datagram in it; whether that was done."""


class Listener:
    """
    One UDP socket, as the reactor reads it (IReadDescriptor).

    *interface* is replaced when its addresses change, and so is *host*, the addresses that are
    served on all interfaces; *number* is the port's, *raw* what some replies leave by.

    *gate* keeps floods out.  Where we are the DHCP server, *prober* asks who has an address.
    """

    host: Collection[IPv4Address] = ()
    prober: Prober | None = None
    gate: Gate | None = None
    #: Whether much waited in the socket when this turn began.
    crowded = False

    def __init__(
        self,
        descriptor: socket.socket,
        port: Port,
        interface: Interface,
        edge: Edge,
        raw: Raw | None = None,
        number: int | None = None,
    ) -> None:
        self.port = port
        self.interface = interface
        self._socket = descriptor
        self._edge = edge
        self._raw = raw
        self._number = number or int(port)

    def doRead(self) -> None:
        """Take what has arrived, up to a turn's worth; the reactor comes back for the rest."""
        left, self.crowded = _ONE_TURN, is_much(self._socket)
        while left > 0:
            try:
                datagram, ancillary, _, source = self._socket.recvmsg(
                    _LARGEST_DATAGRAM, PKTINFO_SPACE
                )
            except OSError:  # empty, or the device is going: serve() will be told
                return
            pktinfo = ancillary[0][2] if ancillary else b""
            looked = self._edge.receive(Heard(datagram, source, addressed(pktinfo)), self)
            left -= _OF_ONE if looked else 1

    def send(self, datagram: bytes, ours: IPv4Address, to: Destination) -> None:
        """
        Send from the address *ours*; raises OSError.

        By this interface, unless it leads to nobody's network: what goes to a relay or through a
        router goes as the kernel routes it.
        """
        address, port, card = to
        if self._raw is not None and card is not None:
            self._raw.to_card(datagram, (dotted(ours), self._number), (address, port), card)
        elif self._raw is not None and is_beyond(address, self.interface.addresses):
            self._raw.by_route(datagram, (dotted(ours), self._number), (address, port))
        else:
            control = _control(self.interface.index, int(ours))
            there = EVERYBODY if card is not None else address
            self._socket.sendmsg((datagram,), control, 0, (there, port))

    @property
    def closed(self) -> bool:
        """Whether the port was given back."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Give the port back; twice does no harm."""
        self._socket.close()

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return f"DHCP {self.port.value} on {self.interface.name}"

    def connectionLost(self, reason: Any) -> None:
        """The reactor has given the descriptor up; the next ``serve`` opens another."""
        log.warning("%s lost: %s", self.logPrefix(), reason.getErrorMessage())
        self.close()


@lru_cache(maxsize=256)
def _control(interface: int, ours: int) -> tuple[tuple[int, int, bytes]]:
    """What makes a datagram leave by the *interface* of that index, from the address *ours*."""
    pktinfo = PKTINFO.pack(interface, ours.to_bytes(4, "big"), bytes(4))
    return ((socket.IPPROTO_IP, IP_PKTINFO, pktinfo),)


class Snooper(Listener):
    """A packet socket in place of the one for UDP 67."""

    def __init__(
        self,
        descriptor: socket.socket,
        interface: Interface,
        edge: Edge,
        raw: Raw,
        number: int,
        reactor: Any,
    ) -> None:
        super().__init__(descriptor, Port.DHCP, interface, edge, raw, number)
        self._ways = raw
        self._reactor = reactor

    def doRead(self) -> None:
        """As a UDP socket's; packets for others are passed over in silence."""
        left, self.crowded = _ONE_TURN, is_much(self._socket)
        while left > 0:
            try:
                heard = snoop.hear(self._socket, self.interface.addresses, self.host)
                looked = heard is None or self._edge.receive(heard, self)
            except WireError as problem:
                looked = self._edge.broken(problem, self)
            except OSError:
                return
            left -= _OF_ONE if looked else 1

    def send(self, datagram: bytes, ours: IPv4Address, to: Destination) -> None:
        """Send from the address *ours* and from port 67, which another program has."""
        source = (dotted(ours), self._number)
        if to.card is not None or to.address == EVERYBODY:
            self._ways.to_card(datagram, source, to.endpoint, to.card)
        else:
            self._ways.by_route(datagram, source, to.endpoint)

    def connectionLost(self, reason: Any) -> None:
        """
        The device went down, which the kernel tells by an error (packet(7), ENETDOWN).

        The same socket hears again when it is up.  One whose device is gone is closed by ``serve``.
        """
        if not self.closed:
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # reading it clears it
            self._reactor.addReader(self)
