"""
A UDP port that is read in short turns.

Twisted's own reads on until it has seen so many bytes; of small datagrams that is seconds of work,
of empty ones for ever, and DHCP and TFTP wait meanwhile.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import udp
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from netbootd.opener.client import LowSocket
from netbootd.syslog.inbox import TURN_S

log = Logger(namespace="netbootd")

_LARGEST = 1 << 16  # bytes


def listen(reactor: Any, port: int, receiver: DatagramProtocol, address: str) -> Any:
    """As ``reactor.listenUDP``; raises CannotListenError as well."""
    opened = _Port(port, receiver, address, _LARGEST, reactor)  # type: ignore[no-untyped-call]
    opened.startListening()  # type: ignore[no-untyped-call]
    return opened


class _Port(udp.Port):
    def createInternetSocket(self) -> socket.socket:
        """One that may have a port below 1024."""
        return LowSocket(fileno=super().createInternetSocket().detach())

    def doRead(self) -> None:
        """Take what has arrived, for a turn; the reactor comes back for the rest."""
        self.take_until(self.reactor.seconds() + TURN_S)

    def take_until(self, end: float) -> None:
        """Take what has arrived, until nothing is left or it is *end*, in the reactor's seconds."""
        while self._take_one() and self.reactor.seconds() < end:
            pass

    def _take_one(self) -> bool:
        try:
            datagram, source = self.socket.recvfrom(self.maxPacketSize)
        except OSError:  # empty; or ICMP, of something that we never sent
            return False
        try:
            self.protocol.datagramReceived(datagram, source)
        except Exception:
            log.failure("a log line from {peer} met a fault of ours", peer=source[0])
        return True
