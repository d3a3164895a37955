"""
The table of leases in memory: who has which address, and which one is free.

All is found without a walk: by address, by key, and for each range of addresses that was asked for
its free ones, its offers and their number.  A range costs nothing for its size; an address that was
never given is found by a mark that moves up through the range once.

Nothing here knows a clock or a file: the caller says what time it is, and writes down what has
changed.  ``lease.Lease`` has the states.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from netbootd.leases.lease import Address, Lease, State

#: More than these are not remembered: the longest free are forgotten first, and then nobody new
#: gets an address.  A pool of IPv6 has no other end.
MOST_LEASES = 500_000
#: Leases of one key; it has one in each network, and what it had before.
_MOST_OF_ONE = 16
#: What the caller did not allow is looked at again after this, in seconds, where all else is taken.
_AGAIN_S = 60.0
_FORGOTTEN_AT_ONCE = 256
#: Addresses that are passed in search of more than one that is free.
_MOST_STEPS = 4096

_V6 = 1 << 128  # numbers of IPv6 addresses lie above all of IPv4
_Queue = OrderedDict[int, None]  # unlike dict, its first is found at once after many were taken


class Span(Protocol):
    """Addresses from *first* to *last*, both included, as ``addressing.Range``."""

    @property
    def first(self) -> Address: ...
    @property
    def last(self) -> Address: ...


class _Stretch:
    """
    What is known of one range.

    *mark*: all below it were looked at.  *returned* were offered and not taken, *free* are FREE
    leases and addresses that somebody declined; *offers* are in the order they were made.
    """

    __slots__ = ("count", "first", "free", "last", "made", "mark", "offers", "ports", "returned")

    def __init__(self, first: int, last: int, made: float) -> None:
        self.first, self.last = first, last
        self.clear(made)

    def clear(self, made: float) -> None:
        """Nothing is known any more, from the time *made* on."""
        self.made = made
        self.mark = self.first
        self.returned: _Queue = OrderedDict()
        self.free: _Queue = OrderedDict()
        self.offers: _Queue = OrderedDict()
        self.ports: dict[str, _Queue] = {}
        self.count: Counter[State] = Counter()

    def enter(self, number: int, lease: Lease) -> None:
        """There is a *lease* now."""
        self.count[lease.state] += 1
        self.returned.pop(number, None)
        self.free.pop(number, None)
        if lease.state is State.FREE:
            self.free[number] = None
        elif lease.state is State.OFFERED:
            self.offers[number] = None
            self.ports.setdefault(lease.port, OrderedDict())[number] = None

    def leave(self, number: int, lease: Lease) -> None:
        """*lease* is there no more."""
        self.count[lease.state] -= 1
        self.free.pop(number, None)
        if lease.state is State.OFFERED:
            del self.offers[number]
            queue = self.ports[lease.port]
            del queue[number]
            if not queue:
                del self.ports[lease.port]

    def give_back(self, number: int, lease: Lease) -> None:
        """Nothing is there any more, where *lease* was."""
        if number < self.mark:
            queue = self.returned if lease.state is State.OFFERED else self.free
            queue[number] = None


class Leases:
    """All leases by address."""

    def __init__(self, leases: Iterable[Lease] = ()) -> None:
        """*leases* in the order they were put before, the newest last."""
        self._leases: dict[int, Lease] = {}
        self._under: dict[int, Lease] = {}  # the FREE lease that an offer stands on
        self._of: dict[str, tuple[int, ...]] = {}
        self._called: dict[str, set[int]] = {}  # of LEASED ones
        self._free: _Queue = OrderedDict()
        self._ending: list[tuple[float, int]] = []  # heaps of until: of LEASED ones
        self._passing: list[tuple[float, int]] = []  # and of OFFERED and DECLINED ones
        self._ports: Counter[str] = Counter()
        self._declined: Counter[str] = Counter()
        self._generation = 0
        self._stretches: dict[tuple[int, int], _Stretch] = {}
        self._sorted: list[_Stretch] = []
        self._firsts: list[int] = []
        self._reach: list[int] = []  # the highest end of all up to this one
        for lease in leases:
            self.put(lease)

    def __iter__(self) -> Iterator[Lease]:
        return iter(list(self._leases.values()))

    def __len__(self) -> int:
        return len(self._leases)

    def at(self, address: Address) -> Lease | None:
        """The lease of *address*, in whatever state."""
        return self._leases.get(_number(address))

    def of(self, key: str) -> tuple[Lease, ...]:
        """
        What *key* has, was offered or had, the newest first, the last ``_MOST_OF_ONE`` alone.  What
        it declined is not among them.
        """
        return tuple(self._leases[number] for number in self._of.get(key, ()))

    def called(self, name: str) -> tuple[Lease, ...]:
        """The leases whose holders are called *name*."""
        return tuple(self._leases[number] for number in self._called.get(name, ()))

    # -- what changes --------------------------------------------------------------------------

    def put(self, lease: Lease) -> Lease | None:
        """*lease* in the place of the one that its address had, which is returned."""
        number = _number(lease.address)
        previous = self._remove(number)
        if lease.state is not State.OFFERED:
            self._under.pop(number, None)
        elif previous is not None and previous.state is State.FREE:
            self._under[number] = previous
        self._enter(number, lease)
        if len(self._leases) > MOST_LEASES and self._free:
            self._forget(next(iter(self._free)))
        return previous

    def drop(self, address: Address) -> Lease | None:
        """Know nothing of *address*; what was known of it."""
        number = _number(address)
        self._under.pop(number, None)
        return self._forget(number)

    def expire(self, now: float, limit: int = 1000) -> list[Lease]:
        """
        Leases whose time is over are FREE from here on; these, to be written down.  Offers and what
        was declined are forgotten when their time is over.  At most *limit* of each at once.
        """
        self._pass(now, limit)
        over = self._over(self._ending, now, limit, (State.LEASED,))
        freed = [replace(self._leases[number], state=State.FREE) for number in over]
        for lease in freed:
            self.put(lease)
        return freed

    # -- what is asked -------------------------------------------------------------------------

    def free(
        self, span: Span, may: Callable[[Address], bool], now: float, *, generation: int = 0
    ) -> Address | None:
        """
        An address of *span* for somebody new: one that was never given, else the one that is free
        the longest; None where there is none.

        *may* says no to addresses that are for nobody or for another, whoever asks: what it refused
        is passed over until *generation*, of the registry, is another one.
        """
        return next(iter(self.ahead(span, may, now, 1, generation=generation)), None)

    def ahead(
        self,
        span: Span,
        may: Callable[[Address], bool],
        now: float,
        count: int,
        *,
        generation: int = 0,
    ) -> list[Address]:
        """The next *count* addresses that ``free`` would give, or fewer."""
        self._pass(now, _FORGOTTEN_AT_ONCE)
        if len(self._leases) >= MOST_LEASES and not self._free:
            return []
        stretch = self._stretch(span, now, generation)
        found = self._found(stretch, may, count)
        if not found and abs(now - stretch.made) >= _AGAIN_S:
            self._fill(stretch, now)
            found = self._found(stretch, may, count)
        return found

    def oldest_offer(self, span: Span, now: float, port: str = "") -> Lease | None:
        """The oldest offer of *span* that was not taken; with a *port* the oldest behind that."""
        self._pass(now, _FORGOTTEN_AT_ONCE)
        stretch = self._stretch(span, now, self._generation)
        queue = stretch.ports.get(port) if port else stretch.offers
        return self._leases[next(iter(queue))] if queue else None

    def count(self, port: str) -> int:
        """How many addresses are leased or offered behind *port* to clients not listed."""
        return self._ports[port]

    def declined(self, key: str) -> int:
        """How many addresses *key* said that others have, and that nobody gets because of it."""
        return self._declined[key]

    def usage(self, span: Span, now: float) -> tuple[int, int, int]:
        """
        How many addresses of *span* are leased, offered and declined; a lease that is over counts
        until ``expire``.
        """
        self._pass(now, _FORGOTTEN_AT_ONCE)
        count = self._stretch(span, now, self._generation).count
        return count[State.LEASED], count[State.OFFERED], count[State.DECLINED]

    # -- one in, one out -----------------------------------------------------------------------

    def _enter(self, number: int, lease: Lease) -> None:
        self._leases[number] = lease
        if lease.state is State.FREE:
            self._free[number] = None
        else:
            heap = self._ending if lease.state is State.LEASED else self._passing
            heapq.heappush(heap, (lease.until, number))
            self._tidy()
        if lease.state is State.DECLINED:
            self._declined[lease.key] += 1
        elif lease.key:
            others = self._of.get(lease.key, ())
            self._of[lease.key] = (number, *others[: _MOST_OF_ONE - 1])
        if lease.hostname and lease.state is State.LEASED:
            self._called.setdefault(lease.hostname, set()).add(number)
        if _counts(lease):
            self._ports[lease.port] += 1
        for stretch in self._around(number):
            stretch.enter(number, lease)

    def _remove(self, number: int) -> Lease | None:
        lease = self._leases.pop(number, None)
        if lease is None:
            return None
        self._free.pop(number, None)
        if lease.state is State.DECLINED:
            _take_one(self._declined, lease.key)
        elif left := tuple(one for one in self._of.get(lease.key, ()) if one != number):
            self._of[lease.key] = left
        else:
            self._of.pop(lease.key, None)
        if lease.hostname and lease.state is State.LEASED:
            self._called[lease.hostname].remove(number)
            if not self._called[lease.hostname]:
                del self._called[lease.hostname]
        if _counts(lease):
            _take_one(self._ports, lease.port)
        for stretch in self._around(number):
            stretch.leave(number, lease)
        return lease

    def _forget(self, number: int) -> Lease | None:
        lease = self._remove(number)
        if lease is not None:
            for stretch in self._around(number):
                stretch.give_back(number, lease)
        return lease

    def _pass(self, now: float, limit: int) -> None:
        """Forget offers and what was declined, where their time is over."""
        for number in self._over(self._passing, now, limit, (State.OFFERED, State.DECLINED)):
            if (under := self._under.pop(number, None)) is not None:
                self.put(under)
            else:
                self._forget(number)

    def _over(
        self, heap: list[tuple[float, int]], now: float, limit: int, states: tuple[State, ...]
    ) -> list[int]:
        """At most *limit* whose time is over, taken off *heap*."""
        over: dict[int, None] = {}
        while heap and heap[0][0] <= now and len(over) < limit:
            until, number = heapq.heappop(heap)
            lease = self._leases.get(number)
            if lease is not None and lease.state in states and lease.until == until:
                over[number] = None
        return list(over)

    def _tidy(self) -> None:
        """Each change leaves an entry in a heap, and nobody may make it grow without end."""
        if len(self._ending) + len(self._passing) > 64 + 4 * len(self._leases):
            items = self._leases.items()
            leased = State.LEASED
            self._ending = [(one.until, at) for at, one in items if one.state is leased]
            passing = (State.OFFERED, State.DECLINED)
            self._passing = [(one.until, at) for at, one in items if one.state in passing]
            heapq.heapify(self._ending)
            heapq.heapify(self._passing)

    # -- ranges --------------------------------------------------------------------------------

    def _stretch(self, span: Span, now: float, generation: int) -> _Stretch:
        if generation != self._generation:
            self._generation = generation
            self._stretches.clear()
            self._sort()
        ends = _number(span.first), _number(span.last)
        stretch = self._stretches.get(ends)
        if stretch is None:
            stretch = self._stretches[ends] = _Stretch(*ends, now)
            self._fill(stretch, now)
            self._sort()
        return stretch

    def _sort(self) -> None:
        self._sorted = sorted(self._stretches.values(), key=lambda one: one.first)
        self._firsts = [one.first for one in self._sorted]
        self._reach = []
        for one in self._sorted:
            self._reach.append(max(one.last, self._reach[-1] if self._reach else one.last))

    def _around(self, number: int) -> Iterator[_Stretch]:
        """The ranges that *number* lies in."""
        at = bisect_right(self._firsts, number)
        while at and self._reach[at - 1] >= number:
            at -= 1
            if self._sorted[at].last >= number:
                yield self._sorted[at]

    def _fill(self, stretch: _Stretch, now: float) -> None:
        """What is in the table, in the order of its end; that is the order it was put in."""
        stretch.clear(now)
        first, last, leases = stretch.first, stretch.last, self._leases
        if last - first < len(leases):
            inside = [number for number in range(first, last + 1) if number in leases]
        else:
            inside = [number for number in leases if first <= number <= last]
        for number in sorted(inside, key=lambda number: leases[number].until):
            stretch.enter(number, leases[number])

    def _found(
        self, stretch: _Stretch, may: Callable[[Address], bool], count: int
    ) -> list[Address]:
        found = self._never_given(stretch, may, count)
        for queue in (stretch.returned, stretch.free):
            refused = []
            for number in queue:
                if len(found) >= count:
                    break
                address = _address(number)
                if may(address):
                    found.append(address)
                else:
                    refused.append(number)
            for number in refused:
                del queue[number]
        return found

    def _never_given(
        self, stretch: _Stretch, may: Callable[[Address], bool], count: int
    ) -> list[Address]:
        found: list[Address] = []
        number, end = stretch.mark, stretch.last
        while number <= end and len(found) < count:
            if number not in self._leases and may(address := _address(number)):
                if not found:
                    stretch.mark = number
                    end = min(end, number + _MOST_STEPS)
                found.append(address)
            number += 1
        if not found:
            stretch.mark = max(stretch.mark, number)
        return found


def _counts(lease: Lease) -> bool:
    """Whether it is one of those that a port has a limit of."""
    return not lease.machine and lease.state in (State.LEASED, State.OFFERED)


def _take_one(counted: Counter[str], key: str) -> None:
    counted[key] -= 1
    if not counted[key]:
        del counted[key]


def _number(address: Address) -> int:
    return int(address) if address.version == 4 else _V6 + int(address)


def _address(number: int) -> Address:
    return IPv4Address(number) if number < _V6 else IPv6Address(number - _V6)
