"""
From events to boots: whether an event begins another boot of its machine, and what it adds to it.

::

    DISCOVER of firmware     begins a boot, unless it tries again          begins.goes_on
    DISCOVER of iPXE         goes on from its loader, or begins one
    a loader, a script       likewise; they may begin one that is hidden   attempts
    an address of ours       to the boot that is on, or to the one that its DISCOVER begins
    anything else            belongs to the boot that is on, or to nothing

Everything is bounded, whatever comes over the wire: steps and notes (``steps``), boots in memory
(``shelf``, ``attempts``), cards and addresses (``identity``).  Pure: time comes in as *now*, Unix
seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netbootd import loaders, urls
from netbootd.boots.altered import altered
from netbootd.boots.attempts import Attempts
from netbootd.boots.begins import FIRST, Sign, has_script, is_over, progress, renews
from netbootd.boots.boot import Boot, Note, Outcome, Stage, Step
from netbootd.boots.fetching import broken_off, ended_of, is_anybodys, with_end, with_start
from netbootd.boots.identity import Identities
from netbootd.boots.shelf import Shelf
from netbootd.boots.steps import MOST_WORD, entered, noted
from netbootd.boots.turn import Outside, Turn
from netbootd.events.event import (
    Claimed,
    Contested,
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
    Waits,
)
from netbootd.events.lease import (
    AddressInUse,
    ForeignServer,
    Leased,
    LeaseOffered,
    Naked,
    NoAddress,
)
from netbootd.events.progress import Started
from netbootd.events.witness import NotNetboot, Overheard, Requested

_IPXE = "iPXE"
_DHCP, _TFTP, _HTTP = "DHCP", "TFTP", "HTTP"
_ACKNOWLEDGED = "acknowledged"
_ACK = "ack"
_OVERDUE = "overdue"
#: What ``Scripted.code`` says of a script that boots nothing: it says why.
_FIRST = "first"
_LOADED = frozenset({Stage.KERNEL, Stage.INITRD})
#: Ways to get a lease (``Leased.how``) that a boot never takes.
_KEPT = ("renewed", "rebound")
#: Seconds that an offer of an address waits for its REQUEST.
_OFFERED_S = 60.0
_OFFERS = frozenset({Stage.OFFER, Stage.IPXE_OFFER})
_LOADING = frozenset({Stage.LOADER, Stage.IPXE_DISCOVER, Stage.IPXE_OFFER})
_NOTICES = frozenset({"held", "unknown", "subnet", "secret", "broken"})


class Follower:
    """Told of every event; tells which boots have changed."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._identities = Identities(outside)
        self._attempts = Attempts(outside, self._identities)
        self._keep, self._current = self._attempts.keep, self._attempts.current

    @property
    def shelf(self) -> Shelf:
        """The boots in memory."""
        return self._attempts.shelf

    def notice(self, event: Event, now: float, generation: int, times: int = 1) -> list[Boot]:
        """
        Take *event* in, which happened *times*, served by the registry of *generation*; the boots
        that changed.
        """
        act = None if _is_idle(event) else _ACTS.get(type(event))
        turn = self._identities.turn(event, now, generation, times) if act else None
        return [] if act is None or turn is None else act(self, turn)

    def at(self, peer: str) -> tuple[str, str, int]:
        """Key, card and number of the boot of whoever has the address *peer*; empty and 0."""
        key, mac = self._identities.at(peer)
        boot = self.shelf.latest.get(key)
        return key, mac, boot.number if boot else 0

    def remember(self, boot: Boot) -> None:
        """*boot* was read from disk; newest first.  What was under way then has broken off."""
        self.shelf.fill(altered(boot, steps=broken_off(boot.steps)))
        self._identities.remember(boot)

    def rename(self, old: str, new: str) -> None:
        """The machine *old* is called *new* now."""
        self._attempts.rename(old, new)
        self._identities.rename(old, new)

    def note(self, key: str, note: Note) -> list[Boot]:
        """Add *note* to the boot that *key* is in, or was in last."""
        boot = self.shelf.latest.get(key)
        return self._attempts.put(altered(boot, notes=noted(boot.notes, note))) if boot else []

    def complete(self, key: str, now: float) -> list[Boot]:
        """The boot that *key* is in is done, as far as can be seen: its target never tells."""
        boot = self.shelf.latest.get(key)
        if boot is None or is_over(boot) or not has_script(boot):
            return []
        done = Step(stage=Stage.DONE, at=now, until=now, note="all that it fetches was served")
        steps = entered(boot.steps, done)
        return self._attempts.put(altered(boot, steps=steps, outcome=Outcome.DONE, last=now))

    def _boot(self, turn: Turn, sign: Sign, *, note: str = "") -> Boot:
        """The boot that *sign* belongs to, or a new one."""
        return self._current(turn, sign, note=note) or turn.new()

    def _is_known(self, turn: Turn) -> bool:
        """Whether anything was seen of the machine before."""
        return self._attempts.last(turn.key) is not None

    # -- DHCP ----------------------------------------------------------------------------------

    def _offered(self, turn: Turn) -> list[Boot]:
        """An iPXE that gets a loader stands where firmware does: ours takes its place."""
        event: Offered = turn.event
        by_ipxe = event.stage == _IPXE and not _is_loader(event.file)
        boot = self._boot(turn, Sign.IPXE if by_ipxe else Sign.FIRMWARE, note=event.arch)
        named: dict[str, Any] = {
            "path": event.file,
            "note": event.style or event.message,
            "protocol": _DHCP,
        }
        if event.message == _ACKNOWLEDGED and not by_ipxe and _is_of_boot_server(event):
            steps = entered(boot.steps, turn.step(Stage.BOOT_SERVER, **named))
        elif event.message == _ACKNOWLEDGED and boot.step(Stage.OFFER):
            steps = boot.steps  # our offer once more, with the address that it took
        else:
            asks = Stage.IPXE_DISCOVER if by_ipxe else Stage.DISCOVER
            steps = boot.steps
            if event.message != _ACKNOWLEDGED:
                steps = entered(steps, turn.step(asks, note=event.arch, protocol=_DHCP))
            offer = Stage.IPXE_OFFER if by_ipxe else Stage.OFFER
            steps = entered(steps, turn.step(offer, **named))
        return self._keep(
            boot,
            turn,
            steps=steps,
            notes=turn.noted(boot),
            arch=boot.arch if by_ipxe and boot.arch else event.arch[:MOST_WORD],
            target=event.target[:MOST_WORD] or boot.target,
        )

    def _unserved(self, turn: Turn) -> list[Boot]:
        event: Unserved = turn.event
        if event.protocol != _DHCP:
            return self._beside(turn)
        by_ipxe = event.stage == _IPXE
        boot = self._boot(turn, Sign.IPXE if by_ipxe else Sign.FIRMWARE, note=event.arch)
        stage = Stage.IPXE_DISCOVER if by_ipxe else Stage.DISCOVER
        steps = entered(boot.steps, turn.step(stage, note=event.arch, protocol=_DHCP))
        target = event.target[:MOST_WORD] or boot.target
        return self._keep(
            boot,
            turn,
            steps=steps,
            notes=turn.noted(boot),
            arch=boot.arch or event.arch[:MOST_WORD],
            target=target,
        )

    def _requested(self, turn: Turn) -> list[Boot]:
        event: Requested = turn.event
        if not self._is_known(turn):
            return []
        self._identities.claim(event.address, turn)
        return self._beside(turn, event.address) if event.netboot else self._system(turn)

    def _overheard(self, turn: Turn) -> list[Boot]:
        event: Overheard = turn.event
        if not self._is_known(turn):
            return []
        boot = self._current(turn)
        if boot is not None and renews(boot, turn.now):
            return []
        address = event.address if event.message == _ACK else ""
        self._identities.claim(address, turn)
        return self._beside(turn, address)

    # -- addresses of ours ---------------------------------------------------------------------

    def _lease_offered(self, turn: Turn) -> list[Boot]:
        """Of firmware or a loader: others are no news (``_is_idle``)."""
        return self._early(turn)

    def _leased(self, turn: Turn) -> list[Boot]:
        event: Leased = turn.event
        self._identities.learn(event.address, turn)
        if event.how in _KEPT:
            return []
        if event.netboot:
            return self._early(turn, event.address)
        if self._is_known(turn):
            return self._system(turn)
        if not turn.known:
            return []
        new = turn.new()
        return self._keep(new, turn, notes=turn.noted(new), peer=event.address)

    def _early(self, turn: Turn, peer: str = "") -> list[Boot]:
        """
        A note for the boot of a machine that asks for an address now.

        Its DISCOVER may not have been told of yet: then the boot waits for that, unseen.
        """
        boot = self._asking(turn)
        notes = turn.noted(boot)
        return self._keep(boot, turn, hidden=True, notes=notes, peer=peer or boot.peer)

    def _asking(self, turn: Turn) -> Boot:
        """
        The boot in which a machine asks for an address: that which was offered something a moment
        ago, be it to firmware or iPXE, else as for a DISCOVER of which nothing more is known.
        """
        last = self._attempts.last(turn.key)
        if last is not None and _was_offered(last, turn.now):
            return last
        found = self._current(turn, Sign.FIRMWARE) or self._current(turn, Sign.IPXE)
        return found or turn.new()

    def _denied(self, turn: Turn) -> list[Boot]:
        """No address: nothing else tells of its DISCOVER, unless its system asks."""
        boot = self._current(turn)
        if boot is not None and has_script(boot) and not renews(boot, turn.now):
            return self._beside(turn)
        if not (turn.known or self._is_known(turn)):
            return []
        boot = self._boot(turn, Sign.FIRMWARE)
        stage = Stage.IPXE_DISCOVER if progress(boot) in _LOADING else Stage.DISCOVER
        steps = entered(boot.steps, turn.step(stage, protocol=_DHCP))
        return self._keep(boot, turn, steps=steps, notes=turn.noted(boot))

    def _objected(self, turn: Turn) -> list[Boot]:
        """Something is wrong with an address: of the boot that is on, or that begins now."""
        boot = self._current(turn)
        if boot is not None and has_script(boot):
            return self._beside(turn)
        return self._early(turn) if turn.known or self._is_known(turn) else []

    def _not_netboot(self, turn: Turn) -> list[Boot]:
        if self._is_known(turn):
            return self._system(turn)
        if not turn.known:
            return []
        new = turn.new()
        return self._keep(new, turn, notes=turn.noted(new))

    def _system(self, turn: Turn) -> list[Boot]:
        """A DHCP client that is neither firmware nor iPXE: what was booted, or another system."""
        boot = self._current(turn)
        if boot is None or not has_script(boot):
            return self._beside(turn)
        if renews(boot, turn.now):
            return []
        vendor = getattr(turn.event, "vendor_class", "")
        steps = entered(boot.steps, turn.step(Stage.SYSTEM, note=vendor, protocol=_DHCP))
        peer = getattr(turn.event, "address", "") or boot.peer
        return self._keep(boot, turn, steps=steps, peer=peer)

    # -- scripts -------------------------------------------------------------------------------

    def _scripted(self, turn: Turn) -> list[Boot]:
        event: Scripted = turn.event
        if not event.surely and turn.card and self._outside.looks_on(turn.card, event.peer):
            return []
        boot = self._boot(turn, Sign.SCRIPT)
        step = turn.step(
            Stage.SCRIPT,
            path=event.path,
            note=FIRST if event.code == _FIRST else event.says,
            trouble=event.says if event.code in _NOTICES else "",
        )
        sure = event.surely or (boot.number > 0 and boot.peer in ("", event.peer))
        self._identities.learn(event.peer, turn, sure=sure)
        return self._keep(
            boot,
            turn,
            hidden=not event.surely,
            steps=entered(boot.steps, step),
            peer=event.peer if sure else boot.peer or event.peer,
            target=event.target[:MOST_WORD] or boot.target,
            memory=event.memory or boot.memory,
        )

    def _held(self, turn: Turn) -> list[Boot]:
        """Its console shows why; or it was held for a loader that it fetched again and again."""
        shown = self._scripted(turn) if turn.event.code else []
        return self._beside(turn) or shown

    def _node_scripted(self, turn: Turn) -> list[Boot]:
        event: NodeScripted = turn.event
        boot = self._current(turn)
        if boot is None or not has_script(boot):
            return []
        self._identities.learn(event.peer, turn, sure=boot.peer == event.peer)
        step = turn.step(Stage.NODE_SCRIPT, note=event.says, protocol=_HTTP)
        return self._keep(boot, turn, steps=entered(boot.steps, step))

    def _reported(self, turn: Turn) -> list[Boot]:
        event: Reported = turn.event
        boot = self._attempts.with_script(turn.key)
        if boot is None:
            return []
        notes = turn.noted(boot)
        if event.outcome == _OVERDUE:
            late = boot.number > 0 and boot.outcome is Outcome.OPEN
            return (
                self._attempts.put(altered(boot, notes=notes, outcome=Outcome.OVERDUE))
                if late
                else []
            )
        good = event.outcome == "done"
        said = event.status if good else (event.output.strip().rpartition("\n")[2] or event.status)
        step = turn.step(
            Stage.DONE if good else Stage.FAILED,
            note=said,
            trouble="" if good else said or "failed",
            protocol=_HTTP,
        )
        outcome = Outcome.DONE if good else Outcome.FAILED
        steps = entered(boot.steps, step)
        return self._keep(boot, turn, steps=steps, notes=notes, outcome=outcome)

    # -- bytes ---------------------------------------------------------------------------------

    def _started(self, turn: Turn) -> list[Boot]:
        event: Started = turn.event
        boot, sign, hidden = self._fetching(turn, event.protocol, open=True, size=event.size)
        if boot is None:
            return []
        steps = with_start(boot, sign)
        return self._keep(boot, turn, hidden=hidden, steps=steps, peer=_peer(boot, sign))

    def _ended(self, turn: Turn) -> list[Boot]:
        protocol = _HTTP if isinstance(turn.event, Served) else _TFTP
        size, sent, seconds, trouble, part = ended_of(turn.event)
        boot, sign, hidden = self._fetching(
            turn, protocol, size=size, sent=sent, seconds=seconds, trouble=trouble
        )
        if boot is None:
            return []
        steps = with_end(boot, sign, part=part)
        notes, peer = turn.noted(boot), _peer(boot, sign)
        return self._keep(boot, turn, hidden=hidden, steps=steps, notes=notes, peer=peer)

    def _fetching(self, turn: Turn, protocol: str, **more: Any) -> tuple[Boot | None, Step, bool]:
        """
        Which boot fetches, what it fetches as a step, with *more* of it, and whether that shows a
        machine.
        """
        path: str = turn.event.path
        stage = self._stage(turn, path)
        boot = self._boot(turn, Sign.LOADER) if stage is Stage.LOADER else self._current(turn)
        hidden = stage is Stage.SCRIPT or (stage is Stage.LOADER and protocol == _HTTP)
        if boot is not None and (protocol == _TFTP or stage in _LOADED):
            self._identities.learn(turn.event.peer, turn, sure=_is_there(turn.event, protocol))
        note = FIRST if stage is Stage.SCRIPT and is_anybodys(path) else ""
        return boot, turn.step(stage, path=path, protocol=protocol, note=note, **more), hidden

    def _stage(self, turn: Turn, path: str) -> Stage:
        """What *path* is to the boot that is on; what was offered is a loader by any name."""
        boot = self._attempts.last(turn.key)
        target = boot.target if boot and boot.target else turn.event.target
        stage = self._outside.stage_of(path, target, turn.card)
        if boot is None or stage is not Stage.FILES:
            return stage
        offer = boot.step(Stage.OFFER)
        named = offer is not None and _name(offer.path) == _name(path)
        return Stage.LOADER if named and not has_script(boot) else stage

    # -- beside --------------------------------------------------------------------------------

    def _beside(self, turn: Turn, peer: str = "") -> list[Boot]:
        """A note for the boot that is on."""
        boot = self._current(turn)
        if boot is None:
            return []
        notes = turn.noted(boot)
        return self._keep(boot, turn, hidden=True, notes=notes, peer=peer or boot.peer)


def _is_there(event: Event, protocol: str) -> bool:
    """Whether its address is its own: a TFTP request may be forged, what is acknowledged is not."""
    return protocol == _HTTP or getattr(event, "confirmed", isinstance(event, Transferred))


def _is_of_boot_server(event: Offered) -> bool:
    """
    Whether port 4011 was asked: by a client that has its address, and never through a relay.

    A DHCP server acknowledges what was asked from no address, or by DHCPv6.
    """
    return bool(event.peer) and ":" not in event.peer and not event.relay


def _was_offered(boot: Boot, now: float) -> bool:
    """Whether what *boot* was offered still waits for its REQUEST at *now*."""
    far = progress(boot)
    if is_over(boot) or (far is not None and far.rank > Stage.SCRIPT.rank):
        return False
    return any(step.stage in _OFFERS and now - step.until < _OFFERED_S for step in boot.steps)


def _peer(boot: Boot, sign: Step) -> str:
    """The machine's address; by HTTP anybody may fetch a file in its name."""
    if sign.protocol == _TFTP or sign.stage in _LOADED:
        return sign.peer
    return boot.peer or sign.peer


def _name(path: str) -> str:
    name = path.replace("\\", "/").rpartition("/")[2]
    return urls.ALIASES.get(name, name)


def _is_loader(file: str) -> bool:
    """Whether an offer names a loader: what iPXE is given to be replaced by."""
    return _name(file) in loaders.SCRIPTED or "://" not in file


_Act = Callable[[Follower, Turn], list[Boot]]


def _is_idle(event: Event) -> bool:
    """What a running system is offered tells nothing of a boot, and there is a lot of it."""
    return isinstance(event, LeaseOffered) and not event.netboot


_ACTS: Mapping[type[Event], _Act] = {
    Offered: Follower._offered,
    Unserved: Follower._unserved,
    Loaderless: Follower._unserved,
    LeaseOffered: Follower._lease_offered,
    Leased: Follower._leased,
    NoAddress: Follower._denied,
    **dict.fromkeys((Naked, AddressInUse, ForeignServer), Follower._objected),
    Requested: Follower._requested,
    Overheard: Follower._overheard,
    NotNetboot: Follower._not_netboot,
    Scripted: Follower._scripted,
    Held: Follower._held,
    Claimed: Follower._beside,
    Waits: Follower._scripted,
    NodeScripted: Follower._node_scripted,
    Reported: Follower._reported,
    Started: Follower._started,
    **dict.fromkeys((Transferred, TransferEnded, TransferFailed, Served), Follower._ended),
    **dict.fromkeys((Refused, Unreadable, Contested, Restyled, Looped, Silent), Follower._beside),
}
