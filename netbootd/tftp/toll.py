"""
How much leaves from the single port for addresses that have proved nothing.

With a port for each transfer the number of that port is what a forged ACK has to hit (see
``port``).  With a single one there is nothing that its sender could not foresee, so whoever forges
a request forges the ACKs as well and has the whole file sent to its victim.  What is left is to
bound it: for one address, for all of them together, and for each ACK.  A loader is less than what
an address may have at once; and who has spoken HTTP with us, as iPXE does right after, has proved
its address (TCP) and pays nothing.

Pure: packets are counted, times are in seconds of a clock that does not go back.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial

from netbootd.budget import Rates

#: Packets to one address: at once, and in a second from then on (6 MB, 48 Mbit/s).
_BURST, _RATE = 4096, 4096
#: The same to all of them together (48 MB, 0.4 Gbit/s).
_BURST_OF_ALL, _RATE_OF_ALL = 32_768, 32_768
#: Blocks for an ACK: what EDK2 asks for (PcdTftpWindowSize); other firmware asks for no windows.
WINDOWSIZE = 4
_ALL = "all"


class Toll:
    """*proved* are the addresses that are free of it; *now* gives the time."""

    def __init__(self, proved: Container[str], now: Callable[[], float]) -> None:
        self._proved = proved
        self._now = now
        self._of_one = Rates(_BURST, _RATE)
        self._of_all = Rates(_BURST_OF_ALL, _RATE_OF_ALL, most=1)

    def is_free(self, address: str) -> bool:
        """Whether *address* is somebody's for sure."""
        return address in self._proved

    def of(self, address: str) -> Callable[[int], bool]:
        """For a transfer to *address*: whether so many packets may leave now."""
        return partial(self._passes, address)

    def _passes(self, address: str, packets: int) -> bool:
        if self.is_free(address):
            return True
        now = self._now()
        return self._of_one.takes(address, now, packets) and self._of_all.takes(_ALL, now, packets)
