"""
All transfers under way: their sockets, their timer, and what is said of them at the end.

Every socket hangs in one epoll that the reactor knows as one reader; the reactor's own wrapping
of an event costs more than a whole answer.  One timer stands in for those of all transfers
(``due``); it runs only while there are any.

    a datagram   → Line → Transfer → Train → Line
    on port 69   → whose it is → Transfer → Train → Line, for those that share its socket
    every 10 ms  → the transfers whose deadline has come → Train → Line

An ACK in lock step costs about as much in Python as its two system calls cost the kernel, and
there are a hundred thousand a second: the clock is read once for all that wait at a moment, and the
way from ``_serve`` to ``Line.send`` is short.  A turn ends after so many packets that whoever else
is in the reactor waits for some ten milliseconds at most.
"""

from __future__ import annotations

import select
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import Any

from netbootd.errors import WireError
from netbootd.events.stream import Stream
from netbootd.tftp import wire
from netbootd.tftp.blocks import Train
from netbootd.tftp.due import GONE, Due
from netbootd.tftp.outcome import End
from netbootd.tftp.running import Key, Running, Telling
from netbootd.tftp.train import LONGEST_ANSWER
from netbootd.tftp.transfer import Transfer
from netbootd.tftp.wire import acknowledged

_SWEEP_S = 0.01
_EVENTS_A_ROUND = 256
_EVENTS_A_TURN = 1024  # before others have theirs
_ROUNDS_A_TURN = 64
_EVENTS_BEFORE_SWEEP = 4096
_ROUNDS_BEFORE_SWEEP = 4  # a shared socket is one event, however much waits in it


class Crowd:
    """
    Runs transfers to their end.

    *report* is called within an ``except`` and logs a bug with its traceback; *now* gives seconds
    that never go back.  *ended*, where set, is called for each transfer that ends, and *emptied*
    after the last.
    """

    def __init__(
        self,
        reactor: Any,  # IReactorTime and IReactorFDSet
        events: Stream,
        report: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._telling = Telling(events, now)
        self._report = report
        self.now = now
        self.ended: Callable[[Running], None] | None = None
        self.emptied: Callable[[], None] | None = None
        self._running: dict[Key, Running] = {}
        self._of_client: dict[str, dict[Key, Running]] = {}
        #: The oldest first; those heard since are taken out when they are met.
        self._perhaps_unheard: OrderedDict[Key, Running] = OrderedDict()
        self._readers: dict[int, Callable[[], None]] = {}
        self._own: dict[int, Running] = {}  # those with a socket of their own, by its descriptor
        self._due: Due[Running] = Due()
        self._sweep: Any = None

    def __len__(self) -> int:
        return len(self._running)

    def open(self) -> None:
        """Begin to listen; sockets may be watched from now on."""
        self._epoll = select.epoll()
        self._reactor.addReader(self)

    def close(self) -> None:
        """Stop listening; nothing may be running any more."""
        self._reactor.removeReader(self)
        self._epoll.close()

    def watch(self, fd: int, reader: Callable[[], None]) -> None:
        """Call *reader* whenever *fd* has something to read."""
        self._readers[fd] = reader
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Do so no longer; to be called before *fd* is closed."""
        del self._readers[fd]
        self._epoll.unregister(fd)

    def find(self, key: Key) -> Running | None:
        """The transfer between these two, if there is one."""
        return self._running.get(key)

    def of_client(self, address: str) -> Collection[Running]:
        """The transfers that *address* has, in the order they began."""
        return self._of_client.get(address, {}).values()

    def half_open(self) -> int:
        """How many transfers there are whose client never confirmed anything, or hardly more."""
        self.unheard()
        return len(self._perhaps_unheard)

    def unheard(self) -> Running | None:
        """The oldest transfer whose client never confirmed anything, None where all have."""
        while self._perhaps_unheard:
            key, running = next(iter(self._perhaps_unheard.items()))
            if not running.heard:
                return running
            del self._perhaps_unheard[key]
        return None

    def unheard_of(self, address: str) -> Running | None:
        """The same among those of *address*."""
        return next((each for each in self.of_client(address) if not each.heard), None)

    def admit(self, running: Running) -> None:
        """Send its first reply, and take care of it from now on."""
        self._running[running.key] = self._perhaps_unheard[running.key] = running
        self._of_client.setdefault(running.peer[0], {})[running.key] = running
        if not running.line.shared:
            self._own[running.line.fileno()] = running
            self._epoll.register(running.line.fileno(), select.EPOLLIN)
        if self._sweep is None:
            self._sweep = self._reactor.callLater(_SWEEP_S, self._tick)
        self._telling.began(running)
        self._advance(running, running.transfer.start, running.began_at)

    def hear_out(self, running: Running) -> None:
        """
        Take what its client sent before, if it has a socket of its own.

        A client that has all of its file may ask from the same port at once; its last ACK must not
        be found behind the request, which would pass for a repetition and get no answer.
        """
        for _ in range(_EVENTS_A_ROUND):
            if running.line.shared or self._running.get(running.key) is not running:
                return
            if (datagram := running.line.receive()) is None:
                return
            self.arrived(running, datagram, self.now())

    def repeat(self, running: Running) -> None:
        """Its request came again."""
        self._advance(running, running.transfer.again, self.now())

    def dismiss(self, running: Running, reason: str) -> None:
        """End it without a word to the client, which wants no more of it or never answered."""
        self._telling.broke_off(running, End.DISMISSED, reason)
        self._forget(running)

    def cut(self) -> None:
        """End everything that runs: the server stops."""
        for running in list(self._running.values()):
            self._telling.broke_off(running, End.STOPPED)
            self._forget(running)

    def heard(self) -> Iterator[Running]:
        """The transfers whose client has confirmed something; others may be forged."""
        return (running for running in self._running.values() if running.heard)

    # What the reactor calls (IReadDescriptor).

    def fileno(self) -> int:
        """The epoll's descriptor; -1 once it is closed."""
        return -1 if self._epoll.closed else self._epoll.fileno()

    def logPrefix(self) -> str:
        """Twisted's name for us."""
        return "tftp"

    def connectionLost(self, _reason: object) -> None:
        """The reactor has ended; so has all else."""

    def doRead(self) -> None:
        """Whoever has something; the reactor's own round costs more than an answer does."""
        served = 0
        for _ in range(_ROUNDS_A_TURN):
            waited = self._serve(_EVENTS_A_ROUND)
            served += waited
            if not waited or served >= _EVENTS_A_TURN:
                return

    def _serve(self, most: int) -> int:
        """One packet from everybody who has one, up to *most*."""
        events = [] if self._epoll.closed else self._epoll.poll(0, most)
        own, now = self._own, self.now()
        for fd, _ in events:
            running = own.get(fd)
            if running is None:
                self._safely(self._readers.get(fd))
                continue
            try:
                datagram = running.line.hear(LONGEST_ANSWER)
            except OSError:  # nothing waits, or an ICMP error did
                continue
            transfer = running.transfer
            if datagram != transfer.awaited:
                self.arrived(running, datagram, now)
                continue
            try:
                block = transfer.step(now)
            except Exception:
                self._broke(running)
                continue
            try:
                running.line.say(block)
            except OSError:
                self._send(running, (block, len(block)))
            if transfer.deadline < running.looked_at:
                self._due.put(running)
        return len(events)

    def _safely(self, reader: Callable[[], None] | None) -> None:
        """An exception that left doRead would make the reactor drop all of TFTP."""
        if reader is None:  # closed by an earlier one of this round
            return
        try:
            reader()
        except Exception:
            self._report("TFTP: a packet could not be handled")

    def _tick(self) -> None:
        """ACKs first: after a stall of the reactor they wait already, and nothing is to resend."""
        self._sweep = self._reactor.callLater(_SWEEP_S, self._tick)
        for _ in range(_ROUNDS_BEFORE_SWEEP):
            if not self._serve(_EVENTS_BEFORE_SWEEP):
                break
        now = self.now()
        for running in self._due.take(now):
            self._advance(running, running.transfer.tick, now)

    # One transfer.

    def arrived(self, running: Running, datagram: bytes, now: float) -> None:
        """A packet of its peer; nearly all of them are ACKs."""
        transfer = running.transfer
        block = acknowledged(datagram)
        if block < 0:
            self._advance(running, self._receive, transfer, datagram)
            return
        try:
            train = transfer.acknowledge(block, now)
        except Exception:
            self._broke(running)
            return
        self._send(running, train)
        if transfer.outcome is not None:
            self._finish(running)
        elif transfer.deadline < running.looked_at:
            self._due.put(running)

    def _send(self, running: Running, train: Train | None) -> None:
        if train is not None and (problem := running.line.send(train)) is not None:
            self._telling.dropped(f"not sent: {problem}", running.peer)

    def _receive(self, transfer: Transfer, datagram: bytes) -> None:
        transfer.receive(wire.decode(datagram))

    def _advance(self, running: Running, step: Callable[..., Train | None], *what: Any) -> None:
        """Take *step*, send what it says, and see whether that was the end."""
        try:
            train = step(*what)
        except WireError as problem:
            self._telling.dropped(str(problem), running.peer)
            return
        except Exception:
            self._broke(running)
            return
        self._send(running, train)
        if running.transfer.outcome is not None:
            self._finish(running)
        else:
            self._due.put(running)

    def _broke(self, running: Running) -> None:
        """A bug; called within an ``except``."""
        self._report(f"TFTP: transfer to {running.peer[0]} broke")
        self._telling.broke_off(running, End.FAULT)
        self._forget(running)

    def _finish(self, running: Running) -> None:
        outcome = running.transfer.outcome
        assert outcome is not None
        if outcome.end is End.COMPLETE:
            self._telling.completed(running)
        else:
            self._telling.broke_off(running, outcome.end, outcome.reason)
        self._forget(running)

    def _forget(self, running: Running) -> None:
        del self._running[running.key]
        self._perhaps_unheard.pop(running.key, None)
        self._strike_off(running)
        if self.ended:
            self.ended(running)
        running.looked_at = GONE
        if not running.line.shared:
            fd = running.line.fileno()
            del self._own[fd]
            self._epoll.unregister(fd)
        running.line.close()
        running.located.content.close()
        if not self._running:
            self._last_has_gone()

    def _strike_off(self, running: Running) -> None:
        theirs = self._of_client[running.peer[0]]
        del theirs[running.key]
        if not theirs:
            del self._of_client[running.peer[0]]

    def _last_has_gone(self) -> None:
        self._due.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self.emptied:
            self.emptied()
