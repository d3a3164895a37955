"""
From events to boots: whose an event is, whether it begins another boot, and what it adds.

A machine is known by its key, which the registry gives for a card and what was heard of it (its
UUID in either byte order among that), so another card of a listed machine is the same machine.  Of
machines that are not listed, cards with one UUID are taken for one machine.  What comes without a
MAC belongs to whoever was last seen at the address.

::

    DISCOVER of firmware     begins a boot, unless it tries again          begins.goes_on
    DISCOVER of iPXE         goes on from its loader, or begins one
    a loader, a script       likewise; they begin one that is *hidden*
    anything else            belongs to the boot that is on, or to nothing

A script alone may have been looked at by somebody with a browser.  So a boot that begins with one
is hidden until something follows that only a machine does.

Everything is bounded, whatever comes over the wire: steps and notes (``steps``), boots in memory
(``shelf``), addresses and cards here.  Pure: time comes in as *now*, Unix seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from netbootd import loaders, urls
from netbootd.boots.begins import AGAIN_S, FIRST, Sign, goes_on, has_script, is_over
from netbootd.boots.boot import Boot, Note, Outcome, Stage, Step
from netbootd.boots.notes import is_probe, note_of
from netbootd.boots.shelf import Shelf
from netbootd.boots.steps import MOST_PATH, MOST_TEXT, entered, find, noted, put
from netbootd.events.event import (
    Event,
    Held,
    Loaderless,
    Looped,
    NodeScripted,
    Offered,
    Refused,
    Reported,
    Restyled,
    Scripted,
    Served,
    Silent,
    TransferEnded,
    TransferFailed,
    Transferred,
    Unreadable,
    Unserved,
)
from netbootd.events.progress import Started
from netbootd.events.witness import NotNetboot, Overheard, Requested
from netbootd.mac import MAC

_MOST_ADDRESSES = 16384
_MOST_UUIDS = 8192
_MOST_CARDS = 8
_MOST_HIDDEN = 1024
_IPXE = "iPXE"
_HTTP = "HTTP"
_TFTP = "TFTP"
_FIRST = "first"
_NOTICES = frozenset({"held", "unknown", "subnet", "broken"})


class Who(NamedTuple):
    """The machine of a card: its *key*, whether it is listed, and its UUID in one spelling."""

    key: str
    known: bool = True
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """
    What is asked of the registry and the record.

    *who*: whose card it is.  *stage_of*: what a path is to the boot of a target (``type/name``).
    *reports*: whether that target tells its end.  *looks_on*: whether an address is not the
    machine's of that card, as somebody's with a browser.  *number*: the next boot's.
    """

    who: Callable[[MAC], Who]
    stage_of: Callable[[str, str, MAC | None], Stage]
    reports: Callable[[str], bool]
    looks_on: Callable[[MAC, str], bool]
    number: Callable[[], int]


class _At(NamedTuple):
    key: str
    mac: str


@dataclass(slots=True)
class _Turn:
    """One event, whose it is, and when."""

    event: Any
    now: float
    generation: int
    key: str
    mac: str
    known: bool = True
    uuid: str = ""

    def step(self, stage: Stage, **more: Any) -> Step:
        """A sign of *stage*."""
        return Step(
            stage=stage,
            at=more.pop("at", self.now),
            until=self.now,
            mac=self.mac,
            peer=self.event.peer,
            interface=getattr(self.event, "interface", ""),
            generation=self.generation,
            **more,
        )


class Follower:
    """Told of every event; tells which boots have changed."""

    def __init__(self, outside: Outside) -> None:
        self.shelf = Shelf()
        self._outside = outside
        self._hidden: OrderedDict[str, Boot] = OrderedDict()
        self._at: OrderedDict[str, _At] = OrderedDict()
        self._by_uuid: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    # -- who -----------------------------------------------------------------------------------

    def at(self, peer: str) -> tuple[str, str, int]:
        """Key, card and number of the boot of whoever has the address *peer*; empty and 0."""
        found = self._at.get(peer)
        if found is None:
            return "", "", 0
        boot = self.shelf.latest.get(found.key)
        return found.key, found.mac, boot.number if boot else 0

    def remember(self, boot: Boot) -> None:
        """*boot* was read from disk; newest first."""
        self.shelf.fill(boot)
        if boot.peer and boot.peer not in self._at and boot.macs:
            self._at[boot.peer] = _At(boot.key, boot.macs[-1])

    def rename(self, old: str, new: str) -> list[Boot]:
        """The machine *old* is called *new* now; its boots, which have changed."""
        moved = [replace(boot, key=new) for boot in self.shelf.rename(old, new)]
        for boot in sorted([*moved, *self.shelf.rename(new, "")], key=lambda one: one.number):
            self.shelf.put(replace(boot, key=new))
        for peer, at in self._at.items():
            if at.key == old:
                self._at[peer] = at._replace(key=new)
        return moved

    def _turn(self, event: Event, now: float, generation: int) -> _Turn | None:
        if event.mac is not None:
            who = self._outside.who(event.mac)
            key = who.key if who.known else self._by_its_uuid(who)
            return _Turn(event, now, generation, key, str(event.mac), who.known, who.uuid)
        at = self._at.get(event.peer)
        if at is None:
            return None
        mac = MAC.maybe(at.mac)
        known = self._outside.who(mac).known if mac else True
        return _Turn(event, now, generation, at.key, at.mac, known)

    def _by_its_uuid(self, who: Who) -> str:
        """The key of a machine that is not listed: that of the card which said its UUID first."""
        if not who.uuid:
            return who.key
        cards = self._by_uuid.get(who.uuid, ())
        if who.key not in cards:
            cards = (*cards, who.key)[: _MOST_CARDS + 1]
            self._by_uuid[who.uuid] = cards
            if len(self._by_uuid) > _MOST_UUIDS:
                self._by_uuid.popitem(last=False)
        # Boards that share one are many, cards of a machine few.
        return who.key if len(cards) > _MOST_CARDS else cards[0]

    def _learn(self, peer: str, turn: _Turn) -> None:
        if peer and peer != "0.0.0.0":
            self._at[peer] = _At(turn.key, turn.mac)
            self._at.move_to_end(peer)
            if len(self._at) > _MOST_ADDRESSES:
                self._at.popitem(last=False)

    # -- the fold ------------------------------------------------------------------------------

    def notice(self, event: Event, now: float, generation: int) -> list[Boot]:
        """Take *event* in, served by the registry of *generation*; the boots that changed."""
        act = _ACTS.get(type(event))
        turn = self._turn(event, now, generation) if act else None
        if act is None or turn is None:
            return []
        return act(self, turn)

    def note(self, key: str, note: Note) -> list[Boot]:
        """Add *note* to the boot that *key* is in."""
        boot = self.shelf.latest.get(key)
        if boot is None:
            return []
        changed = replace(boot, notes=noted(boot.notes, note))
        self.shelf.put(changed)
        return [changed]

    def complete(self, key: str, now: float) -> list[Boot]:
        """The boot that *key* is in is done, as far as can be seen: its target never tells."""
        boot = self.shelf.latest.get(key)
        if boot is None or is_over(boot) or not has_script(boot):
            return []
        done = Step(stage=Stage.DONE, at=now, until=now, note="all that it fetches was served")
        steps = entered(boot.steps, done)
        changed = replace(boot, steps=steps, outcome=Outcome.DONE, last=now)
        self.shelf.put(changed)
        return [changed]

    def _current(self, turn: _Turn, sign: Sign = Sign.LATER, *, note: str = "") -> Boot | None:
        """The boot that is on and that *sign* belongs to."""
        for boots in (self._hidden, self.shelf.latest):
            boot = boots.get(turn.key)
            if boot is not None and goes_on(boot, sign, turn.now, mac=turn.mac, note=note):
                return boot
        return None

    def _boot(self, turn: _Turn, sign: Sign, *, note: str = "") -> Boot:
        """Likewise, or a new one."""
        return self._current(turn, sign, note=note) or _new(turn)

    def _keep(
        self,
        boot: Boot,
        turn: _Turn,
        *,
        hidden: bool = False,
        last: float | None = None,
        **more: Any,
    ) -> list[Boot]:
        """*boot* with *more* changed; what has changed for others."""
        macs = boot.macs
        if turn.mac and turn.mac not in macs and len(macs) < _MOST_CARDS:
            macs = (*macs, turn.mac)
        changed = replace(
            boot,
            macs=macs,
            uuid=turn.uuid or boot.uuid,
            generation=turn.generation,
            last=max(boot.last, turn.now if last is None else last),
            **more,
        )
        if changed.number:
            self.shelf.put(changed, known=turn.known)
            return [changed]
        if hidden:
            self._hide(changed)
            return []
        self._hidden.pop(turn.key, None)
        return [*self._shown(changed, turn)]

    def _hide(self, boot: Boot) -> None:
        self._hidden[boot.key] = boot
        self._hidden.move_to_end(boot.key)
        if len(self._hidden) > _MOST_HIDDEN:
            self._hidden.popitem(last=False)

    def _shown(self, boot: Boot, turn: _Turn) -> list[Boot]:
        """A boot that is new; the one before it is over."""
        changed = []
        before = self.shelf.latest.get(turn.key)
        if before is not None and self._began_anew(before, boot.began):
            before = replace(before, outcome=Outcome.AGAIN)
            self.shelf.put(before, known=turn.known)
            changed.append(before)
        new = replace(boot, number=self._outside.number())
        self.shelf.put(new, known=turn.known)
        return [*changed, new]

    def _began_anew(self, before: Boot, now: float) -> bool:
        if before.outcome is not Outcome.OPEN or not before.steps:
            return False
        if has_script(before) and not self._outside.reports(before.target):
            return False
        return now - before.last < AGAIN_S or has_script(before)

    # -- DHCP ----------------------------------------------------------------------------------

    def _offered(self, turn: _Turn) -> list[Boot]:
        event: Offered = turn.event
        by_ipxe = event.stage == _IPXE and not _is_loader(event.file)
        sign = Sign.IPXE if by_ipxe else Sign.FIRMWARE
        boot = self._boot(turn, sign, note=event.arch)
        note, path = event.style or event.message, event.file[:MOST_PATH]
        steps = boot.steps
        if event.message == "acknowledged" and not by_ipxe:
            steps = entered(steps, turn.step(Stage.BOOT_SERVER, path=path))
        else:
            first = Stage.IPXE_DISCOVER if by_ipxe else Stage.DISCOVER
            second = Stage.IPXE_OFFER if by_ipxe else Stage.OFFER
            if event.message == "offered":
                steps = entered(steps, turn.step(first, note=event.arch, protocol="DHCP"))
            steps = entered(steps, turn.step(second, path=path, note=note, protocol="DHCP"))
        return self._keep(
            boot,
            turn,
            steps=steps,
            notes=_with_note(boot, turn),
            arch=event.arch if not by_ipxe or not boot.arch else boot.arch,
            target=event.target or boot.target,
        )

    def _unserved(self, turn: _Turn) -> list[Boot]:
        event: Unserved = turn.event
        if event.protocol != "DHCP":
            return self._beside(turn)
        by_ipxe = event.stage == _IPXE
        boot = self._boot(turn, Sign.IPXE if by_ipxe else Sign.FIRMWARE)
        stage = Stage.IPXE_DISCOVER if by_ipxe else Stage.DISCOVER
        steps = entered(boot.steps, turn.step(stage, note="", protocol="DHCP"))
        target = event.target or boot.target
        return self._keep(boot, turn, steps=steps, notes=_with_note(boot, turn), target=target)

    def _requested(self, turn: _Turn) -> list[Boot]:
        event: Requested = turn.event
        if turn.key not in self.shelf.latest and turn.key not in self._hidden:
            return []
        self._learn(event.address, turn)
        if not event.netboot:
            return self._system(turn)
        return self._beside(turn, peer=event.address)

    def _overheard(self, turn: _Turn) -> list[Boot]:
        event: Overheard = turn.event
        if turn.key not in self.shelf.latest and turn.key not in self._hidden:
            return []
        if event.message == "ack":
            self._learn(event.address, turn)
        return self._beside(turn, peer=event.address if event.message == "ack" else "")

    def _not_netboot(self, turn: _Turn) -> list[Boot]:
        known = turn.key in self.shelf.latest or turn.key in self._hidden
        if not known and turn.known:
            new = _new(turn)
            return self._keep(new, turn, notes=_with_note(new, turn))
        return self._system(turn) if known else []

    def _system(self, turn: _Turn) -> list[Boot]:
        """A DHCP client that is neither firmware nor iPXE: what was booted, or another system."""
        boot = self._current(turn)
        if boot is None or not has_script(boot):
            return self._beside(turn)
        vendor = getattr(turn.event, "vendor_class", "")[:MOST_PATH]
        steps = entered(boot.steps, turn.step(Stage.SYSTEM, note=vendor, protocol="DHCP"))
        return self._keep(boot, turn, steps=steps)

    # -- scripts -------------------------------------------------------------------------------

    def _scripted(self, turn: _Turn) -> list[Boot]:
        event: Scripted = turn.event
        if event.mac is not None and self._outside.looks_on(event.mac, event.peer):
            return []
        boot = self._boot(turn, Sign.SCRIPT)
        first = event.code == _FIRST or (event.mac is None and not event.code)
        self._learn(event.peer, turn)
        said = event.says[:MOST_TEXT]
        step = turn.step(
            Stage.SCRIPT,
            path=event.path[:MOST_PATH],
            note=FIRST if first else said,
            trouble=said if event.code in _NOTICES else "",
        )
        return self._keep(
            boot,
            turn,
            hidden=not boot.steps or boot.key in self._hidden,
            steps=entered(boot.steps, step),
            peer=event.peer,
            target=event.target or boot.target,
            memory=event.memory or boot.memory,
        )

    def _held(self, turn: _Turn) -> list[Boot]:
        """Its console shows why; or it was held for a loader that it fetched again and again."""
        shown = self._scripted(turn) if turn.event.code else []
        return self._beside(turn) or shown

    def _node_scripted(self, turn: _Turn) -> list[Boot]:
        boot = self._current(turn)
        if boot is None or not has_script(boot):
            return []
        self._learn(turn.event.peer, turn)
        step = turn.step(Stage.NODE_SCRIPT, note=turn.event.says[:MOST_TEXT], protocol=_HTTP)
        return self._keep(boot, turn, steps=entered(boot.steps, step), peer=turn.event.peer)

    def _reported(self, turn: _Turn) -> list[Boot]:
        """The boot that has got a script; a machine may have begun another already."""
        event: Reported = turn.event
        boots = [self._hidden.get(turn.key), *self.shelf.recent(turn.key)]
        boot = next((one for one in boots if one and has_script(one)), None)
        if boot is None or (event.outcome == "overdue" and boot.outcome is not Outcome.OPEN):
            return []
        notes = _with_note(boot, turn)
        if event.outcome == "overdue":
            return self._keep(boot, turn, notes=notes, outcome=Outcome.OVERDUE, last=boot.last)
        good = event.outcome == "done"
        said = event.status if good else (event.output.strip().rpartition("\n")[2] or event.status)
        step = turn.step(
            Stage.DONE if good else Stage.FAILED,
            note=said[:MOST_TEXT],
            trouble="" if good else said[:MOST_TEXT] or "failed",
            protocol=_HTTP,
        )
        outcome = Outcome.DONE if good else Outcome.FAILED
        steps = entered(boot.steps, step)
        return self._keep(boot, turn, steps=steps, notes=notes, outcome=outcome)

    # -- bytes ---------------------------------------------------------------------------------

    def _fetching(self, turn: _Turn) -> tuple[Boot | None, Step, bool]:
        """The boot that fetches, what it fetches as a step, and whether it is to be hidden."""
        event = turn.event
        path = event.path[:MOST_PATH]
        stage = self._stage(turn, path)
        protocol = getattr(event, "protocol", _HTTP if isinstance(event, Served) else _TFTP)
        if stage is not Stage.LOADER:
            boot = self._current(turn)
            hidden = stage is Stage.SCRIPT
        else:
            boot = self._boot(turn, Sign.LOADER)
            hidden = protocol == _HTTP and not boot.steps
        if boot is not None and protocol == _TFTP:
            self._learn(event.peer, turn)
        return boot, turn.step(stage, path=path, protocol=protocol), hidden

    def _stage(self, turn: _Turn, path: str) -> Stage:
        """What *path* is to the boot that is on; what was offered is a loader by any name."""
        boot = self._hidden.get(turn.key) or self.shelf.latest.get(turn.key)
        target = boot.target if boot and boot.target else turn.event.target
        stage = self._outside.stage_of(path, target, turn.event.mac)
        if boot is None or stage is not Stage.FILES:
            return stage
        offer = boot.step(Stage.OFFER)
        if offer is not None and not has_script(boot) and _name(offer.path) == _name(path):
            return Stage.LOADER
        return stage

    def _started(self, turn: _Turn) -> list[Boot]:
        boot, step, hidden = self._fetching(turn)
        if boot is None:
            return []
        number = find(boot.steps, step)
        size = turn.event.size
        if number < 0:
            times = 0 if step.stage is Stage.FILES else 1
            steps = entered(boot.steps, replace(step, open=True, size=size, times=times))
        else:
            old = boot.steps[number]
            probed = not (old.sent or old.trouble or old.open)  # the size alone was asked before
            counted = old.times + (step.stage not in (Stage.FILES, Stage.SCRIPT) and not probed)
            again = replace(old, open=True, until=turn.now, times=counted, size=size or old.size)
            steps = put(boot.steps, number, again)
        return self._keep(boot, turn, hidden=hidden, steps=steps)

    def _transferred(self, turn: _Turn) -> list[Boot]:
        event: Transferred = turn.event
        return self._ended(turn, event.size, event.size, event.seconds)

    def _served(self, turn: _Turn) -> list[Boot]:
        event: Served = turn.event
        missing = event.sent < event.count
        trouble = (event.problem or "the client went away") if missing else ""
        part = event.first > 0 or event.count < event.size
        return self._ended(turn, event.size, event.sent, event.seconds, trouble, part=part)

    def _transfer_ended(self, turn: _Turn) -> list[Boot]:
        event: TransferEnded = turn.event
        trouble = "" if is_probe(event) else event.reason[:MOST_TEXT]
        return self._ended(turn, event.size, event.acked, event.seconds, trouble)

    def _ended(
        self,
        turn: _Turn,
        size: int,
        sent: int,
        seconds: float,
        trouble: str = "",
        *,
        part: bool = False,
    ) -> list[Boot]:
        """Bytes have gone: *sent* of a file of *size*, within *seconds*; *part* of it was asked."""
        boot, step, hidden = self._fetching(turn)
        if boot is None:
            return []
        step = replace(step, size=size, sent=sent, trouble=trouble, at=turn.now - seconds)
        number = find(boot.steps, step)
        if number < 0:
            steps = entered(boot.steps, step)
        else:
            steps = put(boot.steps, number, _more(boot.steps[number], step, part=part))
        peer = turn.event.peer if step.protocol == _TFTP else boot.peer or turn.event.peer
        notes = _with_note(boot, turn)
        return self._keep(boot, turn, hidden=hidden, steps=steps, notes=notes, peer=peer)

    # -- beside --------------------------------------------------------------------------------

    def _beside(self, turn: _Turn, peer: str = "") -> list[Boot]:
        """A note for the boot that is on."""
        boot = self._current(turn)
        if boot is None:
            return []
        hidden = boot.number == 0
        notes = _with_note(boot, turn)
        return self._keep(boot, turn, hidden=hidden, notes=notes, peer=peer or boot.peer)


def _more(step: Step, sign: Step, *, part: bool) -> Step:
    """*step* after *sign*, more bytes of the same."""
    several = step.stage is Stage.FILES
    counts = several or (not step.open and step.stage is not Stage.SCRIPT)
    size = step.size + sign.sent if several else sign.size or step.size
    sent = step.sent + sign.sent if several or part else sign.sent
    return replace(
        step,
        at=min(step.at, sign.at) if step.times <= 1 else step.at,
        until=sign.until,
        times=step.times + counts,
        path=sign.path,
        size=size,
        sent=sent if several else min(sent, size) if size else sent,
        open=False,
        trouble=sign.trouble,
        peer=sign.peer or step.peer,
        protocol=sign.protocol,
        generation=sign.generation,
    )


def _new(turn: _Turn) -> Boot:
    """A boot that is not shown yet, so it has no number."""
    return Boot(number=0, key=turn.key, began=turn.now, last=turn.now)


def _with_note(boot: Boot, turn: _Turn) -> tuple[Note, ...]:
    note = note_of(turn.event, turn.now)
    return noted(boot.notes, note) if note else boot.notes


def _name(path: str) -> str:
    name = path.replace("\\", "/").rpartition("/")[2]
    return urls.ALIASES.get(name, name)


def _is_loader(file: str) -> bool:
    """Whether an offer names a loader: what iPXE is given to be replaced by."""
    return _name(file) in loaders.SCRIPTED or "://" not in file


_Act = Callable[[Follower, _Turn], list[Boot]]
_ACTS: Mapping[type[Event], _Act] = {
    Offered: Follower._offered,
    Unserved: Follower._unserved,
    Loaderless: Follower._unserved,
    Requested: Follower._requested,
    Overheard: Follower._overheard,
    NotNetboot: Follower._not_netboot,
    Scripted: Follower._scripted,
    Held: Follower._held,
    NodeScripted: Follower._node_scripted,
    Reported: Follower._reported,
    Started: Follower._started,
    Transferred: Follower._transferred,
    TransferEnded: Follower._transfer_ended,
    TransferFailed: Follower._transfer_ended,
    Served: Follower._served,
    **dict.fromkeys((Refused, Unreadable, Restyled, Looped, Silent), Follower._beside),
}
