"""
Frames to UDP datagrams and TCP segments: the layers below, as far as they stand in the way.

Link types by https://www.tcpdump.org/linktypes.html; tags of VLANs by IEEE 802.1Q and 802.1ad.
Nothing here raises: what is no IPv4, or a fragment other than the first, is None.  Checksums are
not looked at: a capture on the sender's side has them unfinished (checksum offload).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from netbootd.replay.capture import Frame

_ETHERNET, _RAW, _LINUX_SLL, _IPV4, _LINUX_SLL2 = 1, 101, 113, 228, 276
_NULL, _LOOP = 0, 108  # BSD's loopback: the address family in four bytes, of either order
_ALSO_RAW = (12, 14)
#: Where the EtherType stands, and what follows behind it.
_TYPE_AT = {_ETHERNET: (12, 14), _LINUX_SLL: (14, 16), _LINUX_SLL2: (0, 20)}
_TYPE_IPV4 = 0x0800
_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_MOST_TAGS = 4
_UDP, _TCP = 17, 6
_MORE_FRAGMENTS, _OFFSET = 0x2000, 0x1FFF

#: Link types that are understood, for messages.
KNOWN_LINKS = frozenset({*_TYPE_AT, _RAW, _IPV4, _NULL, _LOOP, *_ALSO_RAW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """
    One UDP datagram, or TCP segment where *tcp*, of frame *number* at *at* (Unix seconds).

    *vlans* are its tags from the outside.  *cut*: the capture has not all of the payload.  *seq*
    and *ack* are TCP's.
    """

    number: int
    at: float
    source: IPv4Address
    sport: int
    to: IPv4Address
    dport: int
    payload: bytes
    vlans: tuple[int, ...] = ()
    cut: bool = False
    tcp: bool = False
    seq: int = 0
    ack: int = 0


def datagram(frame: Frame) -> Datagram | None:
    """What *frame* carries, None where that is nothing for us."""
    packet, vlans = _network(frame.link, frame.data)
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    header = (packet[0] & 15) * 4
    size, _, fragment = struct.unpack_from("!HHH", packet, 2)
    if header < 20 or fragment & _OFFSET:
        return None
    # A sender that leaves the splitting to its card writes 0 (TCP segmentation offload).
    whole = packet[header : size or None]
    is_cut = bool(fragment & _MORE_FRAGMENTS) or len(packet) < size
    source, to = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    if packet[9] == _UDP and len(whole) >= 8:
        sport, dport, length = struct.unpack_from("!HHH", whole)
        payload = whole[8 : max(length, 8)]
        return Datagram(
            number=frame.number,
            at=frame.at,
            source=source,
            sport=sport,
            to=to,
            dport=dport,
            payload=payload,
            vlans=vlans,
            cut=is_cut or len(payload) + 8 < length,
        )
    if packet[9] == _TCP and len(whole) >= 20:
        sport, dport, seq, ack, offset = struct.unpack_from("!HHIIB", whole)
        return Datagram(
            number=frame.number,
            at=frame.at,
            source=source,
            sport=sport,
            to=to,
            dport=dport,
            payload=whole[(offset >> 4) * 4 :],
            vlans=vlans,
            cut=is_cut,
            tcp=True,
            seq=seq,
            ack=ack,
        )
    return None


def _network(link: int, data: bytes) -> tuple[bytes, tuple[int, ...]]:
    """The IPv4 packet in a frame and the VLANs around it; empty where there is none."""
    if link in (_RAW, _IPV4, *_ALSO_RAW):
        return data, ()
    if link in (_NULL, _LOOP):
        return (data[4:], ()) if data[:4] in (b"\2\0\0\0", b"\0\0\0\2") else (b"", ())
    if link not in _TYPE_AT:
        return b"", ()
    type_at, at = _TYPE_AT[link]
    kind = int.from_bytes(data[type_at : type_at + 2], "big")
    vlans: tuple[int, ...] = ()
    while kind in _TAGS and len(vlans) < _MOST_TAGS:
        vlans = (*vlans, int.from_bytes(data[at : at + 2], "big") & 0x0FFF)
        kind = int.from_bytes(data[at + 2 : at + 4], "big")
        at += 4
    return (data[at:], vlans) if kind == _TYPE_IPV4 else (b"", ())
