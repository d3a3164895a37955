"""
How a request reached us, and what is decided of it: values between ``dhcp6/server`` and the edge.

A lease is promised by the reply, so what stands in *write* must be on disk before the reply leaves;
where that fails the reply does not leave, and *before* is what the table had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Interface

from netbootd.boot.client import Client
from netbootd.boot.decision import Decision
from netbootd.dhcp6.message import Message
from netbootd.events.event import Event
from netbootd.leases.lease import Lease
from netbootd.record.standing import FRESH, Standing


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    The *interface* by name, its addresses (*links*), the sender's address (*source*: a relay's, or
    the client's own on this link), and the *address* of ours that our files are at.  *unicast*: it
    was sent to us and not to all servers.
    """

    interface: str
    address: IPv6Address
    source: IPv6Address
    links: Sequence[IPv6Interface] = ()
    unicast: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered at *now* (Unix seconds): *standing* of a machine by its key."""

    standing: Callable[[str], Standing] = field(default=lambda _key: FRESH)
    now: float = 0.0


NOTHING_KNOWN = Known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """
    A *reply*, and *events* that tell of it once it has left.

    *write* must be on disk first, and then *before* is what the table had of each, None for
    nothing.
    """

    reply: Message
    write: tuple[Lease, ...] = ()
    before: tuple[Lease | None, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignored:
    """
    No reply, and why: *reason* in words, *code* for programs.

    *unserved* where a netboot client goes without, as somebody will ask; *client* where it is one.
    """

    reason: str
    unserved: bool = False
    code: str = ""
    client: Client | None = None
    decision: Decision | None = None
