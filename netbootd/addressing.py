"""
What the configuration says of handing out addresses: plain values, one ``Addressing`` for each
subnet.  They are read in ``registry/addressing`` and used by ``dhcp/server``; nothing here looks at
files or packets.

Options are encoded when the file is read, so that a packet costs no more than putting them
together (RFC 2132 and others; the table of names is in ``dhcpoptions``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address
from typing import Self


class Serving(Enum):
    """What DHCP does in a network: name boot files alone, give addresses as well, or nothing."""

    PROXY = "proxy"
    SERVER = "server"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from *first* to *last*, both included."""

    first: IPv4Address
    last: IPv4Address

    def __contains__(self, address: IPv4Address) -> bool:
        return self.first <= address <= self.last

    def __len__(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Match:
    """
    Whom a pool is for; what is empty matches everybody.

    *circuit_id* and *remote_id* are what a relay says (option 82, RFC 3046), *vendor_class* and
    *user_class* what the client does (options 60 and 77): patterns with ``*`` and ``?`` each.
    *listed*: True for machines of the file alone, False for all others.
    """

    circuit_id: str = ""
    remote_id: str = ""
    vendor_class: str = ""
    user_class: str = ""
    listed: bool | None = None

    @property
    def text(self) -> str:
        """The words that are not empty, ``circuit_id Gi0/*``; empty for everybody."""
        words = ("circuit_id", "remote_id", "vendor_class", "user_class")
        told = [f"{word} {getattr(self, word)}" for word in words if getattr(self, word)]
        told += [] if self.listed is None else ["listed" if self.listed else "not listed"]
        return ", ".join(told)


EVERYBODY = Match()


@dataclass(frozen=True, slots=True)
class Pool:
    """Addresses that are given as they are asked for, of the *range*, to those of *match*."""

    range: Range
    match: Match = EVERYBODY

    @property
    def text(self) -> str:
        """Its range, and whom it is for."""
        return f"{self.range} [{self.match.text}]" if self.match.text else str(self.range)


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """
    Seconds: of a lease where the client names no time, and the bounds of what it may ask for
    (option 51); ``dhcpd.conf(5)`` has the same three.
    """

    default: int = 3600
    least: int = 300
    most: int = 86400

    @property
    def text(self) -> str:
        """For a person."""
        return f"{self.default} seconds; {self.least} to {self.most} for who asks for it"

    @property
    def disorder(self) -> str:
        """What is wrong with the three together; empty where they are in order."""
        if self.least <= self.default <= self.most:
            return ""
        return (
            f"min_lease_time ({self.least}), lease_time ({self.default}) and max_lease_time"
            f" ({self.most}) must be in this order, the shortest first"
        )

    @classmethod
    def of(cls, default: int | None, least: int | None, most: int | None) -> Self:
        """Of what is written; what is None gives way to what is not."""
        usual = cls()
        if default is None:
            default = max(usual.default, least or 0)
            default = default if most is None else min(default, most)
        return cls(
            default,
            min(usual.least, default) if least is None else least,
            max(usual.most, default) if most is None else most,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressing:
    """
    How addresses are given in one subnet.

    *serving* is None where that is left to the interface and the setting.  *exclude* are holes in
    the *pools*.  *options* are by their codes, encoded; *shared_network* is a name that all subnets
    of one cable have in common.  *authoritative*: a client that is wrong is told so (NAK).
    *probe*: an address is asked for by ARP before somebody has it for the first time.
    *match_client_id*: who says another option 61 is somebody else, even with the same card; else
    the firmware, iPXE and the system of one card keep one address.
    *port_limit* is the most addresses that clients which are not listed get behind one port of a
    relay (options 82.1 and 82.2), 0 for any number.
    """

    serving: Serving | None = None
    pools: tuple[Pool, ...] = ()
    exclude: tuple[Range, ...] = ()
    times: LeaseTimes = LeaseTimes()
    options: Mapping[int, bytes] = field(default_factory=dict)
    shared_network: str = ""
    authoritative: bool = True
    rapid_commit: bool = False
    bootp: bool = False
    probe: bool = True
    match_client_id: bool = False
    port_limit: int = 64

    def excludes(self, address: IPv4Address) -> bool:
        """Whether *address* lies in a hole of the pools."""
        return any(address in hole for hole in self.exclude)

    def addresses(self) -> Iterator[IPv4Address]:
        """All that the pools hold, without the holes, in order."""
        for pool in self.pools:
            for number in range(int(pool.range.first), int(pool.range.last) + 1):
                address = IPv4Address(number)
                if not self.excludes(address):
                    yield address


NO_ADDRESSING = Addressing()
