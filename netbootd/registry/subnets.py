"""
Section ``subnets``: what differs for the machines of one network, by its address range.

A client belongs to the narrowest subnet that holds the address which tells where it is: what its
relay says (link selection, RFC 3527, else giaddr), else its own, else ours on its interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from netbootd.loaders import NO_CHOICE, Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """
    One entry; what it does not say is empty.

    *boot_server* is the base URL its machines are told, *loader* what their firmware loads,
    *reply_style* how a proxy tells them; *known_only* serves only machines that are listed,
    *served* False nobody.  *mtu* in bytes, 0 for that of the interface.
    """

    name: str = ""
    network: IPv4Network | None = None
    boot_server: str = ""
    loader: Choice = NO_CHOICE
    reply_style: str = ""
    known_only: bool = False
    served: bool = True
    mtu: int = 0


#: For addresses that no entry holds.
ELSEWHERE = Subnet()


class Subnets:
    """All of them; looked up by the length of their prefixes, the longest first."""

    def __init__(self, subnets: Mapping[IPv4Network, Subnet] | None = None) -> None:
        self._by_network = dict(subnets or {})
        lengths = {network.prefixlen for network in self._by_network}
        self._lengths = tuple(sorted(lengths, reverse=True))

    def of(self, address: str) -> Subnet:
        """The narrowest that holds *address*; ELSEWHERE for none, and where it is no IPv4."""
        if not self._lengths or not address:
            return ELSEWHERE
        try:
            asked = IPv4Address(address)
        except ValueError:
            return ELSEWHERE
        for length in self._lengths:
            if found := self._by_network.get(IPv4Network((asked, length), strict=False)):
                return found
        return ELSEWHERE

    def __iter__(self) -> Iterator[Subnet]:
        return iter(self._by_network.values())
