"""
Addresses that are somebody's for real, as far as events tell: they go before strangers where more
asks than can be served.

Whoever was served by HTTP has proved that it hears what is sent to its address, since TCP begins
with a number that only it was told.  Whoever fetched something whole by TFTP had to acknowledge it
at a port that it could not foresee; with a single port somebody else could have, so this counts for
less.  A script that goes out by TFTP says nothing yet: only what is asked for with a forged address
has happened then.  What a listed machine says of its address by DHCP is believed as well, one
address of each; who knows the MAC of one could say it in its name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container

from netbootd.events.event import Event, NodeScripted, Offered, Served, Transferred
from netbootd.events.lease import Leased
from netbootd.events.witness import Overheard, Requested
from netbootd.mac import MAC

_MOST = 16_384
_BY_TCP = (Served, NodeScripted)
_NOBODY = ("", "0.0.0.0")


class Familiar:
    """The addresses; *is_listed* tells whether a card is a listed machine's."""

    #: What it is to be told of.
    KINDS = (*_BY_TCP, Transferred, Offered, Leased, Overheard, Requested)

    def __init__(self, is_listed: Callable[[MAC], bool]) -> None:
        self._is_listed = is_listed
        self._proved: OrderedDict[str, None] = OrderedDict()
        self._fetched: OrderedDict[str, None] = OrderedDict()
        self._of: OrderedDict[MAC, str] = OrderedDict()
        self._said: dict[str, MAC] = {}

    def __contains__(self, address: object) -> bool:
        return address in self._proved or address in self._fetched or address in self._said

    def __len__(self) -> int:
        return len(self._proved) + len(self._fetched) + len(self._said)

    @property
    def proved(self) -> Container[str]:
        """Those that nobody else can have spoken for."""
        return self._proved

    def __call__(self, event: Event) -> None:
        """Learn from *event*."""
        if isinstance(event, _BY_TCP):
            _remember(event.peer, self._proved)
        elif isinstance(event, Transferred):
            _remember(event.peer, self._fetched)
        elif event.mac is not None and (address := _said(event)) not in _NOBODY:
            self._claim(event.mac, address)

    def _claim(self, mac: MAC, address: str) -> None:
        if self._of.get(mac) == address or not self._is_listed(mac):
            return
        self._forget(mac)
        if (other := self._said.get(address)) is not None:
            del self._of[other]
        self._of[mac], self._said[address] = address, mac
        if len(self._of) > _MOST:
            self._forget(next(iter(self._of)))

    def _forget(self, mac: MAC) -> None:
        if (address := self._of.pop(mac, None)) is not None:
            del self._said[address]


def _remember(address: str, among: OrderedDict[str, None]) -> None:
    """The one heard of longest ago goes for it."""
    among[address] = None
    among.move_to_end(address)
    if len(among) > _MOST:
        among.popitem(last=False)


def _said(event: Event) -> str:
    """The address that its machine has by *event*, empty for none."""
    match event:
        case Leased() | Requested():
            return event.address
        case Overheard(message="ack"):
            return event.address
        case Offered():
            return event.peer  # of 4011, asked by who has an address
    return ""
