"""
The record: what is remembered of every machine, in memory, for everybody who decides.

It lives in the reactor's thread.  ``keep`` is told of every change, and puts it on disk.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice

from netbootd.mac import MAC
from netbootd.record import token as tokens
from netbootd.record.standing import FRESH, Attempt, Standing, begins

#: What becomes of a change: the standing to keep, or None to forget it.
Keep = Callable[[str, Standing | None], None]
#: Machines without an entry of which something is remembered.
MOST_STRANGERS = 8192
_LOOKED_AT = 64


def _nowhere(_key: str, _standing: Standing | None) -> None:
    """For a record that nobody keeps."""


class Record:
    """
    Standings by machine key; *now* gives Unix seconds.

    A machine nothing is remembered of has a fresh one.  Machines that the configuration does not
    name can be made up by anybody: of these only the last ones are kept, those first of which
    something matters.
    """

    def __init__(
        self,
        now: Callable[[], float],
        standings: Mapping[str, Standing] | None = None,
        secret: bytes = b"",
        keep: Keep = _nowhere,
    ) -> None:
        self.now = now
        self.keep = keep
        #: Why the disk could not be read, and more may be known than is here; empty if it was.
        self.unread = ""
        #: Why nothing is known of machines that are not here; empty where that means nothing.
        self.lost = ""
        #: Waits until all that was put is on disk, or a while has passed; to be called in a thread.
        self.settle: Callable[[], bool] | None = None
        self._standings = dict(standings or {})
        self._secret = secret or secrets.token_bytes(32)
        self._strangers: OrderedDict[str, None] = OrderedDict()
        self._at: dict[str, str] = {}
        self._listeners: tuple[Callable[[str], None], ...] = ()
        begun = [
            (attempt.began, attempt.peer, key)
            for key, standing in self._standings.items()
            for attempt in standing.attempts
        ]
        for _, peer, key in sorted(begun):
            self._at[peer] = key

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Tell *callback* the key of each standing that is put; what is returned ends that."""
        self._listeners = (*self._listeners, callback)

        def unsubscribe() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not callback)

        return unsubscribe

    def of(self, key: str) -> Standing:
        """What is remembered of the machine *key*."""
        found = self._standings.get(key, FRESH)
        if why := self.unread or (self.lost if found is FRESH else ""):
            return replace(found, unread=why)
        return found

    def fill(self, standings: Mapping[str, Standing], secret: bytes) -> None:
        """The disk could be read at last: what it has counts, and what it lacks goes there."""
        self.unread, self._secret = "", secret
        self._standings |= standings
        for key in standings:
            self._remember_addresses(key)
        for key in self._standings.keys() - standings.keys():
            self.keep(key, self._standings[key])

    def move(self, old: str, new: str) -> None:
        """The machine *old* is called *new* now."""
        standing = self._standings.pop(old)
        self._strangers.pop(old, None)
        self.keep(old, None)
        if new not in self._standings:
            self.put(new, standing)
            self._remember_addresses(new)

    def _remember_addresses(self, key: str) -> None:
        for attempt in self._standings[key].attempts:
            self._at[attempt.peer] = key

    def put(self, key: str, standing: Standing, *, listed: bool = True) -> None:
        """Remember *standing*, here at once and on disk soon; *listed* in the configuration."""
        if standing.unread:
            standing = replace(standing, unread="")
        self._forget_addresses(key, self._standings.get(key, FRESH), standing)
        self._standings[key] = standing
        if standing.latest is not None and standing.latest.peer:
            self._at[standing.latest.peer] = key
        if not self.unread:
            self.keep(key, standing)
        if listed:
            self._strangers.pop(key, None)
        else:
            self.is_stranger(key)
        for listener in self._listeners:
            listener(key)

    def is_stranger(self, key: str) -> None:
        """*key* is a machine without an entry of its own."""
        self._strangers[key] = None
        self._strangers.move_to_end(key)
        self._forget_one()

    def _forget_one(self) -> None:
        if len(self._strangers) <= MOST_STRANGERS:
            return
        oldest = list(islice(self._strangers, _LOOKED_AT))
        key = next((one for one in oldest if not self.of(one).matters), oldest[0])
        del self._strangers[key]
        self._forget_addresses(key, self._standings.pop(key), FRESH)
        self.keep(key, None)

    def _forget_addresses(self, key: str, before: Standing, now: Standing) -> None:
        """Those of attempts that are kept no more, as after a restart: they may be ever new."""
        kept = {attempt.peer for attempt in now.attempts}
        for attempt in before.attempts:
            if attempt.peer not in kept and self._at.get(attempt.peer) == key:
                del self._at[attempt.peer]

    def items(self) -> Mapping[str, Standing]:
        """All of them."""
        return self._standings

    def at(self, peer: str) -> tuple[str, MAC | None]:
        """The key and card of the machine that last booted from the address *peer*; ("", None)."""
        key, attempt = self.attempt_at(peer)
        return key, MAC.maybe(attempt.mac) if attempt else None

    def attempt_at(self, peer: str) -> tuple[str, Attempt | None]:
        """The key of the machine that last booted from *peer*, and its last attempt from there."""
        key = self._at.get(peer, "")
        return key, self.of(key).of_peer(peer) if key else None

    def begin(
        self, key: str, target: str, *, armed: bool, mac: MAC, peer: str, listed: bool
    ) -> None:
        """A boot script for *target* goes to the card *mac* at *peer*."""
        begun = begins(self.of(key), target, armed=armed, mac=str(mac), peer=peer, now=self.now())
        self.put(key, begun, listed=listed)

    # -- tokens --------------------------------------------------------------------------------

    def token(self, key: str, attempt: Attempt | None) -> str:
        """The token of an attempt; empty where there was none."""
        return tokens.token(self._secret, key, attempt.number) if attempt else ""

    def next_token(self, key: str) -> str:
        """The token of the attempt that a script served now begins."""
        latest = self.of(key).latest
        return tokens.token(self._secret, key, latest.number + 1 if latest else 1)

    def dead_token(self, key: str) -> str:
        """One that proves nothing, for somebody who looks on."""
        return tokens.token(self._secret, key, 0)

    def attempt_of(self, key: str, token: str) -> Attempt | None:
        """The attempt that *token* belongs to, None for a token that is wrong or too old."""
        for attempt in reversed(self.of(key).attempts):
            if tokens.same(token, tokens.token(self._secret, key, attempt.number)):
                return attempt
        return self.proven(key, token)

    # -- what opens secrets --------------------------------------------------------------------

    def proof(self, key: str, attempt: Attempt | None) -> str:
        """As ``token``, the one that opens what is secret."""
        return tokens.proof(self._secret, key, attempt.number) if attempt else ""

    def next_proof(self, key: str) -> str:
        """As ``next_token``."""
        latest = self.of(key).latest
        return tokens.proof(self._secret, key, latest.number + 1 if latest else 1)

    def proven(self, key: str, token: str) -> Attempt | None:
        """The attempt whose secrets *token* opens, as ``attempt_of``."""
        for attempt in reversed(self.of(key).attempts):
            if tokens.same(token, tokens.proof(self._secret, key, attempt.number)):
                return attempt
        return None
