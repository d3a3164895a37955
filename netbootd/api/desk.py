"""
What the API may reach: everything that the daemon has, as seen from a desk.

The rooms above are met as they are called here; who built them put them on the desk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from netbootd.api.edit import Editor
from netbootd.api.leases import Holders, Moment
from netbootd.api.values import Picture
from netbootd.boot.pace import Place
from netbootd.boots.boot import Boot
from netbootd.errors import Finding
from netbootd.events.progress import Progress
from netbootd.leases.lease import Address, Lease
from netbootd.leases.usage import Foreign, Usage
from netbootd.logbook.line import Line
from netbootd.record.standing import Armed
from netbootd.registry.live import LiveRegistry


class Boots(Protocol):
    """The record of boots; what may be on disk comes as a Deferred."""

    heard: dict[str, float]

    def items(self) -> Mapping[str, Boot]: ...
    def recent(self, key: str) -> Sequence[Boot]: ...
    def boots(self, key: str, limit: int) -> Any: ...
    def boot(self, number: int) -> Any: ...
    def strangers(self) -> Sequence[Any]: ...
    def subscribe(self, callback: Callable[[Boot], None]) -> Callable[[], None]: ...


class Logs(Protocol):
    """What nodes have logged; *tail* reads files, and so is for a thread."""

    def tail(
        self, key: str, limit: int, boot: int = 0, before: str = ""
    ) -> list[dict[str, Any]]: ...
    def last_words(self, key: str) -> tuple[tuple[float, str], ...]: ...
    def subscribe(self, callback: Callable[[Line], None]) -> Callable[[], None]: ...


class Leases(Protocol):
    """
    Who has which address, where we are the DHCP server; all of it in the reactor's thread.

    Times of a Lease are seconds of the clock that *clock* reads; *items* are all that are
    remembered, free ones too.  *release* ends one for *who* and fires (a Deferred) once that is on
    disk, with the Lease as it was, None where nobody has the address; it fails with OSError where
    it cannot be written.  *subscribe*: be told of each Lease that is another now.
    """

    trouble: str

    def clock(self) -> float: ...
    def items(self) -> Sequence[Lease]: ...
    def usage(self) -> Sequence[Usage]: ...
    def foreign(self) -> Sequence[Foreign]: ...
    def release(self, address: Address, who: str) -> Any: ...
    def subscribe(self, callback: Callable[[Lease], None]) -> Callable[[], None]: ...


class Queue(Protocol):
    """
    Who waits for its turn to load, in the reactor's thread: *places* by machine key, in order.

    The log says of an order that it came from *who*.
    """

    @property
    def places(self) -> Mapping[str, Place]: ...
    def summary(self) -> dict[str, Any]: ...
    def lines(self) -> list[dict[str, Any]]: ...
    def let_go(self, key: str, who: str) -> None: ...
    def let_all_go(self, who: str) -> int: ...
    def pause(self, who: str, *, paused: bool) -> None: ...


class Told(Protocol):
    """What the daemon says of itself."""

    troubles: list[str]
    last_reload: str
    refused: tuple[Finding, ...]


class Orders(Protocol):
    """Who carries out what an operator orders; the log says that it came from *who*."""

    def arm(self, key: str, armed: Armed | None, who: str) -> None: ...
    def release(self, key: str, who: str) -> None: ...


@dataclass(kw_only=True)
class Desk:
    """
    *status* gives what ``/status`` has, *now* Unix seconds.  *reload* is told which files were just
    written, reads the configuration again and fires (a Deferred) with the findings that keep it
    from being taken, none where it is in force.  *observer* is this host's name, as lines of logs
    have it.
    """

    live: LiveRegistry
    told: Told
    status: Callable[[], Mapping[str, Any]]
    orders: Orders
    now: Callable[[], float]
    reload: Callable[[Sequence[Path]], Any]
    editor: Editor
    boots: Boots | None = None
    logs: Logs | None = None
    leases: Leases | None = None
    transfers: Callable[[], Sequence[Progress]] = tuple
    pace: Queue | None = None
    observer: str = ""

    def __post_init__(self) -> None:
        self._holders = Holders()
        if self.leases is not None:
            self._holders = Holders(self.leases.items())
            self.leases.subscribe(self._holders.note)

    def glance(self) -> Picture:
        """Everything as it is now, to be looked at before anything else happens."""
        return Picture(
            registry=self.live.snapshot,
            standings=self.live.record.items(),
            boots=self.boots.items() if self.boots else {},
            sightings=self.live.sightings,
            addresses=self._holders.addresses,
            places=self.pace.places if self.pace else {},
            now=self.now(),
        )

    def picture(self) -> Picture:
        """The same for any thread; to be taken in the reactor's."""
        seen = self.glance()
        return replace(
            seen,
            standings=dict(seen.standings),
            boots=dict(seen.boots),
            addresses=dict(seen.addresses),
        )

    def leased(self) -> Moment:
        """Who has which address now, for any thread; to be taken in the reactor's."""
        # Of the picture nothing is needed that changes while a thread reads it.
        picture, leases = self.glance(), self.leases
        if leases is None:
            return Moment(picture=picture)
        return Moment(
            picture=picture,
            leases=tuple(leases.items()),
            usage=tuple(leases.usage()),
            foreign=tuple(leases.foreign()),
            clock=leases.clock(),
            trouble=leases.trouble,
        )
