"""
A port that passes nothing for a while after its link came up: spanning tree without portfast
(IEEE 802.1D: two forward delays of 15 s), or LACP that waits for its partner.

Firmware waits it out once; then our loader resets the card, and the wait begins anew.  So it shows
as silence between a loader that was fetched whole and iPXE's first packet, which takes seconds
elsewhere (ipxe/ipxe#1337, TritonDataCenter/sdcboot#2).  Pure: the time comes in as *now*, seconds
of any steady clock.
"""

from __future__ import annotations

from collections import OrderedDict

from netbootd import loaders, urls
from netbootd.events.event import Event, Offered, Scripted, Silent, Transferred
from netbootd.mac import MAC

LEAST_S = 20.0
#: Later it is another boot, or somebody at the console.
MOST_S = 150.0
AGAIN_S = 3600.0
_MOST_MACHINES = 4096  # the oldest is forgotten first


class SilenceDetector:
    """Told of events of ``KINDS``; answers with a Silent when one ends, once a machine and hour."""

    KINDS = (Offered, Scripted, Transferred)

    def __init__(self) -> None:
        self._fetched: OrderedDict[MAC, float] = OrderedDict()
        self._told: OrderedDict[MAC, float] = OrderedDict()

    def notice(self, event: Event, now: float) -> Silent | None:
        """The silence that *event* ends, if it is one to tell of."""
        if event.mac is None:
            return None
        if isinstance(event, Transferred):
            if _name(event.path) in loaders.SCRIPTED:
                _keep(self._fetched, event.mac, now)
            return None
        if not isinstance(event, Offered | Scripted):
            return None
        since = self._fetched.pop(event.mac, None)
        if since is None or not LEAST_S <= now - since <= MOST_S or not _by_ipxe(event):
            return None
        if now - self._told.get(event.mac, -AGAIN_S) < AGAIN_S:
            return None
        _keep(self._told, event.mac, now)
        return Silent(mac=event.mac, target=event.target, peer=event.peer, seconds=now - since)


def _by_ipxe(event: Offered | Scripted) -> bool:
    """An offer of a loader is one to firmware: the machine was started anew."""
    if isinstance(event, Scripted):
        return True
    return "://" in event.file and _name(event.file) not in loaders.SCRIPTED


def _name(path: str) -> str:
    name = path.rpartition("/")[2]
    return urls.ALIASES.get(name, name)


def _keep(times: OrderedDict[MAC, float], mac: MAC, now: float) -> None:
    times[mac] = now
    times.move_to_end(mac)
    if len(times) > _MOST_MACHINES:
        times.popitem(last=False)
