"""What DHCP of either family writes its leases to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from netbootd.leases.lease import Lease
from netbootd.leases.table import Leases


class Ledger(Protocol):
    """
    Who has which address, and the disk that this is written to.

    *clock* gives seconds of the leases' clock.  *commit* calls *then* with True once *rows* are on
    disk, and with False where they cannot be; what the table had *before* is put back then.
    """

    leases: Leases

    @property
    def saving(self) -> bool: ...
    def clock(self) -> float: ...
    def commit(
        self,
        rows: Sequence[Lease],
        before: Sequence[Lease | None],
        then: Callable[[bool], None],
    ) -> None: ...
