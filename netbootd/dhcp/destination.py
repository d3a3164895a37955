"""
Both ends of a reply: which of our addresses it comes from, and where it goes.

A reply to port 67 goes by the table of RFC 2131, section 4.1.  Its last row, unicast to an address
that the client does not have yet, is for replies that give one: nobody would answer an ARP request
for it, so such a destination names the client's card as well.  A proxy's offer gives none and is
broadcast, which is also what firmware wants: EDK2 sets the broadcast flag, and ignores a unicast
reply as long as it has no address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

from netbootd.dhcp.message import BROADCAST_FLAG, Message, MessageType

Endpoint = tuple[str, int]

EVERYBODY = "255.255.255.255"
_SERVER, _CLIENT = 67, 68


class Port(IntEnum):
    """The two ports of a proxy, by their official numbers."""

    DHCP = 67
    BOOT_SERVER = 4011  # PXE 2.1, section 2.3


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    How a request reached us, and so where its reply starts: the *interface* by name, which *port*,
    from where (*source*), and the *address* of ours that we shall answer from and advertise.
    *unicast*: it was sent to that address, and to nobody else.
    """

    interface: str
    address: IPv4Address
    port: Port
    source: Endpoint
    unicast: bool = False


def local_address(
    addressed: IPv4Address | None,
    addresses: Sequence[IPv4Interface],
    request: Message,
    source: str,
    preferred: IPv4Address | None = None,
) -> IPv4Address | None:
    """
    The address of ours to answer from; None where the interface has none.

    *preferred* is the boot server of the client's subnet: behind a relay it counts if it is one of
    *addresses*.  Else *addressed*, the one the client wrote to, None for a broadcast: a client
    compares.  Else the one in the network of the relay or the client, where one of them has an
    address, else the interface's first.
    """
    if preferred and int(request.giaddr) and preferred in [ours.ip for ours in addresses]:
        return preferred
    if addressed is not None:
        return addressed
    if len(addresses) == 1:
        return addresses[0].ip
    for near in (request.giaddr, request.ciaddr, IPv4Address(source)):
        for ours in addresses:
            if int(near) and near in ours.network:
                return ours.ip
    return addresses[0].ip if addresses else None


class Destination(NamedTuple):
    """
    Where a reply goes.  With *card*, an Ethernet address of six bytes, it must reach that card
    without asking the network who has the address.
    """

    address: str
    port: int
    card: bytes | None = None

    @property
    def endpoint(self) -> Endpoint:
        """As sockets want it."""
        return self.address, self.port


def destination(
    request: Message,
    reply: Message,
    source: Endpoint,
    *,
    boot_server: bool,
    unicast_offers: bool = False,
) -> Destination:
    """
    Where *reply* goes; *boot_server* as its proxy.Answer says.

    *unicast_offers*: what gives no address goes to the card of a client that did not ask for
    broadcasts, too.
    """
    if boot_server:
        return _to_asker(request, source)
    if int(request.ciaddr) and request.message_type == MessageType.INFORM:
        return Destination(str(request.ciaddr), _CLIENT)  # RFC 2131, section 4.3.5
    if int(request.giaddr):
        return Destination(str(request.giaddr), _SERVER)
    if reply.message_type == MessageType.NAK:
        return Destination(EVERYBODY, _CLIENT)  # whatever address it believes to have
    if int(request.ciaddr):
        return Destination(str(request.ciaddr), _CLIENT)
    return _to_newcomer(request, reply, unicast_offers)


def _to_newcomer(request: Message, reply: Message, unicast_offers: bool) -> Destination:
    """RFC 2131, section 4.1, for a client on our own network that has no address."""
    if request.mac is None or request.flags & BROADCAST_FLAG:
        return Destination(EVERYBODY, _CLIENT)
    if int(reply.yiaddr):
        return Destination(str(reply.yiaddr), _CLIENT, bytes(request.chaddr[:6]))
    return Destination(EVERYBODY, _CLIENT, bytes(request.chaddr[:6]) if unicast_offers else None)


def _to_asker(request: Message, source: Endpoint) -> Destination:
    """
    A boot server answers the very port it was asked from: EDK2 asks from 4011, iPXE from 68.

    A client that asks before it has an address is answered as on port 67, relays left aside.
    """
    if source[0] != "0.0.0.0":
        return Destination(*source)
    return Destination(str(request.ciaddr) if int(request.ciaddr) else EVERYBODY, _CLIENT)


def is_beyond(address: str, addresses: Sequence[IPv4Interface]) -> bool:
    """
    Whether a router lies between us and *address*, as far as an interface's own *addresses* tell.

    A relay's giaddr is on the side of its clients, which we may reach by another interface than
    the one its request came in by.
    """
    return address != EVERYBODY and _is_beyond(address, tuple(addresses))


@lru_cache(maxsize=8192)
def _is_beyond(address: str, addresses: tuple[IPv4Interface, ...]) -> bool:
    """Asked for with each packet of a relay, and of a client that has an address already."""
    there = IPv4Address(address)
    return not any(there in ours.network for ours in addresses)
