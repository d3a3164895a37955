"""
What happens to addresses where we are the DHCP server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.events.event import Event
from netbootd.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased(Event):
    """
    A client has *address* for *seconds* from now: *how* is ``new``, ``renewed``, ``rebound``,
    ``init-reboot`` or ``bootp``.  *hostname* is the name that goes with it, *key* whose lease it
    is, *netboot* whether firmware or iPXE asked.
    """

    address: str
    seconds: int
    how: str
    key: str = ""
    hostname: str = ""
    reserved: bool = False
    interface: str = ""
    relay: str = ""
    netboot: bool = False

    @property
    def level(self) -> str:  # type: ignore[override]
        """A renewal is no news."""
        return "info" if self.how in ("new", "init-reboot", "bootp") else "debug"

    @property
    def what(self) -> str:
        named = f" as {printable(self.hostname)}" if self.hostname else ""
        return f"has {self.address}{named} for {self.seconds} s ({self.how})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOffered(Event):
    """*address* was offered to a client."""

    level: ClassVar[str] = "debug"
    address: str
    interface: str = ""
    relay: str = ""
    netboot: bool = False

    @property
    def what(self) -> str:
        return f"was offered {self.address} on {self.interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseEnded(Event):
    """
    A client has *address* no more: *how* is ``expired`` or ``released``, *by* whom where that was
    not the client.
    """

    level: ClassVar[str] = "info"
    address: str
    how: str
    key: str = ""
    hostname: str = ""
    by: str = ""

    @property
    def what(self) -> str:
        by = f" by {printable(self.by)}" if self.by else ""
        return f"has {self.address} no more: {self.how}{by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Naked(Event):
    """A client was told that it may not have *address* (DHCPNAK), and why."""

    address: str
    reason: str
    interface: str = ""

    @property
    def what(self) -> str:
        return f"may not have {self.address}: {printable(self.reason)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressInUse(Event):
    """
    *address* was to be given to a client, and *by* has it: a card that answers for it, by its MAC
    and the name of its machine where that is listed, or empty where the client said so alone
    (DHCPDECLINE).  It is given to nobody for *seconds*.
    """

    level: ClassVar[str] = "warn"
    address: str
    by: str = ""
    seconds: int = 0
    interface: str = ""

    @property
    def what(self) -> str:
        if self.by:
            return f"cannot have {self.address}: {printable(self.by)} uses it"
        return f"declines {self.address}: somebody else uses it"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAddress(Event):
    """
    A client got no address: *reason* in words, *code* for programs: ``exhausted`` (every address
    of the pools of *subnet* is taken), ``no-pool``, ``port-limit``, ``unsaved`` (the lease cannot
    be written down), ``unlisted``.  *again*: the log has said so a moment ago.
    """

    reason: str
    code: str
    subnet: str = ""
    interface: str = ""
    again: bool = False

    @property
    def level(self) -> str:  # type: ignore[override]
        """An empty pool is asked of all the time."""
        return "debug" if self.again else "warn"

    @property
    def what(self) -> str:
        return f"got no address: {printable(self.reason)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignServer(Event):
    """Another DHCP server gives addresses on *interface*, where we do."""

    level: ClassVar[str] = "warn"
    server: str
    interface: str
    address: str = ""

    @property
    def what(self) -> str:
        gives = f" {self.address}" if self.address else " an address"
        return f"was given{gives} by another DHCP server, {self.server}, on {self.interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flooded(Event):
    """
    So many packets came on *interface* that *count* were not looked at, so that others are served:
    those of unknown cards first.
    """

    level: ClassVar[str] = "warn"
    interface: str
    count: int
    protocol: str = "DHCP"

    @property
    def who(self) -> str:
        return self.interface

    @property
    def what(self) -> str:
        return f"is flooded: {self.count} {self.protocol} packets were not looked at"
