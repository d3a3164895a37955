"""
Everybody who is connected by HTTP, and how many that may be: in all, and of one address.

Who waits, for its first request or its next or the rest of one, may have to go for a newcomer where
all places are taken, the one that has waited for longest first; so connections that say nothing, or
take a minute for each letter, keep nobody out.  Who is being answered stays.  It is the same among
those of one address, which may be a gateway with many nodes behind it.

Pure, but for sending away.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

_TOLD_S = 60.0
#: The part of all that goes at once: a flood that fills all places is not met one by one.
_GOING = 64


@dataclass(frozen=True, slots=True)
class Most:
    """How much there may be: connections, those of one address, and bytes that they bring along."""

    connections: int = 16_384
    of_one: int = 4096
    held: int = 64 << 20


class Guest(Protocol):
    """One connection."""

    def send_away(self) -> None:
        """End it, and ``leave``."""


@dataclass(slots=True)
class _Party:
    """How many come from one address, and who of them waits, for longest first."""

    count: int = 0
    waiting: OrderedDict[Guest, None] = field(default_factory=OrderedDict)


class Guests:
    """
    All of them.  *now* is in seconds; *tell* is given a line for the log, once a minute at most.
    """

    def __init__(self, now: Callable[[], float], tell: Callable[[str], None]) -> None:
        self.most = Most()
        #: Bytes of requests' bodies that are kept.
        self.held = 0
        #: Connections that were turned away or had to go.
        self.refused = 0
        self._now, self._tell = now, tell
        self._told = float("-inf")
        self._at: dict[Guest, str] = {}
        self._of: dict[str, _Party] = {}
        self._waiting: OrderedDict[Guest, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._at)

    def enter(self, guest: Guest, address: str) -> bool:
        """Whether *guest*, who comes from *address*, may stay; whoever is here already may."""
        if guest in self._at:
            return True
        most = self.most
        party = self._of.get(address)
        if party is not None and party.count >= most.of_one:
            told = f"{address} has {most.of_one} HTTP connections, and gets no more"
            if not self._make_room(party.waiting, 1, told):
                return False
        told = f"all {most.connections} HTTP connections are in use"
        if len(self._at) >= most.connections and not self._make_room(
            self._waiting, max(1, most.connections // _GOING), told
        ):
            return False
        self._at[guest] = address
        self._of.setdefault(address, _Party()).count += 1
        return True

    def hand_over(self, guest: Guest, other: Guest) -> None:
        """*other* goes on with the connection of *guest*."""
        self.answered(guest)
        self._at[other] = self._at.pop(guest)

    def leave(self, guest: Guest) -> None:
        """It has ended; once is enough, and twice does no harm."""
        self.answered(guest)
        address = self._at.pop(guest, None)
        if address is None:
            return
        party = self._of[address]
        party.count -= 1
        if not party.count:
            del self._of[address]

    def waits(self, guest: Guest) -> None:
        """It is to say something."""
        if (address := self._at.get(guest)) is not None:
            for waiting in (self._waiting, self._of[address].waiting):
                waiting[guest] = None
                waiting.move_to_end(guest)

    def answered(self, guest: Guest) -> None:
        """It has said it, and is being answered."""
        if guest in self._waiting:
            del self._waiting[guest]
            del self._of[self._at[guest]].waiting[guest]

    def keeps(self, count: int) -> bool:
        """Whether *count* bytes more of a body may be kept; they are counted in any case."""
        self.held += count
        if self.held <= self.most.held:
            return True
        self._refuse(f"the bodies of HTTP requests fill {self.most.held >> 20} MiB of memory")
        return False

    def _make_room(self, waiting: OrderedDict[Guest, None], count: int, why: str) -> bool:
        """Whether somebody of *waiting* could go, at most so many; *why* is told in any case."""
        going = list(islice(waiting, count))
        for guest in going:
            guest.send_away()
            self.leave(guest)
        self._refuse(why, max(1, len(going)))
        return bool(going)

    def _refuse(self, why: str, count: int = 1) -> None:
        self.refused += count
        if (now := self._now()) >= self._told + _TOLD_S:
            self._told = now
            self._tell(f"{why}; {self.refused} were ended or turned away since the start")
