"""
The names of leases in DNS: dynamic updates (RFC 2136), signed by TSIG (RFC 8945).

What is told is always how a name shall be now, not what happened: so a name that changes ten times
while the server is away is told once.  A name that we made is marked by a DHCID (RFC 4701) beside
its addresses, and changed only where that is still there (RFC 4703, section 5.3): what somebody
else wrote stays, unless it stands for a machine of the file::

    nobody has the name        --> addresses and mark
    it has our mark            --> other addresses, or none and no mark
    it has another or no mark  --> a machine's of the file is taken; else it stays, and is told of

Everything is done in one thread, which waits for the network; whoever wants something does not.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from netbootd.config import Ddns
from netbootd.naming.names import Named
from netbootd.naming.wanted import Away, Unwanted, Wanted
from netbootd.printable import printable

if TYPE_CHECKING:
    from netbootd.naming.nameserver import NameServer

log = Logger(namespace="netbootd.naming")

#: All leases of a /16, each with its name and its pointer, which are told anew at each start.
MOST_WAITING = 131_072
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_MOST_TRIES = 8  # of one name that the server does not want; one that is away is waited for


class Updates(threading.Thread):
    """
    Tells the server what it is to know.  *told* is called, in this thread, when ``trouble`` is
    another; ``counts`` are for whoever wants figures.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__(name="ddns", daemon=True)
        self.trouble = ""
        self.counts = {"done": 0, "taken": 0, "failed": 0, "dropped": 0}
        self._told = told
        self._settings = Ddns()
        self._waiting: OrderedDict[tuple[type, str], Wanted] = OrderedDict()
        self._tries: dict[tuple[type, str], int] = {}
        self._server: NameServer | None = None
        self._renewed = False  # the settings, since the last try
        self._at_work = self._stopping = False
        self._changed = threading.Condition()

    # -- from any thread -----------------------------------------------------------------------

    def configure(self, settings: Ddns) -> None:
        """*settings* count from now on."""
        with self._changed:
            self._settings, self._renewed = settings, True
            if settings.server is None:
                self._waiting.clear()
            self._changed.notify()

    def want(self, wanted: Wanted) -> None:
        """Have the server know *wanted*, which replaces what was wanted of the same before."""
        name = wanted.name if isinstance(wanted, Named) else str(wanted.address)
        which = (type(wanted), name)
        with self._changed:
            if self._settings.server is None:
                return
            if which not in self._waiting and len(self._waiting) >= MOST_WAITING:
                self._drop()
                return
            self._waiting[which] = wanted
            self._changed.notify()

    def stop(self, patience: float) -> None:
        """Begin nothing more; what runs has *patience* seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self.is_alive():
            self.join(patience)

    def idle(self) -> bool:
        """Whether nothing is left to be told, or is being told."""
        with self._changed:
            return not self._waiting and not self._at_work

    def _drop(self) -> None:
        if self.counts["dropped"] % 1000 == 0:
            log.warn("updates of DNS are lost: {most} wait already", most=MOST_WAITING)
        self.counts["dropped"] += 1

    # -- in the thread -------------------------------------------------------------------------

    def run(self) -> None:
        """One after another, until stopped."""
        pause = 0.0
        while (next_one := self._next(pause)) is not None:
            which, wanted, settings = next_one
            try:
                self._tell(wanted, settings)
            except Unwanted as problem:
                pause = self._unwanted(which, wanted, str(problem))
            except Away as problem:
                pause = self._away(which, wanted, problem, pause)
            except Exception:  # the thread must go on whatever a server sends
                log.failure("an update of DNS failed")
                self.counts["failed"] += 1
                pause = _FIRST_PAUSE_S
            else:
                self._tries.pop(which, None)
                self.counts["done"] += 1
                pause = 0.0
                self._say("")

    def _next(self, pause: float) -> tuple[tuple[type, str], Wanted, Ddns] | None:
        with self._changed:
            self._at_work = False
            if pause:
                self._changed.wait_for(lambda: self._stopping or self._renewed, pause)
            self._renewed = False
            self._changed.wait_for(lambda: self._stopping or bool(self._waiting))
            if self._stopping:
                return None
            which, wanted = self._waiting.popitem(last=False)
            self._at_work = True
            return which, wanted, self._settings

    def _again(self, which: tuple[type, str], wanted: Wanted, *, last: bool) -> None:
        """Unless something newer is wanted by now."""
        with self._changed:
            if which not in self._waiting and self._settings.server is not None:
                self._waiting[which] = wanted
                self._waiting.move_to_end(which, last=last)

    def _away(
        self, which: tuple[type, str], wanted: Wanted, problem: Exception, pause: float
    ) -> float:
        """The server cannot be had: the same again after a while, which grows."""
        self._server = None  # its key may be another by then
        self._again(which, wanted, last=False)
        self._say(f"DNS updates: {printable(str(problem), 200)}")
        return min(max(pause * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    def _unwanted(self, which: tuple[type, str], wanted: Wanted, problem: str) -> float:
        """The server says no to this one: others first, and not for ever."""
        self._say(f"DNS updates: {problem}")
        tries = self._tries.pop(which, 0) + 1
        if tries >= _MOST_TRIES:
            self.counts["failed"] += 1
            log.warn("an update of DNS is given up: {problem}", problem=problem)
            return 0.0
        self._tries[which] = tries
        self._again(which, wanted, last=True)
        return min(_FIRST_PAUSE_S * 2.0**tries, _LONGEST_PAUSE_S) if self._alone() else 0.1

    def _alone(self) -> bool:
        """Whether all that waits was refused before."""
        with self._changed:
            return all(which in self._tries for which in self._waiting)

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._told()

    def _tell(self, wanted: Wanted, settings: Ddns) -> None:
        if self._server is None or self._server.settings is not settings:
            from netbootd.naming.nameserver import NameServer  # noqa: PLC0415  dnspython

            self._server = NameServer(settings)
        before = self._server.taken
        try:
            self._server.tell(wanted)
        finally:
            self.counts["taken"] += self._server.taken - before
