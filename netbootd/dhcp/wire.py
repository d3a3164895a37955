"""
Bytes to Message and back.  scapy lives here and nowhere else.

Reading is a walk over the bytes, since it has to be quick and must survive anything: scapy raises
struct.error on some garbled packets, does not join split options (RFC 3396) and does not look into
overloaded fields (option 52).  The tests hold it beside scapy's own dissection, packet for packet.

Writing is scapy's work: it encodes each run of fixed options once, and the bytes are kept.  What
differs from client to client is laid in between: the header, and the options of ``_LAID_IN``.

A message is 236 bytes of header, four of magic cookie, then options (RFC 2131, section 2).  BOOTP
from before RFC 1048 has no cookie; no netboot client of ours sends that, so it is a WireError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from ipaddress import IPv4Address
from typing import Any

from netbootd.dhcp.message import LARGEST_LIMIT, NO_ADDRESS, HardwareType, Message, Op, Option
from netbootd.errors import WireError

_HEADER = struct.Struct("!BBBBIHHIIII16s64s128s4s")
COOKIE = b"\x63\x82\x53\x63"  # RFC 1497
_SMALLEST = 300  # RFC 1542, section 2.1: relays may drop what is shorter
_LONGEST_CHADDR = 16
_INFINIBAND_ADDRESS = 20  # RFC 4391, section 9.1.1
_LONGEST_VALUE = 255
_END = bytes([Option.END])

#: Options that differ from client to client, so that a kept encoding would serve nobody else.
_LAID_IN = frozenset(
    {
        Option.VENDOR_OPTIONS,  # may echo the client's boot item
        Option.HOST_NAME,
        Option.LEASE_TIME,
        Option.RENEWAL_TIME,
        Option.REBINDING_TIME,
        Option.CONFIGURATION_FILE,
        Option.CLIENT_ID,
        Option.BOOT_FILE,
        Option.RELAY_AGENT,
        Option.UUID,
    }
)
#: Options that are not split when they are longer than 255 bytes (RFC 3396): firmware reads the
#: first part of a name alone.
_NEVER_SPLIT = frozenset(
    {
        *(Option.VENDOR_OPTIONS, Option.VENDOR_CLASS, Option.UUID, Option.IPXE),
        *(Option.TFTP_SERVER_NAME, Option.BOOT_FILE, Option.CONFIGURATION_FILE),
    }
)
#: What goes first when a client's limit is too small.  RFC 3046, section 2.2: a server that cannot
#: copy option 82 answers without it.
_DISPENSABLE = (Option.TFTP_SERVER_NAME, Option.CLIENT_ID, Option.RELAY_AGENT)


def decode(datagram: bytes) -> Message:
    """Read a datagram; raises WireError for what is no BOOTP message at all, and nothing else."""
    if len(datagram) < _HEADER.size:
        raise WireError(f"{len(datagram)} bytes, a DHCP message has at least {_HEADER.size}")
    op, htype, hlen, hops, xid, secs, flags, *rest = _HEADER.unpack_from(datagram)
    ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, cookie = rest
    _check(op, htype, hlen, cookie)
    options, overload = _options(datagram[_HEADER.size :], sname, file)
    return Message(
        op=op,
        htype=htype,
        hlen=hlen,
        hops=hops,
        xid=xid,
        secs=secs,
        flags=flags,
        ciaddr=IPv4Address(ciaddr) if ciaddr else NO_ADDRESS,
        yiaddr=IPv4Address(yiaddr) if yiaddr else NO_ADDRESS,
        siaddr=IPv4Address(siaddr) if siaddr else NO_ADDRESS,
        giaddr=IPv4Address(giaddr) if giaddr else NO_ADDRESS,
        chaddr=chaddr,
        sname=b"" if overload & _IN_SNAME else _text(sname),
        file=b"" if overload & _IN_FILE else _text(file),
        options=options,
    )


def encode(message: Message, limit: int = LARGEST_LIMIT) -> bytes:
    """
    Write *message* in at most *limit* bytes, and at least 300.

    Options go in the order of the mapping.  What is dispensable is left out where the limit asks
    for it, nothing is ever cut; raises WireError where the rest still does not fit, or a file name
    or an option is too long for its field.
    """
    header = _header(message)
    options = dict(message.options)
    body = _encoded(options)
    for code in _DISPENSABLE:
        if len(header) + len(body) <= limit:
            break
        if options.pop(code, None) is not None:
            body = _encoded(options)
    if len(header) + len(body) > limit:
        raise WireError(f"reply of {len(header) + len(body)} bytes, the client takes {limit}")
    return (header + body).ljust(_SMALLEST, b"\0")


_IN_FILE, _IN_SNAME = 1, 2  # option 52, RFC 2132, section 9.3


def _check(op: int, htype: int, hlen: int, cookie: bytes) -> None:
    if op not in (Op.REQUEST, Op.REPLY):
        raise WireError(f"op is {op}, neither request (1) nor reply (2)")
    # InfiniBand's address of 20 bytes does not fit, but some say its length (RFC 4390 wants 0).
    if hlen > _LONGEST_CHADDR and (htype, hlen) != (HardwareType.INFINIBAND, _INFINIBAND_ADDRESS):
        raise WireError(f"hardware address of {hlen} bytes, there is room for {_LONGEST_CHADDR}")
    if cookie != COOKIE:
        raise WireError(f"no DHCP cookie but {cookie.hex()}: BOOTP without options is not served")


def _options(area: bytes, sname: bytes, file: bytes) -> tuple[dict[int, bytes], int]:
    """All options, overloaded fields in the order of RFC 3396, section 5; and option 52."""
    options: dict[int, bytes] = {}
    _walk(area, options)
    overload = _overload_of(options)
    if overload & _IN_FILE:
        _walk(file, options)
    if overload & _IN_SNAME:
        _walk(sname, options)
    return options, overload


def _overload_of(options: Mapping[int, bytes]) -> int:
    value = options.get(Option.OVERLOAD, b"")
    return value[0] & (_IN_FILE | _IN_SNAME) if len(value) == 1 else 0


def _walk(area: bytes, options: dict[int, bytes]) -> None:
    """
    Add the options of *area*; values of a code met before are joined on (RFC 3396, section 7).

    A length that runs past the end stops the walk, and what was read before it stays.
    """
    at, size = 0, len(area)
    while at < size:
        code = area[at]
        at += 1
        if code == Option.PAD:
            continue
        if code == Option.END or at == size:
            return
        end = at + 1 + area[at]
        if end > size:
            return
        value = area[at + 1 : end]
        options[code] = options[code] + value if code in options else value
        at = end


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _header(message: Message) -> bytes:
    # A name that fills its field has no NUL after it, and clients differ in what they make of that.
    if len(message.file) > 127 or len(message.sname) > 63:
        raise WireError(f"file of {len(message.file)}, sname of {len(message.sname)} bytes")
    return _HEADER.pack(
        message.op,
        message.htype,
        message.hlen,
        message.hops,
        message.xid,
        message.secs,
        message.flags,
        int(message.ciaddr),
        int(message.yiaddr),
        int(message.siaddr),
        int(message.giaddr),
        message.chaddr,
        message.sname,
        message.file,
        COOKIE,
    )


def _encoded(options: Mapping[int, bytes]) -> bytes:
    return b"".join((*_pieces(options.items()), _END))


def _pieces(options: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Kept runs of fixed options, and between them those that are this client's own."""
    run: list[tuple[int, bytes]] = []
    for code, value in options:
        if code not in _LAID_IN and len(value) <= _LONGEST_VALUE:
            run.append((code, value))
            continue
        if run:
            yield _built(tuple(run))
            run.clear()
        yield _laid_in(code, value)
    if run:
        yield _built(tuple(run))


@lru_cache(maxsize=4096)
def _built(run: tuple[tuple[int, bytes], ...]) -> bytes:
    """*run* as scapy encodes it, without END."""
    return bytes(_dhcp()(options=list(run)))


@cache
def _dhcp() -> Any:
    """scapy's options of DHCP.  To import it takes 0.15 s, so it is not for the start."""
    from scapy.config import conf  # noqa: PLC0415

    # It would read the routing tables when it is imported; nothing here needs them.
    conf.route_autoload = conf.route6_autoload = False
    from scapy.data import MANUFDB  # noqa: PLC0415
    from scapy.layers.dhcp import DHCP  # noqa: PLC0415  after the settings it reads

    MANUFDB.d.clear()  # who made which card: 14 MB that nobody asks for
    return DHCP


def warm() -> None:
    """Import what the first answer needs; for a thread.  Who answers meanwhile waits for it."""
    _dhcp()


def _laid_in(code: int, value: bytes) -> bytes:
    if len(value) <= _LONGEST_VALUE:
        return bytes((code, len(value))) + value
    if code in _NEVER_SPLIT:
        raise WireError(f"option {code} of {len(value)} bytes, there is room for {_LONGEST_VALUE}")
    parts = [value[at : at + _LONGEST_VALUE] for at in range(0, len(value), _LONGEST_VALUE)]
    return b"".join(bytes((code, len(part))) + part for part in parts)
