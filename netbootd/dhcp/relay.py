"""
What a relay says of where a client is: option 82 (RFC 3046) and its kin.

It is believed behind a relay alone, one that says its own address (giaddr): without that the sender
may have made it itself (RFC 3046, section 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from netbootd.dhcp.message import Message, Option, sub_options
from netbootd.registry.marks import spelt

_CIRCUIT, _REMOTE = 1, 2
_LINK_SELECTION = 5  # RFC 3527
_SERVER_ID = 11  # RFC 5107


@dataclass(frozen=True, slots=True)
class Relay:
    """
    *address* is the relay's own, *circuit* and *remote* what it calls the port and itself, as
    ``registry/marks`` spells them.  *link* is the address that tells the subnet, *place* the
    same as text, *server* the one that clients are to know us by, None for ours.  *port* is the
    port, as a word for people and programs.
    """

    address: IPv4Address
    link: IPv4Address
    place: str
    port: str
    circuit: str = ""
    remote: str = ""
    server: IPv4Address | None = None

    @property
    def names_ports(self) -> bool:
        """Whether it tells one of its ports from another."""
        return bool(self.circuit or self.remote)


def relay_of(message: Message) -> Relay | None:
    """The relay that sent *message* on, None where none did."""
    if not int(message.giaddr):
        return None
    return _relay(message.giaddr.packed, message.options.get(Option.RELAY_AGENT, b""))


@lru_cache(maxsize=4096)
def _relay(address: bytes, information: bytes) -> Relay:
    """The relay at *address*, whose ports say the same with each packet."""
    said, giaddr = dict(sub_options(information)), IPv4Address(address)
    link = _address(said.get(_LINK_SELECTION, b"")) or giaddr
    circuit, remote = spelt(said.get(_CIRCUIT, b"")), spelt(said.get(_REMOTE, b""))
    return Relay(
        address=giaddr,
        link=link,
        place=str(link),
        port=" ".join(word for word in (str(giaddr), remote, circuit) if word),
        circuit=circuit,
        remote=remote,
        server=_address(said.get(_SERVER_ID, b"")),
    )


def _address(said: bytes) -> IPv4Address | None:
    return IPv4Address(said) if len(said) == 4 and any(said) else None
