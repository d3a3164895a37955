"""
Who may send, and how much: a bucket of tokens for each address (RFC 2697 calls it so).

Anybody can write any address into a datagram, so the number of buckets is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

_BURST = 5  # seconds of the rate that may come at once
_MOST = 16_384


@dataclass(slots=True)
class _Sender:
    """*tokens* at the time *at*; *refused* lines since *flooding*, None while there is no flood."""

    allowed: bool
    tokens: float
    at: float
    refused: int = 0
    flooding: float | None = None


class Flood(NamedTuple):
    """A sender sent too much: it *began*, or it is over, with so many lines *refused*."""

    peer: str
    began: bool
    refused: int
    seconds: float


class Senders:
    """
    Takes *rate* lines a second of each address in *networks*, none for all, and bursts of five
    times that.  ``refused`` and ``over`` count lines of those that may not send, or sent too much.
    """

    def __init__(self, networks: Sequence[IPv4Network] = (), rate: int = 2000) -> None:
        self.refused = 0
        self.over = 0
        self._networks = tuple(networks)
        self._rate = rate
        self._senders: OrderedDict[str, _Sender] = OrderedDict()
        self._flooding: set[str] = set()
        self._told: list[Flood] = []

    def configure(self, networks: Sequence[IPv4Network], rate: int) -> None:
        """From now on so; who floods goes on as a flood."""
        if (tuple(networks), rate) != (self._networks, self._rate):
            self._networks, self._rate = tuple(networks), rate
            for peer, sender in self._senders.items():
                sender.allowed = self._is_allowed(peer)
                sender.tokens = min(sender.tokens, rate * _BURST)

    def allows(self, peer: str) -> bool:
        """Whether *peer* may send at all."""
        known = self._senders.get(peer)
        return known.allowed if known else self._is_allowed(peer)

    def takes(self, peer: str, now: float) -> bool:
        """Whether one more line of *peer* is taken at *now*, in seconds of a steady clock."""
        sender = self._senders.get(peer)
        if sender is None:
            sender = self._begin(peer, now)
        if not sender.allowed:
            self.refused += 1
            return False
        sender.tokens = min(self._rate * _BURST, sender.tokens + (now - sender.at) * self._rate)
        sender.at = now
        if sender.tokens >= 1:
            sender.tokens -= 1
            return True
        self.over += 1
        sender.refused += 1
        if sender.flooding is None:
            sender.flooding = now
            self._flooding.add(peer)
            self._told.append(Flood(peer, True, 0, 0.0))
        return False

    def floods(self, now: float) -> list[Flood]:
        """What began or ended since the last call; one is over when half a burst would fit."""
        for peer in sorted(self._flooding):
            sender = self._senders[peer]
            tokens = sender.tokens + (now - sender.at) * self._rate
            if tokens >= self._rate * _BURST / 2:
                self._end(peer, sender, now)
        told, self._told = self._told, []
        return told

    def _end(self, peer: str, sender: _Sender, now: float) -> None:
        seconds = now - (sender.flooding or now)
        self._told.append(Flood(peer, False, sender.refused, seconds))
        self._flooding.discard(peer)
        sender.flooding, sender.refused = None, 0

    def _begin(self, peer: str, now: float) -> _Sender:
        sender = _Sender(self._is_allowed(peer), self._rate * _BURST, now)
        self._senders[peer] = sender
        if len(self._senders) > _MOST:
            # The one that came first; if it still sends it has a new bucket, and that is all.
            oldest, old = self._senders.popitem(last=False)
            if old.flooding is not None:
                self._end(oldest, old, now)
        return sender

    def _is_allowed(self, peer: str) -> bool:
        if not self._networks:
            return True
        try:
            address = IPv4Address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)
