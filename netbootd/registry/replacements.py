"""
Who was given our iPXE in place of its own a moment ago: that is done once, and not for ever.

The offer may get lost and be asked for again, so a DISCOVER of the same conversation (*xid*) is no
second time; an iPXE that has been started asks with an xid of its own (ipxe/ipxe
src/net/udp/dhcp.c).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from netbootd.mac import MAC

#: Seconds in which a new iPXE asks; a machine that is reset takes longer to come back, as a rule.
WITHIN_S = 120.0
_MOST = 8192  # the oldest is forgotten first


class _Given(NamedTuple):
    xid: int
    at: float


class Replacements:
    """In memory only; times in seconds of any clock."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._given: OrderedDict[MAC, _Given] = OrderedDict()

    def note(self, mac: MAC, xid: int, now: float) -> None:
        """*mac* is given ours, in the conversation *xid*."""
        self._given[mac] = _Given(xid, now)
        self._given.move_to_end(mac)
        if len(self._given) > self._most:
            self._given.popitem(last=False)

    def done(self, mac: MAC | None, xid: int, now: float) -> bool:
        """Whether *mac* was given ours in another conversation than *xid*, and lately."""
        given = self._given.get(mac) if mac else None
        return given is not None and given.xid != xid and 0 <= now - given.at <= WITHIN_S

    def knows(self, mac: MAC) -> bool:
        """Whether *mac* was given ours, however long ago."""
        return mac in self._given
