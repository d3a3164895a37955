"""
Answers of the proxy that were given before, to be given again.

An answer is a pure function of the request and how it came, of the registry, and of what is
recorded of its sender.  So it is kept under the first of these, with the rest beside it as the very
objects that it was made of: they are values that never change, and what replaces one is another
object.  Whoever repeats itself while they are all still there is told the same again, with its xid
laid in; anything else is decided anew, by the same path as the first time.  In a storm most ask
once, so an answer is kept when it is given for the second time.

Not kept is what depends on the clock: a boot that is armed, until some time; how often lately a
target was begun; an iPXE that was replaced a moment ago.  The one exception is the reply style,
which a DISCOVER some seconds later changes: there the clock is looked at.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

from netbootd.boot.client import Stage
from netbootd.dhcp.booting import Known
from netbootd.dhcp.destination import Destination, Endpoint
from netbootd.dhcp.listeners import Listener
from netbootd.dhcp.memory import Memory, Sighting
from netbootd.dhcp.proxy import Answer
from netbootd.dhcp.snoop import Heard
from netbootd.events.event import Event, Restyled
from netbootd.interfaces import Interface
from netbootd.mac import MAC
from netbootd.record.standing import Standing
from netbootd.record.styles import Chosen, Offer, Past, Tried, Worked, choose
from netbootd.registry.live import LiveRegistry
from netbootd.registry.marks import Marks
from netbootd.registry.snapshot import Registry

#: Answers that are kept for machines that are listed, of some 4 KB each; the one kept first goes
#: first.  Strangers, who may make up any number of MACs, have room for a quarter of that.
MOST = 8192
#: Of one machine: its firmware says two or three things, its iPXE two more.  Whoever makes up more
#: throws out its own.
_MOST_OF_ONE = 8
_LONGEST = 1024  # bytes of a request; EDK2's have 347 to 590, iPXE's less
_XID, _FLAGS = slice(4, 8), 10  # of a message; between them are the seconds
_MOST_ASKED = 8192  # requests that may be asked again, of which no more than this is known
_MOST_STYLES = 8  # and reasons for them, in which one request was answered

#: What was said, without what makes no difference; from where, to which address of ours, by what.
Key = tuple[bytes, Endpoint, int, Listener]


class Told(NamedTuple):
    """
    An answer as it leaves: a *datagram* with somebody's xid, from *ours*, *to* where; the *event*
    of it, and *restyled* before that, where its style is a new one.

    *asked* and *replied* are message types.  *offer* is what to remember of the style, *chosen* how
    that was chosen; each is None for nothing.
    """

    datagram: bytes
    ours: IPv4Address
    to: Destination
    event: Event
    asked: int | None
    replied: int | None
    restyled: Restyled | None = None
    offer: Offer | None = None
    chosen: Chosen | None = None

    def under(self, request: bytes) -> bytes:
        """The datagram for *request*, which may have another xid."""
        return self.datagram[: _XID.start] + request[_XID] + self.datagram[_XID.stop :]


class Whose(NamedTuple):
    """
    To whom something is told: the card *mac* of the machine whose key is *machine*.  It has said
    what is in *marks*, and in its last packet what *sighting* tells; *standing* is remembered.
    """

    mac: MAC
    machine: str
    sighting: Sighting | None
    marks: Marks
    standing: Standing


class Kin(NamedTuple):
    """
    The *kind* of firmware of which styles are learned, by its key, and the *order* in which these
    are tried; that is empty where their past does not count.
    """

    kind: str
    order: tuple[str, ...]

    @classmethod
    def of(cls, answer: Answer) -> Kin:
        """That of whom *answer* is for."""
        kind = answer.kind.key if answer.kind else ""
        return cls(kind, answer.choice.order if answer.choice else ())


class _Kept(NamedTuple):
    """What one request was told, and all that this was made of."""

    interface: Interface
    whose: Whose
    kin: Kin
    told: dict[Chosen | None, Told]
    latest: list[_Latest]


class _Latest(NamedTuple):
    """What the past of styles was when this was *told*."""

    tried: Tried | None
    worked: Worked | None
    told: Told


class _Store:
    """*kept* answers by their requests, *most* at a time."""

    def __init__(self, most: int) -> None:
        self.kept: dict[Key, _Kept] = {}
        self._most = most
        self._of: dict[MAC, list[Key]] = {}  # the keys of each machine, the oldest first

    def put(self, key: Key, kept: _Kept) -> None:
        if key not in self.kept:
            of_one = self._of.setdefault(kept.whose.mac, [])
            of_one.append(key)
            if len(of_one) > _MOST_OF_ONE:
                del self.kept[of_one.pop(0)]
        self.kept[key] = kept
        if len(self.kept) > self._most:
            self._drop_oldest()

    def clear(self) -> None:
        self.kept.clear()
        self._of.clear()

    def _drop_oldest(self) -> None:
        key = next(iter(self.kept))
        mac = self.kept.pop(key).whose.mac
        of_one = self._of[mac]
        of_one.remove(key)
        if not of_one:
            del self._of[mac]


class Keeping:
    """One for all interfaces; *most* answers are kept at a time for machines that are listed."""

    def __init__(self, live: LiveRegistry, memory: Memory, most: int = MOST) -> None:
        self._live = live
        self._memory = memory
        self._most = most
        self._registry: Registry | None = None
        self._listed = _Store(most)
        self._strangers = _Store(max(1, most // 4))
        self._asked: set[int] = set()  # hashes: one too many does no harm

    def __len__(self) -> int:
        """How many requests there are answers to."""
        return len(self._listed.kept) + len(self._strangers.kept)

    def find(self, key: Key, to: Listener, registry: Registry) -> Told | None:
        """What is to be told again to what *to* heard, as *key*; None: it must be decided."""
        if registry is not self._registry:
            self._listed.clear()
            self._strangers.clear()
            self._registry = registry
        kept = self._listed.kept.get(key) or self._strangers.kept.get(key)
        if kept is None or not self._holds(kept, to):
            return None
        return self._in_style(kept) if kept.kin.order else kept.told[None]

    def _holds(self, kept: _Kept, to: Listener) -> bool:
        """Whether all is still there that it was made of."""
        live = self._live
        mac, machine, sighting, marks, standing = kept.whose
        return (
            kept.interface is to.interface
            and marks == self._memory.note(sighting, mac)
            and standing is live.record.of(machine)
            and not live.replacements.knows(mac)
        )

    def _in_style(self, kept: _Kept) -> Told | None:
        """In the style that is due now; None for one that was not told before."""
        styles, latest = self._live.styles, kept.latest[0]
        kind, order = kept.kin
        tried, worked, now = styles.tried(kept.whose.mac), styles.kinds.get(kind), styles.now()
        failed = tried is not None and tried.failed(now)
        if tried is latest.tried and worked is latest.worked and not failed:
            return latest.told
        told = kept.told.get(choose(order, Past(tried, worked, now)))
        if told is not None:
            kept.latest[0] = _Latest(tried, worked, told)
        return told

    def keep(
        self,
        key: Key,
        to: Listener,
        seen: tuple[Sighting | None, Marks, Known],
        answer: Answer,
        told: Told,
    ) -> None:
        """
        Keep what is *told* to what *to* heard, as *key*, where it may be told again and not for the
        first time; *seen* is what else *answer* was made of.

        To be called before anybody hears of it, since that may change what is recorded.
        """
        mac, machine = answer.client.mac, answer.decision.machine
        sighting, marks, known = seen
        if mac is None or machine is None:
            return
        standing = known.standing(machine.key)
        if not _passes(answer, standing):
            whose = Whose(mac, machine.key, sighting, marks, standing)
            self.put(key, to, whose, Kin.of(answer), told)

    def put(self, key: Key, to: Listener, whose: Whose, kin: Kin, told: Told) -> None:
        """As ``keep``, where the answer is known not to pass with time."""
        if not self._most or len(key[0]) > _LONGEST or not self._asked_before(key):
            return
        if self._live.replacements.knows(whose.mac):
            return
        styles = self._live.styles
        registry = self._registry
        listed = registry is not None and whose.mac in registry.machines
        store = self._listed if listed else self._strangers
        kept = store.kept.get(key)
        if kept is None or not self._holds(kept, to) or len(kept.told) >= _MOST_STYLES:
            kept = _Kept(to.interface, whose, kin, {}, [])
            store.put(key, kept)
        kept.told[told.chosen] = told
        latest = _Latest(styles.tried(whose.mac), styles.kinds.get(kin.kind), told)
        kept.latest[:] = [latest]

    def _asked_before(self, key: Key) -> bool:
        """Whether the request *key* comes again; by the next time it does."""
        mark, asked = hash(key), self._asked
        if mark in asked:
            return True
        if len(asked) >= _MOST_ASKED:
            asked.clear()
        asked.add(mark)
        return False


def key_of(heard: Heard, to: Listener) -> Key:
    """What *to* heard, as answers to it are kept."""
    payload, source, addressed = heard
    said = payload[: _XID.start] + payload[_FLAGS:]
    return said, source, -1 if addressed is None else int(addressed), to


def _passes(answer: Answer, standing: Standing) -> bool:
    """Whether the *answer* may be another one after some time."""
    begun = answer.client.stage is Stage.IPXE and standing.attempts
    return standing.armed is not None or bool(begun)
