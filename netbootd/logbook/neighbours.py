"""
The cards of addresses on our own networks, as the kernel knows them (``/proc/net/arp``, proc(5)).
"""

from __future__ import annotations

from pathlib import Path

from netbootd.mac import MAC

_TABLE = Path("/proc/self/net/arp")
_COMPLETE = 0x2  # ATF_COM of linux/if_arp.h: the address was resolved


class Neighbours:
    """Looks at the table only when it is told to: reading it is not for the reactor's thread."""

    def __init__(self, table: Path = _TABLE) -> None:
        #: Whether somebody was asked for who is not in it, since it was read.
        self.missed = False
        self._table = table
        self._cards: dict[str, MAC] = {}

    def of(self, address: str) -> MAC | None:
        """The card that has *address*, None where that is not known (yet)."""
        found = self._cards.get(address)
        self.missed |= found is None
        return found

    def read(self) -> None:
        """Look at the table again; one that cannot be read is empty."""
        self.missed = False
        try:
            text = self._table.read_text()
        except OSError:
            text = ""
        self._cards = cards_in(text)


def cards_in(text: str) -> dict[str, MAC]:
    """The resolved entries of a table as the kernel prints it."""
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 4 or not int(words[2], 16) & _COMPLETE:
            continue
        mac = MAC.maybe(words[3])
        if mac is not None and mac.reserved is None:
            found[words[0]] = mac
    return found
