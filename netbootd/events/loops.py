"""
A loader that loads itself: the trap of a DHCP server that names ``undionly.kpxe`` to iPXE too.

The same machine fetching the same loader three times within two minutes with no script in between
is such a loop.  Pure: the time comes in as *now*, seconds of any steady clock.
"""

from __future__ import annotations

from collections import OrderedDict

from netbootd import loaders, urls
from netbootd.events.event import Event, Looped, Scripted, Transferred

TIMES = 3
WITHIN_S = 120.0
_MOST_CLIENTS = 4096  # the oldest is forgotten first


class LoopDetector:
    """Told of events of ``KINDS``; answers with a Looped when one shows."""

    KINDS = (Scripted, Transferred)

    def __init__(self) -> None:
        self._fetched: OrderedDict[str, dict[str, list[float]]] = OrderedDict()

    def notice(self, event: Event, now: float) -> Looped | None:
        """The loop that *event* completes, if it does; a script ends the counting of its client."""
        if isinstance(event, Scripted):
            self._fetched.pop(event.peer, None)
        elif isinstance(event, Transferred) and _loader(event.path) in loaders.SCRIPTED:
            return self._count(event, now)
        return None

    def _count(self, event: Transferred, now: float) -> Looped | None:
        file = _loader(event.path)
        # Each loader by itself: a shim loads another one, which is no loop yet.
        times = self._fetched.setdefault(event.peer, {}).setdefault(file, [])
        self._fetched.move_to_end(event.peer)
        if len(self._fetched) > _MOST_CLIENTS:
            self._fetched.popitem(last=False)
        times[:] = [*times, now][-TIMES:]
        if len(times) < TIMES or now - times[0] > WITHIN_S:
            return None
        times.clear()
        return Looped(mac=event.mac, target=event.target, peer=event.peer, file=file, times=TIMES)


def _loader(path: str) -> str:
    name = path.rpartition("/")[2]
    return urls.ALIASES.get(name, name)
