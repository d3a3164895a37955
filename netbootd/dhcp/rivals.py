"""
Other DHCP servers that give addresses where we do.

Two that know nothing of each other give one address twice, and each tells the other's clients that
their address is wrong; so such a server is told of, and while it is heard we say no to nobody who
is not ours.  Pure: the caller says what time it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from netbootd.events.lease import ForeignServer
from netbootd.leases.usage import Foreign
from netbootd.mac import MAC

#: Seconds for which a server counts that was heard once, and after which it is told of again.
REMEMBERED_S = 600.0
_MOST = 64


class Rivals:
    """The servers that were heard within ``REMEMBERED_S``; times are of one clock of the caller."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], Foreign] = {}
        self._told: dict[tuple[str, str], float] = {}

    def note(
        self, server: str, interface: str, now: float, *, mac: MAC | None = None, address: str = ""
    ) -> ForeignServer | None:
        """*server* gave *address* to *mac* on *interface*; the event, where that is news."""
        self._forget(now)
        which = (interface, server)
        before = self._heard.get(which)
        if before is None and len(self._heard) >= _MOST:
            return None
        if before is None:
            before = Foreign(server=server, interface=interface, first=now, last=now, times=0)
        self._heard[which] = replace(
            before, last=now, times=before.times + 1, address=address or before.address
        )
        if which in self._told:
            return None
        self._told[which] = now
        return ForeignServer(mac=mac, server=server, interface=interface, address=address)

    def any(self, interface: str, now: float) -> bool:
        """Whether one was heard on *interface*."""
        self._forget(now)
        return any(name == interface for name, _ in self._heard)

    def all(self, now: float, wall: Callable[[float], float]) -> list[Foreign]:
        """Those that count, their times as *wall* gives them."""
        self._forget(now)
        return [
            replace(one, first=wall(one.first), last=wall(one.last)) for one in self._heard.values()
        ]

    def _forget(self, now: float) -> None:
        if not self._heard:
            return
        since = now - REMEMBERED_S
        self._heard = {which: one for which, one in self._heard.items() if one.last > since}
        self._told = {
            which: at for which, at in self._told.items() if at > since and which in self._heard
        }
