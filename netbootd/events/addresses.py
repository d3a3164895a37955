"""
Who was last seen at an address: a file is fetched by an address, its line should name a machine.

Only for telling: no decision rests on it, since anybody can use an address.
"""

from __future__ import annotations

from collections import OrderedDict

from netbootd.events.audit import Audited
from netbootd.events.event import Event, Scripted, Transferred

_MOST = 16384  # addresses remembered; the oldest is forgotten first
_AT_HOME = (Scripted, Transferred)  # they tell of an address that is the machine's own


class AddressBook:
    """Learns from events that name both a machine and its address."""

    def __init__(self) -> None:
        self._machines: OrderedDict[str, str] = OrderedDict()

    def who(self, event: Event) -> str:
        """The machine of *event*, as its line begins, also where it only has an address."""
        if isinstance(event, Audited):
            return event.who
        known = self._machines.get(event.peer) if event.mac is None else None
        return known or event.who

    def knows(self, address: str) -> bool:
        """Whether a machine was seen at *address*."""
        return address in self._machines

    def learn(self, event: Event) -> None:
        """Remember the machine of *event*, where it tells of its address."""
        if isinstance(event, _AT_HOME) and event.peer and event.mac is not None:
            self._machines[event.peer] = event.who
            self._machines.move_to_end(event.peer)
            if len(self._machines) > _MOST:
                self._machines.popitem(last=False)
