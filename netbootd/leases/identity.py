"""
Whose lease it is, as one key.

The firmware, iPXE and the system of a machine say different things in option 61 (a GUID, the MAC,
a DUID by RFC 4361) and ask from the same card; so the card is the key, and the address stays
through the whole boot.  What has no Ethernet address is known by option 61, as InfiniBand is
(RFC 4390), or by the hardware address that it says it has.
"""

from __future__ import annotations

from hashlib import sha256

from netbootd.mac import MAC

_LEAST = 2  # octets of option 61 (RFC 2132, section 9.14)
#: A DUID has at most 130 octets (RFC 8415, section 11.1), and no more than these are spelled out.
_LONGEST = 64


def key(
    mac: MAC | None,
    client_id: bytes = b"",
    hardware: tuple[int, bytes] = (0, b""),
    match_client_id: bool = False,
) -> str:
    """
    ``52:54:00:12:34:56``, ``id:<hexadecimal>`` or ``hw:<htype>:<hexadecimal>``.

    *client_id* is option 61, empty for none; *hardware* are htype and the hlen octets of chaddr.
    *match_client_id*: another option 61 than 01 and the MAC is somebody else (dhcpd.conf(5) does
    so).  Empty where nothing tells this client from others.
    """
    told = len(client_id) >= _LEAST
    card = mac if mac is not None and mac.reserved is None else None
    if card is not None and not (match_client_id and told and client_id != b"\x01" + card):
        return str(card)
    if told:
        return f"id:{_spelled(client_id)}"
    htype, address = hardware
    if mac is not None:
        return ""  # a card that says it is all zeros, or a multicast address
    return f"hw:{htype}:{_spelled(address)}" if any(address) else ""


def _spelled(octets: bytes) -> str:
    """In hexadecimal; what is long by its digest, since two long ones may begin alike."""
    return octets.hex() if len(octets) <= _LONGEST else f"sha256:{sha256(octets).hexdigest()}"
