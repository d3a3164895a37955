"""
Who asked by DHCP and is not listed.  Pure; bounded, since anybody can make up a MAC.

Machines that boot from the network are kept apart from other DHCP clients of the same wire, so that
a hundred laptops do not push out the one that somebody waits for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from netbootd.boots.altered import altered
from netbootd.events.event import Event, Offered, Unserved
from netbootd.events.witness import NotNetboot, Requested
from netbootd.mac import MAC

MOST = 4096  # that boot from the network; the one unheard of for longest is forgotten first
MOST_OTHERS = 512
_MOST_TEXT = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """
    A card that is not listed, from *first* to *last* heard of, Unix seconds.

    *netboot*: it is firmware or a loader, and not some system that runs.  *relay* is the address of
    the relay that its packets come through.  What was not said is empty.
    """

    mac: MAC
    first: float
    last: float
    times: int = 1
    arch: str = ""
    uuid: str = ""
    interface: str = ""
    vendor_class: str = ""
    relay: str = ""
    netboot: bool = True


class Strangers:
    """Told of what DHCP clients without an entry ask."""

    def __init__(self, most: int = MOST, most_others: int = MOST_OTHERS) -> None:
        self._most = {True: most, False: most_others}
        self._cards: dict[bool, OrderedDict[MAC, Stranger]]
        self._cards = {True: OrderedDict(), False: OrderedDict()}

    def __iter__(self) -> Iterator[Stranger]:
        """The one heard of last first, those that boot from the network before others."""
        for cards in (self._cards[True], self._cards[False]):
            yield from reversed(cards.values())

    def notice(self, event: Event, uuid: str, now: float, times: int = 1) -> None:
        """*event*, *times*, is of a card that is not listed, which has said *uuid* or nothing."""
        if event.mac is None:
            return
        netboot = isinstance(event, Offered | Unserved)
        before = self._of(event.mac) or Stranger(mac=event.mac, first=now, last=now, times=0)
        seen = altered(
            before,
            last=now,
            times=before.times + times,
            arch=str(getattr(event, "arch", "") or before.arch)[:_MOST_TEXT],
            uuid=uuid or before.uuid,
            interface=str(getattr(event, "interface", "") or before.interface),
            vendor_class=str(getattr(event, "vendor_class", "") or before.vendor_class)[
                :_MOST_TEXT
            ],
            relay=str(getattr(event, "relay", "") or before.relay),
            netboot=netboot or (before.netboot and before.times > 0),
        )
        self._put(seen)

    def _of(self, mac: MAC) -> Stranger | None:
        return self._cards[True].get(mac) or self._cards[False].get(mac)

    def _put(self, seen: Stranger) -> None:
        self._cards[not seen.netboot].pop(seen.mac, None)
        cards = self._cards[seen.netboot]
        cards[seen.mac] = seen
        cards.move_to_end(seen.mac)
        if len(cards) > self._most[seen.netboot]:
            cards.popitem(last=False)


#: The events that tell of a DHCP client.
HEARD = (Offered, Unserved, NotNetboot, Requested)
