"""
What a MAC has been heard to say of its machine: a node tells its UUID in DHCP (option 97) and, with
serial number and asset tag, in the query by which iPXE fetches its script.  All that it asks for
afterwards names the MAC alone; but some loaders ask by UUID, and a Raspberry Pi by its serial
number, so these lead back to the MAC.
"""

from __future__ import annotations

from collections import OrderedDict

from netbootd.mac import MAC
from netbootd.registry import marks
from netbootd.registry.marks import UNMARKED, Marks

_MOST = 65536  # MACs remembered; the one unheard of for longest is forgotten first


class Sightings:
    """Marks by MAC, in memory only: the next boot says them again."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._marks: OrderedDict[MAC, Marks] = OrderedDict()
        self._by_name: dict[str, MAC] = {}

    def of(self, mac: MAC | None) -> Marks:
        """What is known of *mac*."""
        return self._marks.get(mac, UNMARKED) if mac else UNMARKED

    def by_uuid(self, uuid: str) -> MAC | None:
        """Who has said that its UUID is *uuid*, in either order of its bytes."""
        return self._by_name.get(marks.normal("uuid", uuid))

    def by_pi_serial(self, serial: str) -> MAC | None:
        """The Raspberry Pi whose serial number ends in the eight digits *serial*."""
        return self._by_name.get(serial.lower())

    def note(self, mac: MAC | None, said: Marks) -> Marks:
        """
        Remember what *mac* has *said* now, and return it with what it has said before: the very
        object that was known where that is nothing new.
        """
        before = self.of(mac)
        known = said.over(before)
        if mac is None or said == UNMARKED:
            return known
        if before is not UNMARKED:
            if known == before:
                known = before
            else:
                self._unname(mac, before)
            self._marks.move_to_end(mac)
        self._marks[mac] = known
        for name in _names(known):
            self._by_name[name] = mac
        if len(self._marks) > self._most:
            self._unname(*self._marks.popitem(last=False))
        return known

    def _unname(self, mac: MAC, known: Marks) -> None:
        for name in _names(known):
            if self._by_name.get(name) == mac:
                del self._by_name[name]


def _names(known: Marks) -> tuple[str, ...]:
    """What else *known* may be asked for by: its UUID, or the serial number of a Pi."""
    uuid = known.uuid
    return (marks.normal("uuid", uuid), *marks.pi_serials(uuid)) if uuid else ()
