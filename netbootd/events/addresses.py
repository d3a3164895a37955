"""
Who was last seen at an address: a file is fetched by an address, its line should name a machine.

Only for telling: no decision rests on it, since anybody can use an address.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from netbootd.events.event import Event, Scripted, Transferred
from netbootd.mac import MAC

_MOST = 16384  # addresses remembered; the oldest is forgotten first


class AddressBook:
    """Learns from events that name both a machine and its address."""

    def __init__(self) -> None:
        self._machines: OrderedDict[str, tuple[MAC, str]] = OrderedDict()

    def completed(self, event: Event) -> Event:
        """*event* with its machine filled in where it only has an address, and learned from."""
        if event.mac is None:
            if event.peer not in self._machines:
                return event
            mac, target = self._machines[event.peer]
            return replace(event, mac=mac, target=target)
        if event.peer and isinstance(event, Scripted | Transferred):
            self._machines[event.peer] = (event.mac, event.target)
            self._machines.move_to_end(event.peer)
            if len(self._machines) > _MOST:
                self._machines.popitem(last=False)
        return event
