"""
How long each stage of a boot may take before the silence after it means something, and how a
machine is, by that.

The times are the longest that a sound machine is silent after the stage, with room to spare: the
firmware's own timers, and what was measured of loaders and systems.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netbootd.boots.boot import Boot, Code, Note, Outcome, Stage
from netbootd.logbook.trouble import kind_of
from netbootd.record.standing import Outcome as Reported
from netbootd.record.standing import Standing
from netbootd.registry.machine import Machine
from netbootd.targets.base import Target
from netbootd.targets.install import Install
from netbootd.targets.linux import Linux
from netbootd.targets.menu import Menu
from netbootd.targets.notice import Notice
from netbootd.why.diagnosis import State

#: Seconds of silence after which the next packet is overdue, by the stage reached.
PATIENCE_S: Mapping[Stage | None, float] = {
    None: 20.0,
    # A DISCOVER is repeated after 4 s (PXE 2.1, 2.2.5; EDK2), 5 s (Raspberry Pi) or sooner.
    Stage.DISCOVER: 20.0,
    # EDK2 waits 4 s for offers, then has REQUEST and ACK of the DHCP server before it comes back.
    Stage.OFFER: 20.0,
    # The first read request follows at once; EDK2 repeats it after 4 s, six times.
    Stage.BOOT_SERVER: 20.0,
    # iPXE: 5 s for its devices, then its DISCOVER again after 1, 2, 4 and 8 s; a slow link comes
    # up in the meantime.  A blocked port takes 30 s more, and is told by the silence itself.
    Stage.LOADER: 45.0,
    Stage.IPXE_DISCOVER: 20.0,
    # 15 s go by where nobody announces IPv6, and a first script tries again after 5, 10 and 20 s.
    Stage.IPXE_OFFER: 45.0,
    # The next line of the script; a menu is another matter.
    Stage.SCRIPT: 30.0,
    Stage.KERNEL: 30.0,
    # From the last byte of the initrd to the system's DHCP: 10 to 60 s on servers that look
    # through many disks and cards first.
    Stage.INITRD: 180.0,
    Stage.SYSTEM: 300.0,
    # An installer is silent for as long as it unpacks.
    Stage.ANSWER_FILE: 3600.0,
    Stage.FILES: 3600.0,
    Stage.NODE_SCRIPT: 3600.0,
}
#: A menu waits for somebody to choose.
MENU_S = 900.0
#: After something went wrong the machine tries once more, or it does not.
AFTER_TROUBLE_S = 15.0
#: A system that reports nothing is taken to be up so long after its own DHCP request.
SETTLED_S = 60.0
#: DISCOVERs alike that are not patience any more.
IN_VAIN = 4
#: Kinds of console lines after which nothing comes, and those that say little.
_ENDS = frozenset({"panic", "no-init", "no-root", "dracut"})
_NO_END = frozenset({"ipxe", "link", "driver", "memory"})
_COMING_UP_S = 300.0
_OFF = "(switched off)"
_DENIED = frozenset({Code.NO_ADDRESS, Code.ADDRESS_IN_USE})
_GIVEN = frozenset({Code.LEASE_OFFERED, Code.LEASED, Code.REQUESTED})
_ASKING = frozenset({Stage.DISCOVER, Stage.OFFER, Stage.IPXE_DISCOVER, Stage.IPXE_OFFER})
_SWITCHED_SILENTLY = frozenset({"localboot"})


def state_of(boot: Boot | None, standing: Standing, machine: Machine | None, now: float) -> State:
    """
    How a machine is whose latest boot is *boot*, at *now*; *machine* is its entry, if it has one.

    Cheap enough for a list of thousands.
    """
    if standing.held:
        return State.HELD
    if machine is not None and is_off(machine):
        return State.DISABLED
    if boot is None or (boot.reached is None and not boot.notes):
        return _remembered(standing)
    if told := _TOLD.get(boot.outcome):
        return State.STUCK if told is State.UP and _panicked(boot) else told
    if told := _reported(boot, standing):
        return told
    if has_settled(boot, machine, standing, now):
        return State.UP
    if boot.reached is None and not blocked(boot, machine):
        # A running system that asked for its address, and has one if it is of us.
        return State.UP if _runs(boot) else _remembered(standing)
    ended = boot.outcome is Outcome.AGAIN or blocked(boot, machine) or gave_up(boot)
    stuck = ended or is_late(boot, machine, now)
    return State.STUCK if stuck else State.BOOTING


def _runs(boot: Boot) -> bool:
    """Whether its last word of addresses is that a system of its own has one of ours."""
    return any(note.code is Code.LEASED and not note.data.get("netboot") for note in boot.notes)


def _panicked(boot: Boot) -> bool:
    """Whether it was up, and its kernel has given up since."""
    done = boot.step(Stage.DONE)
    return done is not None and any(
        note.code is Code.CONSOLE and note.until > done.until and kind_of(note.text) == "panic"
        for note in boot.notes
    )


_TOLD = {
    Outcome.DONE: State.UP,
    Outcome.FAILED: State.FAILED,
    Outcome.OVERDUE: State.OVERDUE,
}
_BY_REPORT = {
    Reported.DONE: State.UP,
    Reported.FAILED: State.FAILED,
    Reported.OVERDUE: State.OVERDUE,
}


def _remembered(standing: Standing) -> State:
    """By what is known of boots that nobody has the steps of."""
    return (
        _BY_REPORT.get(standing.latest.outcome, State.UNKNOWN)
        if standing.latest
        else (State.UNKNOWN)
    )


def _reported(boot: Boot, standing: Standing) -> State | None:
    """What came of the attempt that this boot is, where only the record of attempts knows it."""
    latest = standing.latest
    if latest is None or boot.outcome is Outcome.AGAIN or latest.began < boot.began:
        return None
    return _BY_REPORT.get(latest.outcome)


def is_off(machine: Machine) -> bool:
    """Whether its entry is switched off, so that it boots its own disk."""
    return machine.target.title.endswith(_OFF)


def runs_target(boot: Boot, machine: Machine | None) -> Target | None:
    """The target of *boot*, where the configuration still has it for *machine*."""
    if machine is None or boot.target not in ("", machine.target.title):
        return None
    return machine.target


def patience(boot: Boot, machine: Machine | None) -> float:
    """Seconds that *boot* may be silent from its last sign."""
    target = runs_target(boot, machine)
    step = boot.step(boot.reached) if boot.reached else None
    if boot.reached is Stage.SCRIPT and (
        isinstance(target, Menu) or boot.target.startswith("menu/")
    ):
        return MENU_S
    if step is not None and step.trouble and not step.open:
        return AFTER_TROUBLE_S
    usual = PATIENCE_S.get(boot.reached, PATIENCE_S[Stage.NODE_SCRIPT])
    beyond = boot.reached is not None and boot.reached.rank >= Stage.SYSTEM.rank
    if target is not None and beyond and target.common.up_within:
        return max(usual, target.common.up_within)
    return usual


def is_late(boot: Boot, machine: Machine | None, now: float) -> bool:
    """Whether the silence has lasted longer than a sound machine's."""
    return not now - boot.last <= patience(boot, machine)


def blocked(boot: Boot, machine: Machine | None) -> bool:
    """Whether its last sign is one after which nothing comes by itself."""
    if _asks_in_vain(boot) or _goes_without(boot):
        return True
    last = _last_note(boot)
    if last is None:
        return False
    if last.code is Code.LOOPED:
        return boot.step(Stage.SCRIPT) is None
    if last.until < max((step.at for step in boot.steps), default=last.until):
        return False
    if last.code is Code.UNSERVED:
        return True
    return last.code is Code.REFUSED and _matters(last, boot, machine)


def _asks_in_vain(boot: Boot) -> bool:
    """A firmware that repeats its DISCOVER has all offers, and likes none of them."""
    if boot.reached not in (Stage.DISCOVER, Stage.OFFER):
        return False
    step = boot.step(Stage.DISCOVER)
    return step is not None and step.times >= IN_VAIN and step.seconds >= PATIENCE_S[Stage.OFFER]


def _goes_without(boot: Boot) -> bool:
    """
    Whether the last that it heard of addresses is that there is none for it: the next DISCOVER
    hears the same, until somebody mends it.
    """
    last = max((note.until for note in boot.notes if note.code in _DENIED), default=0.0)
    given = [note.until for note in boot.notes if note.code in _GIVEN]
    given += [step.at for step in boot.steps if step.stage not in _ASKING]
    return last > max(given, default=0.0)


def _last_note(boot: Boot) -> Note | None:
    telling = (Code.UNSERVED, Code.REFUSED, Code.LOOPED)
    notes = [note for note in boot.notes if note.code in telling]
    return max(notes, key=lambda note: note.until, default=None)


def _matters(refused: Note, boot: Boot, machine: Machine | None) -> bool:
    """Many loaders look for files that need not be there; what a script names must be."""
    target = runs_target(boot, machine)
    name = base_name(str(refused.data.get("path", "")))
    if not name or target is None:
        return False
    wanted = {base_name(one) for one in target.fetched}
    if isinstance(target, Install) and target.answer:
        wanted.add(base_name(target.answer))
    return name in wanted


def base_name(location: str) -> str:
    """The last part of a path or URL, without a query."""
    return location.partition("?")[0].rstrip("/").rpartition("/")[2]


def has_settled(boot: Boot, machine: Machine | None, standing: Standing, now: float) -> bool:
    """
    Whether all that can be seen of *boot* has been seen, and nothing speaks against its being up.

    Its own disk, a memory test or a firmware update say nothing when they run; a system that never
    reports is taken to be up when it has asked for its address.
    """
    target = runs_target(boot, machine)
    if boot.reached is None or boot.reached.rank < Stage.SCRIPT.rank or blocked(boot, machine):
        return False
    if boot.step(Stage.FAILED) or gave_up(boot):
        return False
    if was_handed_on(boot):
        return True
    if target is None:
        return _has_settled_anyhow(boot, now)
    if isinstance(target, Notice | Menu) or expects_report(target, standing):
        return False
    if not target.common.calls_back:
        return _all_fetched(boot, target)
    if boot.reached.rank >= Stage.SYSTEM.rank:
        return not isinstance(target, Install) and now - boot.last > SETTLED_S
    if not _all_fetched(boot, target) or not is_late(boot, machine, now):
        return False
    return not isinstance(target, Linux) or not asks_dhcp(target)


def was_handed_on(boot: Boot) -> bool:
    """Whether its script sent it on to its own disk, which is the last that is seen of it."""
    own = boot.target.partition("/")[0] in _SWITCHED_SILENTLY or boot.target.endswith(_OFF)
    return own and boot.step(Stage.SCRIPT) is not None


def gave_up(boot: Boot, said: Iterable[tuple[float, str]] = ()) -> bool:
    """
    Whether its console has said last that it cannot go on; *said* are lines with their times.

    A server that is up for weeks has its troubles with memory, links and file servers, too: these
    count only while it comes up.
    """
    last = max((step.at for step in boot.steps), default=boot.began)
    told = [(note.at, note.text) for note in boot.notes if note.code is Code.CONSOLE]
    for at, text in (*told, *said):
        kind = kind_of(text) if at >= last else ""
        if kind in _ENDS or (kind and kind not in _NO_END and at - last < _COMING_UP_S):
            return True
    return False


def _has_settled_anyhow(boot: Boot, now: float) -> bool:
    """Of a target that was armed or chosen, only its title is known here."""
    far = boot.reached is not None and boot.reached.rank >= Stage.SYSTEM.rank
    return far and not boot.target.startswith("install/") and now - boot.last > SETTLED_S


def _all_fetched(boot: Boot, target: Target) -> bool:
    """Whether what comes from us has gone to it whole."""
    ours = [one for one in target.fetched if one.startswith("/")]
    steps = [step for step in boot.steps if step.stage in (Stage.KERNEL, Stage.INITRD, Stage.FILES)]
    got = {base_name(step.path) for step in steps if not step.open and not step.trouble}
    return all(base_name(one) in got for one in ours)


def expects_report(target: Target, standing: Standing) -> bool:
    """Whether there is a reason to wait for the node's word."""
    if not target.common.calls_back:
        return False
    told = any(
        one.target == target.title and one.outcome in (Reported.DONE, Reported.FAILED)
        for one in standing.attempts
    )
    return bool(target.common.up_within) or told


def asks_dhcp(target: Target) -> bool:
    """Whether the kernel of *target* is one that asks for its address itself."""
    if not isinstance(target, Linux):
        return True
    words = [word for word in target.args if word.startswith("ip=")]
    return not words or any("dhcp" in word or word in ("ip=on", "ip=any") for word in words)
