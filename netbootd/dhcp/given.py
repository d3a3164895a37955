"""
What a DHCP server decides, as values between ``dhcp/server`` and the edge.

A lease is promised by the reply, so what stands in *write* must be on disk before the reply leaves;
where that fails the reply does not leave, and *before* is what the table had.
"""

from __future__ import annotations

from dataclasses import dataclass

from netbootd.dhcp.message import Message
from netbootd.dhcp.proxy import Answer, Ignored
from netbootd.events.event import Event
from netbootd.leases.lease import Address, Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """
    A *reply* of a DHCP server, and *events* that tell of it once it has left.

    *lease* is the one it gives, None for a NAK and for the answer to an INFORM.  *write* must be on
    disk first, and then *before* is what the table had of each, None for nothing.  *boot* is what
    a proxy would have said, None where the reply names no boot file; *refused* is why, where
    somebody asked who boots.
    """

    reply: Message
    lease: Lease | None = None
    write: tuple[Lease, ...] = ()
    before: tuple[Lease | None, ...] = ()
    boot: Answer | None = None
    refused: Ignored | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """
    No reply yet: the network is to be asked who has *address*; then the same request again.

    With a *holder*, the key of another card of the same machine, the table knows who has it: an
    answer is no conflict then, and silence means that it may be handed over.
    """

    address: Address
    holder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """No reply is due (DECLINE, RELEASE): what is to be written, and told."""

    write: tuple[Lease, ...] = ()
    events: tuple[Event, ...] = ()
