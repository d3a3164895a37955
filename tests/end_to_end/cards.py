"""
Cards on the cables of a lab that speak DHCP packet by packet: many from one interface, and without
an address.  What a whole client does is ``dhcp_clients``' affair.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from netbootd.dhcp import filters, frame, wire
from netbootd.dhcp.message import BROADCAST_FLAG, Message, MessageType, Op, Option
from netbootd.errors import WireError
from netbootd.mac import MAC
from tests.dhcp.namespaces import _enter
from tests.end_to_end.lab import Lab
from tests.end_to_end.process import NotSeenError, now

PATIENCE_S = 10.0
_ETHERNET = struct.Struct("!6s6sH")
_IPV4 = 0x0800
_EVERY_CARD = b"\xff" * 6
# Linux, not in Python's socket module: packet(7).
_RCVBUFFORCE, _SOL_PACKET, _ADD_MEMBERSHIP = 33, 263, 1


#: What is for UDP port 68, behind headers of 14 and 20 octets (linux/filter.h): load, compare, end.
_TO_CLIENTS = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in ((0x28, 0, 0, 36), (0x15, 0, 1, 68), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
)


@dataclass(frozen=True)
class Heard:
    """A reply: *message*, to which card it was sent, and from which address to which."""

    message: Message
    card: str
    source: str
    to: str

    @property
    def kind(self) -> str:
        return self.message.message_name.lower()

    @property
    def address(self) -> str:
        return str(self.message.yiaddr)

    @property
    def server(self) -> str:
        return str(self.message.server_id)

    @property
    def seconds(self) -> int:
        return int.from_bytes(self.message.options.get(51, b""), "big")


class Cards:
    """All that *place* can send and hear on *interface*, in the name of any card."""

    def __init__(self, lab: Lab, place: str, interface: str = "eth0") -> None:
        with (
            open("/proc/self/ns/net") as home,
            open(f"/run/netns/{lab.prefix}{place}") as there,
        ):
            _enter(there.fileno())
            try:
                self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IPV4))
            finally:
                _enter(home.fileno())
        self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 32 << 20)
        filters.attach(self._socket, _TO_CLIENTS)
        self._socket.bind((interface, _IPV4))
        # What is sent to a card that this interface only plays.
        (link,) = json.loads(lab.run(place, "ip", "-j", "link", "show", "dev", interface))
        promiscuous = struct.pack("=iHH8s", link["ifindex"], 1, 0, b"")
        self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, promiscuous)

    def __enter__(self) -> Cards:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(
        self,
        mac: str,
        kind: MessageType,
        *,
        xid: int = 0,
        broadcast: bool = False,
        ciaddr: str = "0.0.0.0",
        **options: bytes | str,
    ) -> None:
        """One message of the card *mac*; *options* are by the names of ``Option``."""
        card = MAC.parse(mac)
        said = {Option.MESSAGE_TYPE: bytes([kind])}
        for name, value in options.items():
            said[Option[name.upper()]] = (
                IPv4Address(value).packed if isinstance(value, str) else value
            )
        message = Message(
            op=Op.REQUEST,
            xid=xid or int.from_bytes(os.urandom(4), "big"),
            flags=BROADCAST_FLAG if broadcast else 0,
            ciaddr=IPv4Address(ciaddr),
            chaddr=card + bytes(10),
            options=said,
        )
        datagram = frame.build(wire.encode(message), (ciaddr, 68), ("255.255.255.255", 67))
        self._socket.send(_ETHERNET.pack(_EVERY_CARD, card, _IPV4) + datagram)

    def discover(self, mac: str, **more: object) -> None:
        self.send(mac, MessageType.DISCOVER, **more)  # type: ignore[arg-type]

    def take(self, mac: str, offer: Heard, **more: object) -> None:
        """The REQUEST that takes *offer*."""
        self.send(
            mac,
            MessageType.REQUEST,
            server_id=offer.server,
            requested_address=offer.address,
            **more,  # type: ignore[arg-type]
        )

    def replies(self, seconds: float) -> Iterator[Heard]:
        """Every reply, until none came for *seconds*."""
        while select.select([self._socket], [], [], seconds)[0]:
            packet = self._socket.recv(2048)
            to, _, _ = _ETHERNET.unpack_from(packet)
            try:
                datagram = frame.parse(packet[_ETHERNET.size :], checked=True)
                message = wire.decode(datagram.payload)
            except WireError:
                continue
            if message.op == Op.REPLY and datagram.to[1] == 68:
                yield Heard(message, to.hex(":"), datagram.source[0], datagram.to[0])

    def reply(self, mac: str, *kinds: str) -> Heard:
        """The next reply to *mac*, of one of *kinds*; NotSeenError if there is none."""
        deadline = now() + PATIENCE_S
        for heard in self.replies(PATIENCE_S):
            if str(heard.message.mac) == mac and heard.kind in kinds:
                return heard
            if now() > deadline:
                break
        raise NotSeenError(f"no {kinds} to {mac}")

    def lease(self, mac: str, **more: object) -> Heard:
        """The four messages; the ACK."""
        self.discover(mac, **more)
        offer = self.reply(mac, "offer")
        self.take(mac, offer, **more)
        return self.reply(mac, "ack")

    def close(self) -> None:
        self._socket.close()
