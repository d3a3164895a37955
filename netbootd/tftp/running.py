"""
A transfer under way with what belongs to it, and what is said of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netbootd import urls
from netbootd.events.event import Dropped, TransferEnded, TransferFailed, Transferred
from netbootd.events.progress import Started
from netbootd.events.stream import Stream
from netbootd.tftp import wire
from netbootd.tftp.due import GONE
from netbootd.tftp.files import Located
from netbootd.tftp.outcome import End
from netbootd.tftp.train import Line, Peer
from netbootd.tftp.transfer import Transfer

#: What every firmware does now and then, or makes us do.
_QUIET = {End.ABORTED, End.UNHEARD, End.UNCONFIRMED, End.DISMISSED}

#: Who is served, and from which address of ours.
Key = tuple[Peer, str]


@dataclass(slots=True, eq=False)
class Running:
    """A transfer and what belongs to it; *began_at* in seconds of the crowd's clock."""

    key: Key
    request: wire.ReadRequest
    located: Located
    transfer: Transfer
    line: Line
    began_at: float
    looked_at: float = GONE  # see ``due``

    @property
    def peer(self) -> Peer:
        """The client's address and port."""
        return self.key[0]

    @property
    def path(self) -> str:
        """What is asked for, as logs have it."""
        return urls.told(self.request.path)

    @property
    def deadline(self) -> float:
        """When the transfer wants to be told the time."""
        return self.transfer.deadline

    @property
    def heard(self) -> bool:
        """Whether the client has confirmed anything; until then its address may be forged."""
        return self.transfer.heard_at is not None


class Telling:
    """Publishes how transfers begin and end; *now* as the crowd has it."""

    def __init__(self, events: Stream, now: Callable[[], float]) -> None:
        self._events = events
        self._now = now

    def began(self, running: Running) -> None:
        """It is admitted."""
        self._events.publish(
            Started(
                mac=running.located.mac,
                target=running.located.target,
                peer=running.peer[0],
                protocol="TFTP",
                path=running.path,
                size=running.transfer.size or 0,
            )
        )

    def completed(self, running: Running) -> None:
        """The client has all of it."""
        self._events.publish(
            Transferred(
                mac=running.located.mac,
                target=running.located.target,
                peer=running.peer[0],
                path=running.path,
                size=running.located.content.size,
                seconds=self._now() - running.began_at,
                resent=running.transfer.resent,
            )
        )

    def broke_off(self, running: Running, end: End, reason: str = "") -> None:
        """It came to another *end*; *reason* where it is not that of all such ends."""
        reach = running.transfer.reach()
        kind = TransferEnded if end in _QUIET else TransferFailed
        self._events.publish(
            kind(
                mac=running.located.mac,
                target=running.located.target,
                peer=running.peer[0],
                path=running.path,
                reason=reason or end.value,
                end=end.name.lower(),
                size=reach.size or 0,
                acked=reach.acked,
                blksize=reach.blksize,
                seconds=self._now() - running.began_at,
                oack=reach.oack,
                confirmed=running.heard,
            )
        )

    def dropped(self, reason: str, peer: Peer) -> None:
        """A packet of *peer*, or for it, led to nothing."""
        self._events.publish(Dropped(peer=peer[0], protocol="TFTP", reason=reason))
