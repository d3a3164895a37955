"""
What a MAC has been heard to say of its machine: a node tells its UUID in DHCP (option 97) and, with
serial number and asset tag, in the query by which iPXE fetches its script.  All that it asks for
afterwards names the MAC alone.
"""

from __future__ import annotations

from collections import OrderedDict

from netbootd.mac import MAC
from netbootd.registry.marks import UNMARKED, Marks

_MOST = 65536  # MACs remembered; the one unheard of for longest is forgotten first


class Sightings:
    """Marks by MAC, in memory only: the next boot says them again."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._marks: OrderedDict[MAC, Marks] = OrderedDict()

    def of(self, mac: MAC | None) -> Marks:
        """What is known of *mac*."""
        return self._marks.get(mac, UNMARKED) if mac else UNMARKED

    def note(self, mac: MAC | None, said: Marks) -> Marks:
        """Remember what *mac* has *said* now, and return it with what it has said before."""
        marks = said.over(self.of(mac))
        if mac is not None and said != UNMARKED:
            self._marks[mac] = marks
            self._marks.move_to_end(mac)
            if len(self._marks) > self._most:
                self._marks.popitem(last=False)
        return marks
