"""
One open stream of events, as long as its client reads.

A listener that does not read is paused by its connection; what it misses then is held, and when
that passes MOST_HELD bytes, or it has read nothing for a minute, the connection ends: a browser
comes back by itself and asks anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

#: Bytes that wait for one listener beside those in its connection (64 KiB).
MOST_HELD = 256 << 10
_MOST_PINGS = 4  # that wait for one; there is one in 15 s
_PING = b": still here\n\n"
_FIRST = b"retry: 3000\n\n"

log = Logger(namespace="netbootd.http")


@implementer(IPushProducer)
class Listener:
    """
    One connection, and what it wants: *topics*, of the machine *key* alone where that is not empty.

    *may*: whether it still may; *gone* is called once, when it is not there any more.
    """

    def __init__(
        self,
        topics: frozenset[str],
        key: str,
        may: Callable[[], bool],
        gone: Callable[[Listener], None],
    ) -> None:
        self.topics = topics
        self.key = key
        self.may = may
        self._gone = gone
        self._request: Any = None
        self._paused = False
        self._held: deque[bytes] = deque()
        self._size = 0
        self._pings = 0  # held

    def begin(self, request: Any) -> None:
        """Write to *request* from now on."""
        self._request = request
        request.notifyFinish().addBoth(lambda _: self._left())
        request.registerProducer(self, True)
        self.send(_FIRST)

    def wants(self, topic: str, key: str) -> bool:
        """Whether it listens to *topic*, about the machine *key*."""
        return topic in self.topics and self.key in ("", key)

    def send(self, data: bytes) -> None:
        """Send it, or hold it while the connection is full."""
        if self._request is None:
            return
        if not self._paused:
            self._request.write(data)
            return
        self._held.append(data)
        self._size += len(data)
        if self._size > MOST_HELD:
            self._cut_off()

    def ping(self) -> None:
        """Say that we are still here, to who may be gone."""
        self.send(_PING)
        if self._paused:
            self._pings += 1
            if self._pings > _MOST_PINGS:
                self._cut_off()

    def _cut_off(self) -> None:
        if self._request is not None:
            log.info("a listener to events does not read; cut off")
            self._request.transport.abortConnection()
            self._left()

    def end(self) -> None:
        """The end of the stream, in good order."""
        if self._request is not None:
            request, self._request = self._request, None
            request.unregisterProducer()
            request.finish()
            self._gone(self)

    def pauseProducing(self) -> None:
        """The connection is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It has room again; perhaps not for all that was held."""
        self._paused, self._pings = False, 0
        while self._held and not self._paused and self._request is not None:
            data = self._held.popleft()
            self._size -= len(data)
            self._request.write(data)

    def stopProducing(self) -> None:
        """The connection is over."""
        self._left()

    def _left(self) -> None:
        if self._request is not None:
            self._request = None
            self._held.clear()
            self._gone(self)
