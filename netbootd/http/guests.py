"""
Everybody who is connected by HTTP, and how many that may be: in all, and of one address.

Who waits, for its first request or its next or the rest of one, may have to go for a newcomer where
all places are taken, the one that has waited for longest first; so connections that say nothing, or
take a minute for each letter, keep nobody out.  It is the same among those of one address, which
may be a gateway with many nodes behind it.

Who is being answered stays.  But a file can be read as slowly as one likes: where everybody is
being answered, the address that has most connections gives up its oldest for one that has fewer.

Pure, but for sending away.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

_TOLD_S = 60.0
#: The part of all that goes at once: a flood that fills all places is not met one by one.
_GOING = 64
#: The part of all beyond which an address has many: no more than so many can.
_LARGE = 64


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
    """Who comes from one address, and who of them waits, the oldest and for longest first."""

    everybody: dict[Guest, None] = field(default_factory=dict)
    waiting: OrderedDict[Guest, None] = field(default_factory=OrderedDict)

    @property
    def count(self) -> int:
        """How many."""
        return len(self.everybody)


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
        self._large: dict[str, _Party] = {}
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
        if len(self._at) >= most.connections:
            count = max(1, most.connections // _GOING) if self._waiting else 1
            going = self._waiting or self._of_who_has_most(address)
            if not self._make_room(going, count, told):
                return False
        self._at[guest] = address
        party = self._of.setdefault(address, _Party())
        party.everybody[guest] = None
        if party.count > most.connections // _LARGE:
            self._large[address] = party
        return True

    def _of_who_has_most(self, address: str) -> Iterable[Guest]:
        """The guests of the address that has most, nobody where *address* had as many then."""
        if not self._large:
            return ()
        largest = max(self._large.values(), key=lambda party: party.count)
        own = self._of[address].count if address in self._of else 0
        return largest.everybody if own + 1 < largest.count else ()

    def hand_over(self, guest: Guest, other: Guest) -> None:
        """*other* goes on with the connection of *guest*."""
        self.answered(guest)
        address = self._at[other] = self._at.pop(guest)
        everybody = self._of[address].everybody
        del everybody[guest]
        everybody[other] = None

    def leave(self, guest: Guest) -> None:
        """It has ended; once is enough, and twice does no harm."""
        self.answered(guest)
        address = self._at.pop(guest, None)
        if address is None:
            return
        party = self._of[address]
        del party.everybody[guest]
        if party.count <= self.most.connections // _LARGE:
            self._large.pop(address, None)
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

    def _make_room(self, those: Iterable[Guest], count: int, why: str) -> bool:
        """Whether somebody of *those* could go, at most so many; *why* is told in any case."""
        going = list(islice(those, count))
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
