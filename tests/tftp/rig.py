"""
The service with its real sockets on the loopback device, and everything else in our hands: the
reactor's turns, its clock, and the files.  The kernel delivers on loopback before ``sendto``
returns, so nothing waits.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

from twisted.internet.testing import MemoryReactorClock

from netbootd.content import Content
from netbootd.errors import Forbidden, NotFound
from netbootd.events.stream import Stream
from netbootd.mac import MAC
from netbootd.tftp import wire
from netbootd.tftp.files import Located
from netbootd.tftp.limits import Limits
from netbootd.tftp.port import Listener
from netbootd.tftp.service import TftpService
from netbootd.tftp.wire import Ack, OptionAck, ReadRequest

from .model import synthetic

HOME = IPv4Address("127.0.0.1")
OTHER = IPv4Address("127.0.0.2")
SOMEBODY = MAC.parse("52:54:00:12:34:56")


class Library:
    """Files by name, and what else a request may meet."""

    def __init__(self) -> None:
        self.files = {
            "loader": synthetic(0, 74_213),
            "small": b"hello",
            "empty": b"",
            "text": b"one\ntwo\r",
        }
        self.asked = []
        self.opened = []

    def locate(self, request, peer, local):
        self.asked.append((request.path, peer, local))
        if request.path == "secret":
            raise Forbidden("it is outside /srv/netboot")
        if request.path.startswith("bug"):
            raise ZeroDivisionError
        if request.path not in self.files:
            raise NotFound(request.path)
        content = Content(request.path, held=self.files[request.path])
        self.opened.append(content)
        return Located(content, SOMEBODY, "nfs/centos")


class House:
    """The service, and its turns."""

    def __init__(self, **limits) -> None:
        #: Addresses that go before strangers.
        self.known = set()
        #: Addresses that somebody hears for sure.
        self.proved = set()
        self.reactor = MemoryReactorClock()
        self.library = Library()
        self.events = []
        stream = Stream(self.events.append)
        stream.subscribe(self.events.append)
        self.service = TftpService(
            self.reactor,
            self.library.locate,
            stream,
            Limits(**limits),
            grace=5.0,
            now=self.reactor.seconds,
            known=self.known,
            proved=self.proved,
        )
        self.service.startService()
        self.serve(HOME)

    def serve(self, *addresses, mtu=1500, port=0):
        wanted = [Listener(address, "lo", mtu, port) for address in addresses]
        return self.service.listen_on(wanted)

    def turn(self) -> None:
        for reader in list(self.reactor.getReaders()):
            reader.doRead()

    def seen(self, kind):
        return [event for event in self.events if type(event) is kind]

    def port(self, address=HOME):
        return (str(address), self.service.addresses[address])


class Guest:
    """A client on the loopback device."""

    def __init__(self, house, address="127.0.0.1") -> None:
        self.house = house
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.server = None

    def ask(self, packet, server=None):
        """Send to port 69 and return what comes back."""
        datagram = packet if isinstance(packet, bytes) else wire.encode(packet)
        self.socket.sendto(datagram, server or self.house.port())
        return self.hear()

    def say(self, packet):
        """Send to whoever answered last."""
        datagram = packet if isinstance(packet, bytes) else wire.encode(packet)
        self.socket.sendto(datagram, self.server)
        return self.hear()

    def hear(self):
        self.house.turn()
        packets = []
        while True:
            try:
                datagram, self.server = self.socket.recvfrom(65_535)
            except BlockingIOError:
                return packets
            packets.append(wire.decode(datagram))

    def fetch(self, path, options=None):
        """The whole file, acknowledging as a good client does."""
        got, block = b"", 0
        packets = self.ask(ReadRequest(path, "octet", options or {}))
        if isinstance(packets[0], OptionAck):
            packets = self.say(Ack(0))
        while packets:
            for packet in packets:
                assert packet.block == (block + 1) & 0xFFFF
                block, got = packet.block, got + packet.data
            packets = self.say(Ack(block))
        return got


def pass_time(house, seconds):
    for _ in range(int(seconds / 0.025)):
        house.reactor.advance(0.025)
