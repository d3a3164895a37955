"""
What the ports have in common: a message comes in, and a line of the log comes of it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

from netbootd.boots.boot import Code, Note
from netbootd.logbook import trouble
from netbootd.logbook.book import Logbook
from netbootd.logbook.filing import Filer
from netbootd.logbook.line import Line, Source
from netbootd.printable import printable
from netbootd.syslog import wire
from netbootd.syslog.lines import Arrival, line_of, own_mac
from netbootd.syslog.wire import Said

#: Seconds for which the reactor is kept at a time: boots wait for no longer than that.
TURN_S = 0.005
_MOST_NOTES = 20  # of one boot
_MOST_BOOTS = 4096
_MOST_UNKNOWN = 1024
_NOTE_TEXT = 300  # characters


class Inbox:
    """
    Files lines with *filer* and puts them into *book*; *noted* is told of console trouble, by the
    key of the machine.

    ``counts`` are the messages received, by how; ``unknown`` the lines of senders that are no
    machine we know.
    """

    def __init__(self, book: Logbook, filer: Filer, noted: Callable[[str, Note], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.unknown: OrderedDict[str, int] = OrderedDict()
        self._book = book
        self._filer = filer
        self._noted = noted
        self._notes: OrderedDict[tuple[str, int], int] = OrderedDict()

    @property
    def is_high(self) -> bool:
        """Whether a sender that can wait should be made to."""
        return self._book.is_high

    def take(self, message: bytes, peer: str, port: int, received: float) -> None:
        """A syslog *message*."""
        self.keep(wire.read(message), Arrival(Source.SYSLOG, peer, port, received))

    def keep(self, said: Said, arrival: Arrival) -> None:
        """What it says becomes a line."""
        filed = self._filer.of(arrival.peer, own_mac(said), said.host_name)
        kind = trouble.kind_of(said.text)
        line = line_of(said, arrival, filed, troubled=bool(kind))
        self._book.put(line)
        if not line.filing.key:
            self._count_unknown(arrival.peer)
        elif kind:
            self._note(line, kind)

    def _count_unknown(self, peer: str) -> None:
        self.unknown[peer] = self.unknown.get(peer, 0) + 1
        if len(self.unknown) > _MOST_UNKNOWN:
            self.unknown.popitem(last=False)

    def _note(self, line: Line, kind: str) -> None:
        """Tell of trouble; a machine that repeats itself is not heard for ever."""
        boot = (line.filing.key, line.filing.boot)
        times = self._notes[boot] = self._notes.get(boot, 0) + 1
        if len(self._notes) > _MOST_BOOTS:
            self._notes.popitem(last=False)
        if times > _MOST_NOTES:
            return
        note = Note(
            code=Code.CONSOLE,
            at=line.received,
            until=line.received,
            text=printable(line.text, _NOTE_TEXT),
            data={"kind": kind, "app": printable(line.app, 64), "source": line.source.value},
        )
        self._noted(line.filing.key, note)
