"""
The leases as the daemon keeps them: the table in memory, the file behind it, and the end of each
lease when its time has come.

Everything here runs in the reactor's thread and never waits, but for what the Store does by itself.
A lease is promised only when it is on disk.  On a disk that is full or read-only what is written
already goes on, machines that the configuration gives an address keep getting it, and nobody gets a
new one; as soon as it can be written again all is as before.

The file is not opened before the first interface where we are the DHCP server.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from netbootd.dhcp.rivals import Rivals
from netbootd.events.event import Event
from netbootd.events.lease import LeaseEnded, NoAddress
from netbootd.events.witness import Overheard
from netbootd.leases.database import Clock
from netbootd.leases.lease import Address, Lease, State
from netbootd.leases.store import NoLeases, Store, tell_each
from netbootd.leases.table import Leases
from netbootd.leases.usage import Foreign, Usage
from netbootd.mac import MAC
from netbootd.pools import Extent, Holding, disjoint
from netbootd.registry.live import LiveRegistry

log = Logger(namespace="netbootd.dhcp")

_EXPIRY_S = 1.0  # a lease that is over ends at most so late
_AT_ONCE = 500  # leases that end before others are served
#: Writes that wait for the disk; who finds no room is not answered, and asks again.
MOST_WAITING = 8192
_MOST_OF_ONE = 8  # replies that wait for one of them
#: Seconds that it is a trouble after somebody went without an address.
WANTING_S = 300.0
_MOST_WANTING = 256

Changed = Callable[[Lease], None]


@dataclass(slots=True)
class _Write:
    """
    *rows* on their way to the disk.  If they do not arrive, *before* is put back, of each what the
    table had; where it is empty they stay in memory, and are written when the disk is well again.
    """

    rows: Sequence[Lease]
    before: list[Lease | None]
    then: list[Callable[[bool], None]]


@dataclass(slots=True)
class _Wanting:
    """
    Somebody went without an address *at* a time, as *event* says, where *free* addresses of
    *extent* were for others; *over*: it is no trouble any more.
    """

    at: float
    event: NoAddress
    extent: Extent | None
    free: int
    over: bool = False


class Leasing:
    """
    What ``dhcp/lessor`` writes to (its Books), and what others may know of it.

    *folder* is the state folder; *publish* is told of what happens here, *changed* that
    ``troubles`` may be others now.  ``trouble`` says what is wrong with the disk, or nothing.
    """

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        live: LiveRegistry,
        publish: Callable[[Event], None],
        changed: Callable[[], None],
        clock: Clock | None = None,
    ) -> None:
        self.leases = Leases()
        self.trouble = ""
        self._holding = Holding()
        self._reactor = reactor
        self._folder = folder
        self._live = live
        self._publish = publish
        self._changed = changed
        self._clock = clock or Clock.of_host()
        self._rivals = Rivals()
        self._listeners: tuple[Changed, ...] = ()
        self._store: Store | None = None
        self._pending: dict[Address, _Write] = {}
        self._replies = 0
        self._timer: Any = None
        self._servers: frozenset[str] = frozenset()
        self._ours: frozenset[str] = frozenset()
        self._servers6: frozenset[str] = frozenset()
        self._wanting: dict[str, _Wanting] = {}

    # -- life ----------------------------------------------------------------------------------

    def serve(self, interfaces: Collection[str], ours: Collection[str]) -> None:
        """
        We are the DHCP server on *interfaces*, from here on; *ours* are the addresses of this host.

        The file is opened the first time that there is one.
        """
        self._servers, self._ours = frozenset(interfaces), frozenset(ours)
        if self._servers:
            self._open()

    def serve6(self, interfaces: Collection[str]) -> None:
        """Likewise, where we give addresses of IPv6."""
        self._servers6 = frozenset(interfaces)
        if self._servers6:
            self._open()

    def _open(self) -> None:
        if self._store is not None:
            return
        later = self._reactor.callFromThread
        store = self._store = Store(
            self._folder,
            self._clock,
            troubled=lambda trouble: later(self._troubled, trouble),
            warned=lambda text: log.warn("{text}", text=text),
            found=lambda leases: later(self._fill, leases),
            renewed=lambda: later(self._write_all),
            told=self._wrote,
        )
        try:
            self._fill(store.load())
        except NoLeases as problem:
            self.trouble = _told(str(problem))
            log.warn("{text}", text=self.trouble)
        store.start()
        self._timer = self._reactor.callLater(_EXPIRY_S, self._expire)

    def _fill(self, leases: Iterable[Lease]) -> None:
        """What was on disk; where it could be read only now, what was given meanwhile counts."""
        for lease in leases:
            known = self.leases.at(lease.address)
            if known is None or known.state is State.FREE:
                self.leases.put(lease)
                self._tell(lease)

    def stop(self) -> None:
        """Write what is left; to be called in a thread."""
        if self._store is not None and self._store.is_alive():
            self._store.close()

    # -- what the edge asks --------------------------------------------------------------------

    @property
    def saving(self) -> bool:
        """Whether leases can be written down."""
        return self._store is not None and not self.trouble

    def clock(self) -> float:
        """Seconds of the leases' clock, which nobody sets."""
        return self._clock.boottime()

    def commit(
        self,
        rows: Sequence[Lease],
        before: Sequence[Lease | None],
        then: Callable[[bool], None],
    ) -> None:
        """Call *then* once *rows* are on disk (True), or cannot be (False)."""
        write = _Write(rows, list(before), [then])
        if self._store is None or self._replies >= MOST_WAITING:
            self._settle(write, False)
            return
        self._replies += 1
        self._pending.update((row.address, write) for row in rows)
        self._store.write(rows, partial(self._arrived, write))

    def follow(self, address: Address, then: Callable[[bool], None]) -> bool:
        """As ``commit``, with what is on its way for *address* already; False where nothing is."""
        write = self._pending.get(address)
        if write is None:
            return False
        if len(write.then) < _MOST_OF_ONE:
            write.then.append(then)
        return True

    def rivaled(self, interface: str) -> bool:
        """Whether another DHCP server was heard on *interface* a while ago."""
        return self._rivals.any(interface, self.clock())

    def heard(self, server: str, interface: str, mac: MAC | None, address: str) -> None:
        """*server* gives *address* to *mac* on *interface*."""
        if server in self._ours or interface not in self._servers:
            return
        event = self._rivals.note(server, interface, self.clock(), mac=mac, address=address)
        if event is not None:
            self._publish(event)
            self._changed()

    # -- the disk ------------------------------------------------------------------------------

    def _wrote(self, thens: Sequence[Callable[[bool], None]], saved: bool) -> None:
        """Called by the store's thread, once for all that was written together."""
        self._reactor.callFromThread(tell_each, thens, saved)

    def _arrived(self, write: _Write, saved: bool) -> None:
        self._replies -= 1
        for row in write.rows:
            if self._pending.get(row.address) is write:
                del self._pending[row.address]
        self._settle(write, saved)

    def _settle(self, write: _Write, saved: bool) -> None:
        if saved:
            for row in write.rows:
                self._tell(row)
        elif write.before:
            for row, before in zip(write.rows, write.before, strict=True):
                self._take_back(row, before)
        for then in write.then:
            try:
                then(saved)
            except Exception:
                log.failure("a lease met a fault of ours")

    def _take_back(self, row: Lease, before: Lease | None) -> None:
        """*row* was not written, so nobody has it; another that came after may still be."""
        if self.leases.at(row.address) == row:
            if before is None:
                self.leases.drop(row.address)
            else:
                self.leases.put(before)
            return
        later = self._pending.get(row.address)
        if later is not None:
            for at, one in enumerate(later.before):
                if one == row:
                    later.before[at] = before

    def _troubled(self, trouble: str) -> None:
        before, self.trouble = self.trouble, _told(trouble) if trouble else ""
        if self.trouble == before:
            return
        if trouble:
            log.warn("{text}", text=self.trouble)
        else:
            log.info("leases are written again")
        self._changed()

    def _write_all(self) -> None:
        """The file is a new one, or was out of reach for a while."""
        rows = [lease for lease in self.leases if lease.state is not State.OFFERED]
        for at in range(0, len(rows), _AT_ONCE):
            self.commit(rows[at : at + _AT_ONCE], (), lambda _: None)

    # -- the end of a lease --------------------------------------------------------------------

    def _expire(self) -> None:
        over = self.leases.expire(self.clock(), _AT_ONCE)
        if over:
            self.commit(over, (), lambda _: None)
        for lease in over:
            self._publish(_ended(lease, "expired"))
            self._tell(lease)
        if self._relieved():
            self._changed()
        wait = _EXPIRY_S if len(over) < _AT_ONCE else 0.0
        self._timer = self._reactor.callLater(wait, self._expire)

    def release(self, address: Address, who: str) -> Deferred[Lease | None]:
        """
        End the lease of *address* for *who*; fires with the lease as it was, None where nobody has
        the address, or fails with OSError.
        """
        waiting: Deferred[Lease | None] = Deferred()
        lease, now = self.leases.at(address), self.clock()
        if lease is None or not lease.held(now):
            waiting.callback(None)
            return waiting

        def then(saved: bool) -> None:
            if not saved:
                waiting.errback(OSError(self.trouble or "too many wait for the disk"))
                return
            self._publish(replace(_ended(lease, "released"), by=who))
            waiting.callback(lease)

        freed = replace(lease, state=State.FREE, until=now)
        self.leases.put(freed)
        self.commit([freed], [lease], then)
        return waiting

    # -- what others know ----------------------------------------------------------------------

    def __call__(self, event: Event) -> None:
        """Take *event* in: what other servers say, and who went without an address."""
        match event:
            case Overheard(proxy=False, address=address) if address or event.message == "nak":
                self.heard(event.server, event.interface, event.mac, address)
            case NoAddress(code="exhausted"):
                self._wants(event)

    def _wants(self, event: NoAddress) -> None:
        if event.subnet not in self._wanting and len(self._wanting) >= _MOST_WANTING:
            return
        self._relieved()
        before = self._wanting.get(event.subnet)
        extent = self._extents().get(event.subnet)
        free = self._usage(extent, self.clock()).free if extent else 0
        self._wanting[event.subnet] = _Wanting(self.clock(), event, extent, free)
        if before is None or before.over:
            self._changed()

    def _relieved(self) -> bool:
        """
        Whether the want is over somewhere where it was not: an address is free again, the pools are
        others or no more, or nobody went without one for a while.
        """
        wants = [want for want in self._wanting.values() if not want.over]
        if not wants:
            return False
        now, extents = self.clock(), self._extents()
        for want in wants:
            extent = extents.get(want.event.subnet)
            same = extent == want.extent
            freed = extent is not None and self._usage(extent, now).free > want.free
            want.over = not same or freed or now - want.at >= WANTING_S
        return any(want.over for want in wants)

    def _extents(self) -> dict[str, Extent]:
        found = self._holding.extents(self._live.snapshot, self._servers, self._servers6)
        return {extent.subnet: extent for extent in found}

    @property
    def troubles(self) -> list[str]:
        """All that is wrong, in words."""
        found = [self.trouble] if self.trouble else []
        found += self.wants
        found += [
            f"another DHCP server, {one.server}, gives addresses on {one.interface}, where we do: "
            "one of the two must go, or neither knows what the other has given"
            for one in self.foreign()
        ]
        return found

    @property
    def wants(self) -> list[str]:
        """Where no address is left: the log has named who asked for one."""
        self._relieved()
        wants = [want.event.subnet for want in self._wanting.values() if not want.over]
        return [f"no address is left in {subnet}, and somebody wants one" for subnet in wants]

    def items(self) -> Sequence[Lease]:
        """All that are remembered, whatever their state."""
        return tuple(self.leases)

    def mac_of(self, address: str) -> MAC | None:
        """The card that has *address* now, as far as we gave it."""
        with suppress(ValueError):
            lease = self.leases.at(_address(address))
            return lease.mac if lease is not None and lease.active(self.clock()) else None
        return None

    def foreign(self) -> Sequence[Foreign]:
        """Other servers that were heard a while ago."""
        return self._rivals.all(self.clock(), self.wall)

    def wall(self, seconds: float) -> float:
        """Unix seconds of a time of the leases' clock."""
        return self._clock.wall() + seconds - self.clock()

    def usage(self) -> Sequence[Usage]:
        """How full the pools are of each subnet where we give addresses."""
        now = self.clock()
        return [self._usage(extent, now) for extent in self._extents().values()]

    def _usage(self, extent: Extent, now: float) -> Usage:
        leased, offered, declined = (
            sum(counts)
            for counts in zip(
                *(self.leases.usage(one, now) for one in disjoint(extent.ranges)),
                (0, 0, 0),
                strict=True,
            )
        )
        wanted = self._wanting.get(extent.subnet)
        return Usage(
            subnet=extent.subnet,
            size=extent.size,
            leased=leased,
            offered=offered,
            declined=declined,
            reserved=extent.reserved,
            ranges=tuple(map(str, extent.ranges)),
            wanting=self.wall(wanted.at) if wanted else 0.0,
            wanted_by=wanted.event.who if wanted else "",
        )

    def subscribe(self, callback: Changed) -> Callable[[], None]:
        """Tell *callback* of each lease that is another now, until what is returned is called."""
        self._listeners = (*self._listeners, callback)

        def unsubscribe() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not callback)

        return unsubscribe

    def _tell(self, lease: Lease) -> None:
        for listener in self._listeners:
            try:
                listener(lease)
            except Exception:
                log.failure("a listener of leases failed")


#: Each event of a boot that names no machine asks who has its address.
_address = lru_cache(maxsize=4096)(ip_address)


def _ended(lease: Lease, how: str) -> LeaseEnded:
    return LeaseEnded(
        mac=lease.mac,
        address=str(lease.address),
        how=how,
        key=lease.key,
        hostname=lease.hostname,
    )


def _told(problem: str) -> str:
    return f"no lease can be written, so nobody new gets an address that is not reserved: {problem}"
