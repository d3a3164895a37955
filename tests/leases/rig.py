"""A store of leases that is running on a folder, and what it says."""

from __future__ import annotations

import queue
import sqlite3
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

from netbootd.leases.database import FILE, Clock, Reading
from netbootd.leases.lease import Lease, State
from netbootd.leases.store import Store

NET = int(IPv4Address("10.1.0.0"))


class Host:
    """A host whose clocks are set by the test."""

    def __init__(self, boottime: float = 1000.0, wall: float = 1.7e9, boot_id: str = "one") -> None:
        self.boottime, self.wall, self.boot_id = boottime, wall, boot_id

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.boottime, lambda: self.wall, self.boot_id)

    def passes(self, seconds: float) -> None:
        self.boottime += seconds
        self.wall += seconds

    def reboots(self, after: float = 60.0, *, wall_off: float = 0.0) -> None:
        """Down for *after* seconds; the wall clock is wrong by *wall_off* from then on."""
        self.boot_id += "+"
        self.boottime = 10.0
        self.wall += after + wall_off

    def read(self) -> Reading:
        return self.clock.read()


def lease(number: int, until: float = 4600.0, state: State = State.LEASED, **more) -> Lease:
    key = more.pop("key", f"52:54:00:00:{number // 256:02x}:{number % 256:02x}")
    return Lease(
        address=IPv4Address(NET + number), key=key, state=state, since=1000.0, until=until, **more
    )


class Rig:
    """The store's callbacks are queues here."""

    def __init__(self, folder: Path, clock: Clock | None = None, *, load: bool = True) -> None:
        self.troubles: queue.Queue[str] = queue.Queue()
        self.warnings: queue.Queue[str] = queue.Queue()
        self.finds: queue.Queue[list[Lease]] = queue.Queue()
        self.renewals: queue.Queue[bool] = queue.Queue()
        self.store = Store(
            folder,
            clock or Host().clock,
            troubled=self.troubles.put,
            warned=self.warnings.put,
            found=self.finds.put,
            renewed=lambda: self.renewals.put(True),
        )
        self.leases: list[Lease] = []
        if load:
            self.leases = self.store.load()
        self.store.start()

    def written(self, *leases: Lease) -> bool:
        """Whether *leases* are on disk."""
        told: queue.Queue[bool] = queue.Queue()
        self.store.write(leases, told.put)
        return told.get(timeout=20)

    def until_written(self, *leases: Lease) -> None:
        """Ask again and again, as clients do."""
        while not self.written(*leases):
            self.troubles.get(timeout=20)


def rows(folder: Path) -> list[tuple[str, str]]:
    """Address and key of all that is in the file, as anybody would read it."""
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return connection.execute("SELECT address, key FROM lease ORDER BY rowid").fetchall()
