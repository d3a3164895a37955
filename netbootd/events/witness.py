"""
What is seen of a machine that is not said to us: what it asks of other servers, and what these
answer.  Evidence for why a boot went nowhere; nothing is decided by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.events.event import Event, Passed
from netbootd.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested(Event):
    """
    A client takes the *address* (option 50) that the DHCP server *server* (option 54) offered.

    *netboot*: it says that it is a PXE client or iPXE, so this is firmware or a loader.
    """

    level: ClassVar[str] = "debug"
    server: str
    address: str
    interface: str
    netboot: bool

    @property
    def what(self) -> str:
        return f"takes {self.address or 'an address'} from the DHCP server {self.server}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheard(Event):
    """
    A reply of another server to *mac*: *message* is ``offer``, ``ack`` or ``nak``.

    *address* is what it gives (yiaddr), empty where it gives none; *file* and *next_server* what it
    says of booting, in the header or in options 66 and 67, empty where it says nothing.  *proxy*:
    it is a proxyDHCP server, as option 60 and the missing address tell.
    """

    level: ClassVar[str] = "debug"
    message: str
    server: str
    address: str = ""
    file: str = ""
    next_server: str = ""
    proxy: bool = False
    interface: str = ""

    @property
    def what(self) -> str:
        gives = f" with address {self.address}" if self.address else ""
        boots = f", file {printable(self.file)}" if self.file else ""
        who = "another proxyDHCP server" if self.proxy else "the DHCP server"
        return f"got {self.message} from {who} {self.server}{gives}{boots}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotNetboot(Passed):
    """A DHCP client that does not boot from the network: a running system, or an installer."""

    vendor_class: str = ""
    host_name: str = ""
    interface: str = ""
