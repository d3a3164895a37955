"""
How much of TFTP anybody gets.  Pure values.
"""

from __future__ import annotations

from dataclasses import dataclass

from netbootd.tftp.options import LARGEST_BLKSIZE
from netbootd.tftp.transfer import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, or all of them, can take, and from where it comes."""

    windowsize: int = 64  # blocks
    blksize: int = LARGEST_BLKSIZE  # bytes, where the MTU allows as much
    patience_s: float = PATIENCE_S  # without progress, before a transfer is given up
    transfers: int = 10_000
    half_open: int = 4096  # of those, to clients that never answered
    per_client: int = 64  # transfers of one address
    per_gateway: int = 1024  # the same with a single port, where an address may stand for many
    single_port: bool = False  # everything leaves from port 69


USUAL = Limits()
