"""
What a read request leads to, as the service wants to be told.

Whoever decides about files (the composition root brings it) answers a request with a ``Located``,
or raises NotFound or Forbidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netbootd.content import Content
from netbootd.mac import MAC
from netbootd.tftp.wire import ReadRequest


@dataclass(frozen=True, slots=True)
class Located:
    """
    The bytes to send, and for whom.

    The service closes *content* when the transfer has ended.  *mac* is None and *target* empty
    where nobody knows the machine; both only go into events.  *mtu* in bytes is that of the
    client's network, 0 where only the interface's is known.
    """

    content: Content
    mac: MAC | None = None
    target: str = ""
    mtu: int = 0


#: Request, the peer's address, and our address that it was sent to.
Locate = Callable[[ReadRequest, str, str], Located]
