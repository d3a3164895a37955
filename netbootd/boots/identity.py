"""
Whose an event is.

A machine is known by its key, which the registry gives for a card and what was heard of it (its
UUID in either byte order among that), so another card of a listed machine is the same machine.  Of
machines that are not listed, cards with one UUID are taken for one machine.  What comes without a
MAC is of whoever was last seen at the address; only a telling rests on that, never a decision.

Pure, and bounded: of too many the one seen longest ago is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import NamedTuple

from netbootd.boots.boot import Boot
from netbootd.boots.turn import Outside, Turn, Who
from netbootd.events.event import Event
from netbootd.mac import MAC

_MOST_ADDRESSES = 16384
_MOST_UUIDS = 8192
#: Cards of one machine.  Boards that share a UUID are more.
MOST_CARDS = 8
_NOWHERE = ("", "0.0.0.0")


class _At(NamedTuple):
    """*sure*: more than a script went there, which anybody may look at."""

    key: str
    mac: str
    sure: bool = True


@lru_cache(maxsize=4096)  # a boot is mostly told of by its address
def card_of(mac: str) -> MAC | None:
    """The card *mac*; None for an empty text."""
    return MAC.maybe(mac)


class Identities:
    """Machines by card and by address."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._at: OrderedDict[str, _At] = OrderedDict()
        self._by_uuid: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def turn(self, event: Event, now: float, generation: int, times: int = 1) -> Turn | None:
        """*event* with its machine; None where nobody knows whose it is."""
        if event.mac is not None:
            who = self._outside.who(event.mac)
            key = who.key if who.known or not who.uuid else self._by_its_uuid(who)
            mac = str(event.mac)
            if mac == key:
                mac = key  # kept once, for a dozen steps
            return Turn(event, now, generation, key, mac, event.mac, who.known, who.uuid, times)
        at = self._at.get(event.peer)
        if at is None:
            return None
        card = card_of(at.mac)
        known = self._outside.who(card).known if card else True
        return Turn(event, now, generation, at.key, at.mac, card, known, "", times)

    def _by_its_uuid(self, who: Who) -> str:
        """The key of a machine that is not listed: that of the card which said its UUID first."""
        cards = self._by_uuid.get(who.uuid, ())
        if who.key not in cards and len(cards) <= MOST_CARDS:
            cards = (*cards, who.key)
        self._by_uuid[who.uuid] = cards
        self._by_uuid.move_to_end(who.uuid)
        if len(self._by_uuid) > _MOST_UUIDS:
            self._by_uuid.popitem(last=False)
        return who.key if len(cards) > MOST_CARDS else cards[0]

    def at(self, peer: str) -> tuple[str, str]:
        """Key and card of whoever has the address *peer* for sure; both empty for nobody."""
        at = self._at.get(peer)
        return (at.key, at.mac) if at is not None and at.sure else ("", "")

    def learn(self, peer: str, turn: Turn, *, sure: bool = True) -> None:
        """The machine of *turn* has the address *peer*, or may have."""
        if peer not in _NOWHERE and (sure or peer not in self._at):
            self._at[peer] = _At(turn.key, turn.mac, sure)
            self._at.move_to_end(peer)
            if len(self._at) > _MOST_ADDRESSES:
                self._at.popitem(last=False)

    def claim(self, peer: str, turn: Turn) -> None:
        """
        The machine of *turn* says by DHCP that it has the address *peer*.

        Anybody can say so in any name: one that is not listed takes no address from one that is.
        """
        at = self._at.get(peer)
        if turn.known or at is None or at.key == turn.key or not self._is_listed(at):
            self.learn(peer, turn)

    def _is_listed(self, at: _At) -> bool:
        card = card_of(at.mac)
        return card is not None and self._outside.who(card).known

    def remember(self, boot: Boot) -> None:
        """Where *boot*, an earlier one than those that were remembered before, was."""
        if boot.peer not in _NOWHERE and boot.macs and boot.peer not in self._at:
            self._at[boot.peer] = _At(boot.key, boot.macs[-1])
            self._at.move_to_end(boot.peer, last=False)

    def rename(self, old: str, new: str) -> None:
        """The machine *old* is called *new* now."""
        for peer, at in self._at.items():
            if at.key == old:
                self._at[peer] = at._replace(key=new)
