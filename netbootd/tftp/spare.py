"""
Sockets of transfers that have ended, for those that begin.

To open a socket, bind it and close it takes as long as five blocks do.  One that is kept is
connected to nobody, so it hears nobody.  Its last client could fill it, and if that client begins
again at this number it would take what the new socket is to hear: of two that are connected alike,
kernels before 6.13 choose the one that was bound last (net/ipv4/udp.c, udp4_lib_lookup2).
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import NamedTuple

from netbootd.tftp import train
from netbootd.tftp.train import Peer

#: As many as end before others begin; where transfers follow each other, a few would do.
_MOST_KEPT = 64


class Numbered(NamedTuple):
    """A socket that is bound, and the *number* of its port."""

    udp: socket.socket
    number: int


class Spares:
    """
    Those of one address; the one that was put in first is taken first.  From *nobody* no packet
    ever comes.
    """

    def __init__(self, nobody: Peer) -> None:
        self._nobody = nobody
        self._kept: deque[Numbered] | None = deque()

    def take(self, not_at: int | None) -> Numbered | None:
        """One at another number than *not_at*, if there is one."""
        for _ in range(len(self._kept or ())):
            assert self._kept is not None
            spare = self._kept.popleft()
            if spare.number != not_at:
                return spare
            self._kept.append(spare)
        return None

    def put(self, spare: Numbered) -> None:
        """Keep it, or close it where there are enough, or none is wanted any more."""
        if self._kept is None or len(self._kept) >= _MOST_KEPT:
            spare.udp.close()
            return
        try:
            train.connect(spare.udp, self._nobody)
        except OSError:  # more waits in it than is worth taking out, or our address has gone
            spare.udp.close()
        else:
            self._kept.append(spare)

    def close(self) -> None:
        """Give the descriptors back, also those of what is put in later."""
        with contextlib.ExitStack() as closed:
            for spare in self._kept or ():
                closed.callback(spare.udp.close)
        self._kept = None
