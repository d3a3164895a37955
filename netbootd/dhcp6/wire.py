"""
Bytes to Message and back (RFC 8415, sections 8 and 9).

A walk over the bytes, which has to survive anything; the tests hold it beside scapy's dissection.
Messages of relays are taken apart on the way in, and what goes back is wrapped for the same relays
again: each gets its own hop count, addresses and interface back (section 19.3).
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from netbootd.dhcp6.message import Message, MessageType, Option, Relay, encoded, options_of
from netbootd.errors import WireError

_RELAY = struct.Struct("!BB16s16s")
#: RFC 3315, section 5.5 (RFC 8415 has 8): more are no network but a loop.
_MOST_RELAYS = 32
#: What each relay gets back of what it said.
_ECHOED = frozenset({Option.INTERFACE_ID})


def decode(datagram: bytes) -> Message:
    """Read a datagram; raises WireError for what is no DHCPv6 message at all, and nothing else."""
    relays: list[Relay] = []
    while datagram[:1] == bytes((MessageType.RELAY_FORW,)):
        if len(relays) == _MOST_RELAYS:
            raise WireError(f"more than {_MOST_RELAYS} relays")
        relay, datagram = _unwrapped(datagram)
        relays.append(relay)
    if len(datagram) < 4:
        raise WireError(f"{len(datagram)} bytes, a DHCPv6 message has at least 4")
    kind, xid = datagram[0], int.from_bytes(datagram[1:4], "big")
    if kind in (0, MessageType.RELAY_REPL):
        raise WireError(f"message type {kind} is none for a server")
    return Message(kind, xid, tuple(options_of(datagram[4:])), tuple(relays))


def _unwrapped(datagram: bytes) -> tuple[Relay, bytes]:
    if len(datagram) < _RELAY.size:
        raise WireError(f"{len(datagram)} bytes, a relay's message has at least {_RELAY.size}")
    _, hops, link, peer = _RELAY.unpack_from(datagram)
    options = tuple(options_of(datagram[_RELAY.size :]))
    inner = next((value for code, value in options if code == Option.RELAY_MESSAGE), None)
    if inner is None:
        raise WireError("a relay's message without a message in it")
    said = tuple(one for one in options if one[0] != Option.RELAY_MESSAGE)
    return Relay(hops, IPv6Address(link), IPv6Address(peer), said), inner


def encode(message: Message) -> bytes:
    """*message*, wrapped for each of its relays."""
    if message.type == 0 or not 0 <= message.xid < 1 << 24:
        raise WireError(f"no message: type {message.type}, xid {message.xid}")
    header = bytes((message.type,)) + message.xid.to_bytes(3, "big")
    data = header + _options(message)
    for relay in reversed(message.relays):
        echoed = tuple(one for one in relay.options if one[0] in _ECHOED)
        wrapped = _checked((*echoed, (Option.RELAY_MESSAGE, data)))
        data = _RELAY.pack(
            MessageType.RELAY_REPL, relay.hops, relay.link.packed, relay.peer.packed
        ) + encoded(wrapped)
    return data


def _options(message: Message) -> bytes:
    return encoded(_checked(message.options))


def _checked(options: tuple[tuple[int, bytes], ...]) -> tuple[tuple[int, bytes], ...]:
    for code, value in options:
        if len(value) > 0xFFFF:
            raise WireError(f"option {code} has {len(value)} bytes")
    return options
