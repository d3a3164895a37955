"""
The thread that sends bodies: its epoll, the orders it is given, and who takes nothing any more.

Everything of a body that it touches is in ``body``; what the reactor does with one, in ``bodies``.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from twisted.python.failure import Failure

from netbootd.errors import Changed, Shortened
from netbootd.http.body import Body

_LOOK_S = 0.002  # how often it looks whether what was lent is confirmed
_SWEEP_S = 5.0  # how often it looks for stalled bodies
_AT_ONCE = 256  # epoll events taken in one turn
#: Bytes that a client takes while one that takes nothing is given up, or it is given up too: who
#: takes a byte now and then would hold a file for ever.
_LEAST = 64 << 10

_CLIENT_IS_GONE = {
    errno.EPIPE,
    errno.ECONNRESET,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENETDOWN,
}


class Helper(threading.Thread):
    """
    The one thread; only ``take``, ``drop`` and ``quit`` may be called from outside it.

    It calls *give_way* before each turn of a body.
    """

    def __init__(
        self,
        let_go: Callable[[Body], None],
        failed: Callable[[Failure], None],
        stall_s: float,
        give_way: Callable[[], None],
    ) -> None:
        super().__init__(name="netbootd-bodies", daemon=True)
        self._let_go = let_go
        self._failed = failed
        self._stall_s = stall_s
        self._give_way = give_way
        self._orders: deque[Callable[[], None]] = deque()
        self._epoll = select.epoll()  # first, since it closes itself if there is no bell to be had
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._bodies: dict[int, Body] = {}
        self._waiting: set[Body] = set()  # for what was lent to be confirmed
        self._next_sweep = 0.0
        self._quitting = False

    # -- from the reactor ----------------------------------------------------------------------

    def take(self, body: Body) -> None:
        """Begin to send it."""
        self._order(lambda: self._take(body))

    def drop(self, body: Body) -> None:
        """Let go of *body*, if it is still here."""
        self._order(lambda: self._drop(body))

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        os.eventfd_write(self._bell, 1)

    def quit(self) -> None:
        """End the thread if it has not ended by itself; it lets go of nothing any more."""
        self._order(self._stop)
        self.join()
        self._epoll.close()
        os.close(self._bell)

    # -- in the thread -------------------------------------------------------------------------

    def run(self) -> None:
        """Turn after turn; a fault is the reactor's to log, and to clean up after."""
        try:
            while not self._quitting:
                self._turn()
        except Exception:
            self._failed(Failure())

    def _turn(self) -> None:
        """Serve whoever has room, obey orders, and now and then look for the stalled."""
        ready = dict(self._epoll.poll(self._patience, _AT_ONCE))
        rung = ready.pop(self._bell, 0)
        for fd, events in ready.items():
            self._give_way()
            self._serve(self._bodies[fd], events)
        if rung:
            self._obey()
        for body in [body for body in self._waiting if body.confirmed()]:
            self._waiting.discard(body)
            self._epoll.modify(body.socket, select.EPOLLOUT)
        self._sweep(time.monotonic())

    @property
    def _patience(self) -> float | None:
        """Seconds until it has to look by itself."""
        if self._waiting:
            return _LOOK_S
        return _SWEEP_S if self._bodies else None

    def _obey(self) -> None:
        os.eventfd_read(self._bell)
        while self._orders:
            self._orders.popleft()()

    def _take(self, body: Body) -> None:
        body.moved_at, body.left_then = time.monotonic(), body.left
        self._bodies[body.socket] = body
        self._epoll.register(body.socket, select.EPOLLOUT)

    def _drop(self, body: Body) -> None:
        if self._bodies.get(body.socket) is body:
            self._release(body)

    def _stop(self) -> None:
        self._quitting = True

    def _serve(self, body: Body, events: int) -> None:
        try:
            goes_on = body.step()
        except BlockingIOError:
            if not events & (select.EPOLLERR | select.EPOLLHUP):
                return
            self._release(body)  # no room and no hope of any
        except Exception as problem:
            if getattr(problem, "errno", None) not in _CLIENT_IS_GONE:
                body.problem = str(problem)  # EIO, ESTALE, the file's end, or a fault of ours
                body.mixed = isinstance(problem, Changed) and not isinstance(problem, Shortened)
            self._release(body)
        else:
            if not body.left:
                self._release(body)
            elif not goes_on:
                self._wait(body, events)

    def _wait(self, body: Body, events: int) -> None:
        if events & (select.EPOLLERR | select.EPOLLHUP):
            self._release(body)
        else:
            self._waiting.add(body)
            self._epoll.modify(body.socket, 0)  # it would always be ready

    def _release(self, body: Body) -> None:
        self._waiting.discard(body)
        self._epoll.unregister(body.socket)
        del self._bodies[body.socket]
        body.measure()
        body.close_socket()
        self._let_go(body)

    def _sweep(self, now: float) -> None:
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_S
        for body in list(self._bodies.values()):
            if body.left_then - body.left >= _LEAST:
                body.moved_at, body.left_then = now, body.left
            if now - body.moved_at > self._stall_s:
                body.stalled = True
                self._release(body)
