"""
Tells of changes and of tries that were refused, so that nobody who tries without end fills the log:
of each address so many refusals a minute, and then how many more there were.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from netbootd.events.audit import Audited, AuditedRefusal
from netbootd.events.event import Event
from netbootd.printable import counted

_MOST = 20  # lines of refusals from one address within _WINDOW_S seconds
_WINDOW_S = 60.0
_MOST_PEERS = 1024


@dataclass(slots=True)
class _Tally:
    """Refusals of one address since *begun*: *told*, and *untold* ones."""

    begun: float
    told: int = 0
    untold: int = 0


class Audit:
    """*publish* is told of all; *seconds* is a clock.  In the reactor's thread."""

    def __init__(
        self,
        publish: Callable[[Event], None] = lambda _: None,
        seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._publish = publish
        self._seconds = seconds
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()

    def done(self, by: str, deed: str, peer: str = "") -> None:
        """*by* did *deed*."""
        self._publish(Audited(peer=peer, by=by, deed=deed))

    def refused(self, by: str, deed: str, why: str, peer: str = "") -> None:
        """*by* tried *deed* in vain."""
        tally = self._tally(peer)
        if tally.told >= _MOST:
            tally.untold += 1
            return
        tally.told += 1
        result = "refused" if why == "refused" else f"refused, {why}"
        self._publish(AuditedRefusal(peer=peer, by=by, deed=deed, result=result))

    def _tally(self, peer: str) -> _Tally:
        now = self._seconds()
        tally = self._tallies.get(peer)
        if tally is None or now - tally.begun >= _WINDOW_S:
            if tally is not None and tally.untold:
                self._publish(
                    AuditedRefusal(
                        peer=peer,
                        by=peer or "by the socket",
                        deed=f"{counted(tally.untold, 'more try').replace('trys', 'tries')}",
                        result="refused, and not told one by one",
                    )
                )
            tally = self._tallies[peer] = _Tally(now)
            self._tallies.move_to_end(peer)
            if len(self._tallies) > _MOST_PEERS:
                self._tallies.popitem(last=False)
        return tally
