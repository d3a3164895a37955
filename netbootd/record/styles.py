"""
Which reply style firmware follows, as it was learned: values, and the memory that holds them.

A *card* that got an offer, and asked for nothing after it, did not follow its style: its next
DISCOVER is answered in the next one of its order, and after the last in the first again.  A style
that was followed is remembered for every machine of the same *kind*, which then begins with it.

::

    DISCOVER                      choose    the style of the offer, and why it is another one
    OFFER left                    offered   it waits for something to follow
    4011, a file, a script        followed  the style works: for this card, and for its kind
    DISCOVER again, much later    choose    nothing followed: the next style

A retransmission is no failure: U-Boot repeats a DISCOVER after 0.25 s, iPXE after 1 s, while those
that wait for offers to come in take 4 s (PXE 2.1, section 2.2.5; EDK2).  A style that is known to
work for the kind is given a second offer before it is left, since a lead may have come loose.

Nothing here knows a protocol, a clock or a disk: *now* is seconds of a steady clock, *when* Unix
seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from netbootd.mac import MAC

#: Seconds within which the same DISCOVER again says nothing.
PATIENCE_S = 3.0
#: Seconds after an offer in which what a machine fetches may be due to it.
FOLLOWS_WITHIN_S = 300.0
_MOST_CARDS = 8192  # the one unheard of for longest is forgotten first
_MOST_KINDS = 1024  # likewise
_LONGEST_ROM = 80


class Kind(NamedTuple):
    """
    Machines that behave alike: the beginning of their MACs that stands for a maker, what their
    firmware says it is (option 93, empty where it does not), and the *rom*'s own words.
    """

    vendor: str
    arch: str
    rom: str

    @classmethod
    def of(cls, mac: MAC, arch: int | None, rom: str) -> Self:
        """*rom* comes from the wire: what does not print is left out."""
        if not rom.isprintable():
            rom = "".join(letter for letter in rom if letter.isprintable())
        return cls(mac[:3].hex(":"), "" if arch is None else str(arch), rom[:_LONGEST_ROM])

    @classmethod
    def parse(cls, key: str) -> Self:
        """Undo ``key``; raises ValueError."""
        vendor, arch, rom = key.split(" ", 2)
        return cls(vendor, arch.removeprefix("-"), rom)

    @property
    def key(self) -> str:
        """``00:25:90 7 PXEClient:Arch:00007:UNDI:003016``."""
        return f"{self.vendor} {self.arch or '-'} {self.rom}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """
    What a kind follows: *style*, how many *times* in a row, which card last and *when*; *first* is
    the style that such machines would begin with, had nobody learned anything.
    """

    style: str
    first: str
    times: int = 1
    mac: str = ""
    when: float = 0.0


class Tried(NamedTuple):
    """
    What a card was offered last: in which *style*, *since* when, how many *offers* of it had
    nothing follow before, and whether this one *followed*.

    *left* are the styles that were tried before it and not followed, since something last was.
    *names* are what else the card calls itself in the paths that it asks for.
    """

    style: str
    since: float
    kind: Kind
    first: str
    misses: int = 0
    followed: bool = False
    left: tuple[str, ...] = ()
    round: int = 1
    names: frozenset[str] = frozenset()

    def failed(self, now: float) -> bool:
        """Whether another DISCOVER at *now* means that nothing followed."""
        return not self.followed and now - self.since > PATIENCE_S


class Past(NamedTuple):
    """All that is known at *now* of the card that asks: what it tried, what its kind follows."""

    tried: Tried | None = None
    worked: Worked | None = None
    now: float = 0.0


NO_PAST = Past()


class Chosen(NamedTuple):
    """
    The *style* of an offer and *why* it; *after* is the one that was given up for it, empty for
    none; *misses*, *left* and *round* as Tried has them.
    """

    style: str
    why: str
    after: str = ""
    misses: int = 0
    left: tuple[str, ...] = ()
    round: int = 1


def choose(order: tuple[str, ...], past: Past) -> Chosen:
    """The style of the next offer to a card whose firmware may be told in any of *order*."""
    order, why = _best_first(order, past.worked)
    tried = past.tried
    if tried is None or tried.style not in order:
        return Chosen(order[0], why)
    same = Chosen(tried.style, _kept(tried, why), "", tried.misses, tried.left, tried.round)
    if tried.followed:
        return Chosen(tried.style, _kept(tried, why))
    if not tried.failed(past.now) or len(order) == 1:
        return same
    proven = past.worked is not None and past.worked.style == tried.style
    if proven and not tried.misses:
        return same._replace(misses=1)
    left, again = (*tried.left, tried.style), tried.round
    rest = [style for style in order if style not in left]
    if not rest:
        left, again, rest = (), again + 1, list(order)
    told = f"an offer in style {tried.style} was not followed"
    return Chosen(rest[0], told, tried.style, 0, left, again)


def _best_first(order: tuple[str, ...], worked: Worked | None) -> tuple[tuple[str, ...], str]:
    if worked is None or worked.style not in order:
        return order, "the first for such firmware"
    if worked.style != order[0]:
        order = (worked.style, *(style for style in order if style != worked.style))
    return order, f"it worked for {worked.mac} of the same kind"


def _kept(tried: Tried, why: str) -> str:
    return "it worked for this machine" if tried.followed else why


class Offer(NamedTuple):
    """
    An offer as *chosen* to the card *mac*, whose *kind* would begin with *first*.

    *names* are what else the card calls itself in the paths that it asks for.
    """

    mac: MAC
    kind: Kind
    first: str
    chosen: Chosen
    names: frozenset[str] = frozenset()


Keep = Callable[[str, Worked | None], None]


def _nowhere(_key: str, _worked: Worked | None) -> None:
    """For a memory that nobody keeps."""


def _stands_still() -> float:
    return 0.0


@dataclass(slots=True)
class StyleMemory:
    """
    What cards tried and what kinds follow; in the reactor's thread.

    *now* gives seconds of a steady clock, *when* Unix seconds; *keep* is told of each kind that
    changed, by its key, and of None for one to forget.
    """

    now: Callable[[], float] = _stands_still
    when: Callable[[], float] = _stands_still
    keep: Keep = _nowhere
    kinds: OrderedDict[str, Worked] = field(default_factory=OrderedDict)
    _cards: OrderedDict[MAC, Tried] = field(default_factory=OrderedDict)
    _names: dict[str, MAC] = field(default_factory=dict)

    def fill(self, kinds: Mapping[str, Worked]) -> None:
        """What the disk had counts where nothing was learned since."""
        oldest_first = sorted(kinds.items(), key=lambda item: (item[1].when, item[0]))
        learned = self.kinds
        self.kinds = OrderedDict({**dict(oldest_first), **learned})
        while len(self.kinds) > _MOST_KINDS:
            self._forget_oldest()

    def past(self, mac: MAC | None, kind: Kind | None) -> Past:
        """What counts for the next offer to *mac*."""
        if mac is None or kind is None:
            return NO_PAST
        return Past(self._cards.get(mac), self.kinds.get(kind.key), self.now())

    def offered(self, offer: Offer) -> None:
        """*offer* has left."""
        mac, kind, first, chosen, names = offer
        before, now = self._cards.get(mac), self.now()
        again = (
            before is not None
            and before.style == chosen.style
            and before.misses == chosen.misses
            and not before.followed
            and not before.failed(now)
        )
        tried = Tried(
            chosen.style,
            before.since if again and before else now,
            kind,
            first,
            chosen.misses,
            left=chosen.left,
            round=chosen.round,
            names=names,
        )
        if tried == before and not names:
            self._cards.move_to_end(mac)  # what is known of it stays the very same value
        else:
            self._put(mac, tried)

    def followed(self, mac: MAC) -> Worked | None:
        """
        *mac* asked for something: the style of its last offer works.

        Returns what is new in that, None where it was known.
        """
        tried = self._cards.get(mac)
        if tried is None or tried.followed or self.now() - tried.since > FOLLOWS_WITHIN_S:
            return None
        self._put(mac, tried._replace(followed=True, misses=0, left=(), round=1))
        key = tried.kind.key
        before = self.kinds.get(key)
        same = before is not None and before.style == tried.style
        worked = Worked(
            style=tried.style,
            first=tried.first,
            times=before.times + 1 if same and before else 1,
            mac=str(mac),
            when=self.when(),
        )
        self.kinds[key] = worked
        self.kinds.move_to_end(key)
        if len(self.kinds) > _MOST_KINDS:
            self._forget_oldest()
        self.keep(key, worked)
        return None if same else worked

    def named(self, name: str) -> MAC | None:
        """Whose card calls itself *name*."""
        return self._names.get(name)

    def tried(self, mac: MAC) -> Tried | None:
        """What *mac* was offered last."""
        return self._cards.get(mac)

    def forget(self, key: str = "") -> int:
        """Begin anew with the kind *key*, or with all; how many kinds were forgotten."""
        gone = [known for known in self.kinds if not key or known == key]
        for known in gone:
            del self.kinds[known]
            self.keep(known, None)
        for mac in [mac for mac, one in self._cards.items() if not key or one.kind.key == key]:
            self._drop(mac)
        return len(gone)

    def elsewhere(self) -> dict[MAC, Tried]:
        """The cards that are on another style than the first."""
        return {mac: one for mac, one in self._cards.items() if one.style != one.first}

    def _put(self, mac: MAC, tried: Tried) -> None:
        if mac in self._cards:
            self._drop(mac)
        self._cards[mac] = tried
        for name in tried.names:
            self._names[name] = mac
        if len(self._cards) > _MOST_CARDS:
            self._drop(next(iter(self._cards)))

    def _drop(self, mac: MAC) -> None:
        for name in self._cards.pop(mac).names:
            if self._names.get(name) == mac:
                del self._names[name]

    def _forget_oldest(self) -> None:
        key, _ = self.kinds.popitem(last=False)
        self.keep(key, None)
