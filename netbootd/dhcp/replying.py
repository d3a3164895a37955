"""
A DHCP server's replies: the header of RFC 2131, table 3, and the options that the client asked for.

Options stand in this order: what kind of reply it is, who gives it and for how long; what the
client lists (option 55) as it lists it; what every client should have; the boot part; and what is
said back to the client and its relay, option 82 last.  Where a client takes no long message, what
it did not ask for goes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

from netbootd.dhcp.asking import Asking
from netbootd.dhcp.assign import Place
from netbootd.dhcp.fields import Fields
from netbootd.dhcp.message import (
    BROADCAST_FLAG,
    NO_ADDRESS,
    Message,
    MessageType,
    Op,
    Option,
)
from netbootd.dhcp.served import Boot
from netbootd.leases.lease import INFINITE
from netbootd.registry.machine import Machine
from netbootd.registry.subnets import Subnet

_HEADER = 240 + 1  # the fixed part, the cookie and END
_LONGEST_VALUE = 255
#: Room for options of a client from before DHCP (RFC 1542, section 2.1).
BOOTP_LIMIT = 300

#: For every client, whatever it lists.
_ALWAYS = (
    Option.SUBNET_MASK,
    Option.ROUTERS,
    Option.DOMAIN_NAME_SERVERS,
    Option.DOMAIN_NAME,
    Option.RENEWAL_TIME,
    Option.REBINDING_TIME,
)
#: Said back, in this order, 82 the last of all (RFC 3046, section 2.2).
_ECHOED = (Option.CLIENT_ID, Option.RELAY_AGENT)
#: Said first or last, if at all.
_LAST = frozenset({*_ECHOED, Option.SERVER_ID})
_NEEDED = frozenset(
    {
        *(Option.MESSAGE_TYPE, Option.SERVER_ID, Option.LEASE_TIME, Option.SUBNET_MASK),
        *(Option.ROUTERS, Option.RENEWAL_TIME, Option.REBINDING_TIME, Option.RAPID_COMMIT),
        *(Option.VENDOR_CLASS, Option.VENDOR_OPTIONS, Option.BOOT_FILE, Option.IPXE),
    }
)


def leased(
    asking: Asking, kind: MessageType | None, place: Place, seconds: int, boot: Boot
) -> Message:
    """An OFFER or ACK of *place* for *seconds*; with no *kind* it is an answer by BOOTP."""
    first = _first(kind, asking, seconds)
    options = _options(asking, place.subnet, boot.machine, first, boot.fields)
    offering = kind is MessageType.OFFER
    ciaddr = NO_ADDRESS if offering else asking.request.ciaddr
    return _message(asking.request, boot.fields, options, ciaddr=ciaddr, yiaddr=place.address)


def informed(asking: Asking, subnet: Subnet, boot: Boot) -> Message:
    """The answer to an INFORM: no address and no times (RFC 2131, section 4.3.5)."""
    first = _kind(MessageType.ACK, asking)
    options = _options(asking, subnet, boot.machine, first, boot.fields)
    return _message(asking.request, boot.fields, options, ciaddr=asking.request.ciaddr)


def nak(asking: Asking, reason: str) -> Message:
    """The answer that a client may not have its address (RFC 2131, section 4.3.2)."""
    request = asking.request
    options = _kind(MessageType.NAK, asking)
    options[Option.MESSAGE] = reason.encode("ascii", "replace")[:_LONGEST_VALUE]
    options |= {code: said for code in _ECHOED if (said := request.options.get(code))}
    reply = _message(request, None, options)
    return reply._replace(flags=reply.flags | BROADCAST_FLAG) if asking.relay else reply


def _message(
    request: Message,
    boot: Fields | None,
    options: Mapping[int, bytes],
    ciaddr: IPv4Address = NO_ADDRESS,
    yiaddr: IPv4Address = NO_ADDRESS,
) -> Message:
    return Message(
        op=Op.REPLY,
        htype=request.htype,
        hlen=request.hlen,
        xid=request.xid,
        flags=request.flags,
        ciaddr=ciaddr,
        yiaddr=yiaddr,
        siaddr=boot.siaddr if boot else NO_ADDRESS,
        giaddr=request.giaddr,
        chaddr=request.chaddr,
        sname=boot.sname if boot else b"",
        file=boot.file if boot else b"",
        options=options,
    )


def _kind(kind: MessageType, asking: Asking) -> dict[int, bytes]:
    return {Option.MESSAGE_TYPE: bytes((kind,)), Option.SERVER_ID: asking.server.packed}


def _first(kind: MessageType | None, asking: Asking, seconds: int) -> dict[int, bytes]:
    """What stands before all else; nothing where the answer is by BOOTP."""
    if kind is None:
        return {}
    found = {**_kind(kind, asking), **_times(seconds)}
    discovered = asking.request.message_type == MessageType.DISCOVER
    if kind is MessageType.ACK and discovered:
        found[Option.RAPID_COMMIT] = b""  # RFC 4039, section 4
    return found


def _times(seconds: int) -> dict[int, bytes]:
    """Options 51, 58 and 59; T1 and T2 as RFC 2131, section 4.4.5, has them."""
    found = {int(Option.LEASE_TIME): seconds.to_bytes(4, "big")}
    if seconds != INFINITE:
        found[Option.RENEWAL_TIME] = (seconds // 2).to_bytes(4, "big")
        found[Option.REBINDING_TIME] = (seconds * 7 // 8).to_bytes(4, "big")
    return found


def _configured(asking: Asking, subnet: Subnet, machine: Machine | None) -> dict[int, bytes]:
    """From the nearest that says it: the machine, its groups, its target, its subnet, settings."""
    found = dict(asking.prepared.ground(subnet).options)
    if machine is not None:
        found |= asking.prepared.said_of(machine, subnet)
    if asking.registry.config.syslog.enabled:
        found.setdefault(Option.LOG_SERVERS, asking.arrival.address.packed)
    return found


def _options(
    asking: Asking,
    subnet: Subnet,
    machine: Machine | None,
    first: Mapping[int, bytes],
    boot: Fields,
) -> dict[int, bytes]:
    """All options in their order, as many as the client takes."""
    request = asking.request
    listed = request.options.get(Option.WANTED, b"")
    settings = _configured(asking, subnet, machine)
    have = {**settings, **boot.options, **first}
    unlisted = () if listed else settings
    ordered = dict(first)
    for code in (*listed, *_ALWAYS, *unlisted, *boot.options):
        if code in have and code not in ordered and code not in _LAST:
            ordered[code] = have[code]
    for code in _ECHOED:
        if said := request.options.get(code, b""):
            ordered[code] = said
    return _fitting(ordered, listed, request.limit if first else BOOTP_LIMIT)


def _fitting(ordered: dict[int, bytes], listed: bytes, limit: int) -> dict[int, bytes]:
    """*ordered* within *limit* bytes of message, if what is needed leaves room for that."""
    if _HEADER + 3 * len(ordered) + sum(map(len, ordered.values())) * 129 // 128 <= limit:
        return ordered  # as nearly always, and that is a little more than it is
    size = _HEADER + sum(map(_size, ordered.values()))
    if size <= limit:
        return ordered
    spare = [code for code in ordered if code not in _NEEDED and code not in _ECHOED]
    # What was not asked for goes first, and then what was asked for last.
    spare.reverse()
    for code in sorted(spare, key=lambda code: code in listed):
        size -= _size(ordered.pop(code))
        if size <= limit:
            break
    return ordered


def _size(value: bytes) -> int:
    """Bytes of an option on the wire, in as many parts as it takes (RFC 3396)."""
    return len(value) + 2 * max(1, -(-len(value) // _LONGEST_VALUE))
