"""
How full the pools are, and which other servers were heard: what is told of them, as plain values.

Times are Unix seconds; 0 is never.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """
    The pools of one *subnet* (as ``10.1.0.0/24``), together: *size* addresses without the holes, of
    which *leased*, *offered* and *declined* cannot be had, and *ranges* as they are written.

    *reserved* machines of the subnet have an address of their own.  *wanting* is when somebody last
    got none because all were taken, *wanted_by* who that was.
    """

    subnet: str
    size: int
    leased: int = 0
    offered: int = 0
    declined: int = 0
    reserved: int = 0
    ranges: tuple[str, ...] = ()
    wanting: float = 0.0
    wanted_by: str = ""

    @property
    def free(self) -> int:
        """Addresses that the next one may get."""
        return max(self.size - self.leased - self.offered - self.declined, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Another DHCP *server* that answers on *interface*, where we do; *times* since *first*."""

    server: str
    interface: str
    first: float
    last: float
    times: int = 1
    address: str = ""
