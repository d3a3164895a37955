"""
One lease: an address and who has it.

Times are seconds of one clock that nobody sets (CLOCK_BOOTTIME, clock_gettime(2)), so that a wall
clock that jumps ends no lease; what is kept on disk has the wall clock's time beside it
(``leases/database``).

States::

    OFFERED --request--> LEASED --release, expiry--> FREE --discover--> OFFERED
       |                   |
       +----- decline, an answer to a probe -----> DECLINED --after a while--> (forgotten)

An OFFERED one is held for a moment and is in memory alone.  A FREE one is remembered so that its
last holder gets it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from netbootd.mac import MAC

Address = IPv4Address | IPv6Address
#: The time that is never over (RFC 2131, section 3.3), in seconds.
INFINITE = 0xFFFFFFFF


class State(StrEnum):
    """See the module's text."""

    OFFERED = "offered"
    LEASED = "leased"
    FREE = "free"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """
    *key* is who has it, in a spelling of ``leases/identity``; *mac* and *client_id* (option 61 in
    hexadecimal) are what it said, *hostname* the name that it is known by in DNS, empty for none.
    *machine* is the key of a listed machine, empty for another.  *port* is where it asked: a
    relay's address and the port that it told of (option 82), or an interface's name.

    *since* is when it was first given, *until* when it ends, seconds of the clock.  *reserved*: the
    configuration gives it to this machine alone.
    """

    address: Address
    key: str
    state: State
    since: float
    until: float
    mac: MAC | None = None
    client_id: str = ""
    hostname: str = ""
    machine: str = ""
    port: str = ""
    reserved: bool = False

    def active(self, now: float) -> bool:
        """Whether its holder may use it at *now*."""
        return self.state is State.LEASED and now < self.until

    def held(self, now: float) -> bool:
        """Whether nobody else may have it at *now*: leased, offered or declined."""
        return self.state is not State.FREE and now < self.until
