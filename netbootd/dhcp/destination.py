"""
Both ends of a reply: which of our addresses it comes from, and where it goes.

A reply to port 67 goes by the table of RFC 2131, section 4.1.  A proxy gives no address, so the
last row, unicast to an address that the client does not have yet, never applies: all that is not
for a relay or for a client with an address is broadcast.  That is also what firmware wants: EDK2
ignores a unicast reply as long as it has no address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Interface

from netbootd.dhcp.message import Message

Endpoint = tuple[str, int]

_EVERYBODY = "255.255.255.255"
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
    """

    interface: str
    address: IPv4Address
    port: Port
    source: Endpoint


def local_address(
    addressed: IPv4Address | None,
    addresses: Sequence[IPv4Interface],
    request: Message,
    source: str,
) -> IPv4Address | None:
    """
    The address of ours to answer from; None where the interface has none.

    *addressed* is the one the client wrote to, None for a broadcast: a client compares.  Else the
    one in the network of the relay or the client, where one of them has an address, else the
    interface's first.
    """
    if addressed is not None:
        return addressed
    if len(addresses) == 1:
        return addresses[0].ip
    for near in (request.giaddr, request.ciaddr, IPv4Address(source)):
        for ours in addresses:
            if int(near) and near in ours.network:
                return ours.ip
    return addresses[0].ip if addresses else None


def destination(request: Message, source: Endpoint, *, boot_server: bool) -> Endpoint:
    """Where the reply to *request* goes; *boot_server* as its proxy.Answer says."""
    return _to_asker(request, source) if boot_server else _to_client(request)


def _to_client(request: Message) -> Endpoint:
    """RFC 2131, section 4.1, for replies that give no address."""
    if int(request.giaddr):
        return str(request.giaddr), _SERVER
    if int(request.ciaddr):
        return str(request.ciaddr), _CLIENT
    return _EVERYBODY, _CLIENT


def _to_asker(request: Message, source: Endpoint) -> Endpoint:
    """
    A boot server answers the very port it was asked from: EDK2 asks from 4011, iPXE from 68.

    A client that asks before it has an address is answered as on port 67, relays left aside.
    """
    if source[0] != "0.0.0.0":
        return source
    return (str(request.ciaddr) if int(request.ciaddr) else _EVERYBODY), _CLIENT
