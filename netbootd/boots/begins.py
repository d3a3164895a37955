"""
When a sign of a machine belongs to the boot that it is in, and when it begins another.

A machine says nothing of having been reset: it shows by what it asks for.  Firmware that asks again
without having fetched anything tries again (several offers, a new xid); after its loader, or after
a script that sent it on to its disk, it goes on by another card, or by HTTP after PXE, or it was
reset.  iPXE asks again for each of its cards, and after its first script; once a kernel was
fetched, whoever asks has started anew.

Times are Unix seconds.  Pure.
"""

from __future__ import annotations

from enum import Enum, auto

from netbootd.boots.boot import Boot, Outcome, Stage, Step

#: Firmware that tries again does so within this; a machine takes about as long to be reset.
RETRY_S = 180.0
#: From one step of loading to the next: spanning tree, slow lines, a few time-outs of iPXE.
LOADING_S = 600.0
#: Somebody may stand before a menu.
MENU_S = 3600.0
#: A script that failed in the middle is asked for again at once; later the machine was reset.
RELOAD_S = 120.0
#: A script may ask for an address again, on a VLAN or another card.
RENEW_S = 10.0
#: What still counts to a boot that is over.
AFTERWARDS_S = 60.0
#: Where nobody tells the end: a system that is heard of later was up long ago.
STALE_S = 86_400.0
#: Later nobody can say whether a machine that does not report was done.
AGAIN_S = 3600.0

FIRST = "first contact"
_NOT_OVER = (Outcome.OPEN, Outcome.OVERDUE)
_EARLY = frozenset({Stage.DISCOVER, Stage.OFFER, Stage.BOOT_SERVER})


class Sign(Enum):
    """What kind of sign it is."""

    FIRMWARE = auto()
    IPXE = auto()
    LOADER = auto()
    SCRIPT = auto()
    LATER = auto()  # whatever begins no boot


def goes_on(boot: Boot, sign: Sign, now: float, *, mac: str = "", note: str = "") -> bool:
    """
    Whether *sign*, by the card *mac*, belongs to *boot*, the last one of its machine; *note* is
    what firmware says it is.
    """
    quiet = abs(now - boot.last)  # where the clock was set back, it is as long ago as one can tell
    if sign is Sign.LATER:
        return _still_counts(boot, quiet)
    if boot.outcome not in _NOT_OVER:
        return False
    far = progress(boot)
    if sign is Sign.FIRMWARE:
        if far is None or far in _EARLY or _still_asks(boot, mac, note):
            return quiet < RETRY_S
        return far.rank <= Stage.SCRIPT.rank and quiet < RETRY_S and _elsewise(boot, mac, note)
    if sign is Sign.SCRIPT:
        rank = far.rank if far else 0
        return quiet < (MENU_S if rank <= Stage.SCRIPT.rank else RELOAD_S) and (
            rank <= Stage.INITRD.rank
        )
    if far is None or far.rank < Stage.SCRIPT.rank:
        return quiet < LOADING_S
    if far is Stage.SCRIPT and (_only_first(boot) or _loads_anew(boot)):
        return quiet < LOADING_S
    if far is not Stage.SCRIPT or _from_disk(boot):
        return False
    if sign is Sign.LOADER:
        return quiet < LOADING_S
    return quiet < (RENEW_S if mac in boot.macs else RETRY_S)


def progress(boot: Boot) -> Stage | None:
    """The furthest stage; FILES aside, which come before the kernel as well as after it."""
    far: Stage | None = None
    for step in boot.steps:
        if step.stage is not Stage.FILES and (far is None or step.stage.rank > far.rank):
            far = step.stage
    return far


def has_script(boot: Boot) -> bool:
    """Whether it got a script of its own, or what only comes after one."""
    far = progress(boot)
    return far is not None and far.rank >= Stage.SCRIPT.rank and not _only_first(boot)


def is_again(before: Boot, now: float, reports: bool | None) -> bool:
    """
    Whether a boot that begins at *now* shows that *before* did not come to its end; *reports* as in
    ``Outside``.

    A system that was up may be booted anew for any reason, if it is not one that tells when it is
    done; and after an hour nobody can say.
    """
    if before.outcome is not Outcome.OPEN or not before.steps:
        return False
    if not has_script(before):
        return now - before.last < AGAIN_S
    if reports is not None:
        return reports
    far = progress(before)
    return far is not None and far.rank < Stage.SYSTEM.rank and now - before.last < AGAIN_S


def renews(boot: Boot, now: float) -> bool:
    """Whether DHCP is no sign of *boot* any more: its system has long run, and renews its lease."""
    return boot.step(Stage.SYSTEM) is not None and now - boot.last > RETRY_S


def is_over(boot: Boot) -> bool:
    """Whether it was told how it ended, or the machine began another."""
    return boot.outcome not in _NOT_OVER


def _still_counts(boot: Boot, quiet: float) -> bool:
    if is_over(boot):
        return quiet < AFTERWARDS_S
    return quiet < LOADING_S or (quiet < STALE_S and has_script(boot))


def _elsewise(boot: Boot, mac: str, note: str) -> bool:
    """Whether firmware goes on by another card, or in another way."""
    tried = {(step.mac, step.note) for step in boot.steps if step.stage is Stage.DISCOVER}
    return bool(tried) and (mac, note) not in tried


def _still_asks(boot: Boot, mac: str, note: str) -> bool:
    """Whether firmware was asking so when it was last seen: this is another try of the same."""
    tried = [step for step in boot.steps if step.stage is Stage.DISCOVER]
    last = max(tried, key=_until, default=None)
    return (
        last is not None
        and (last.mac, last.note) == (mac, note)
        and max(boot.steps, key=_until).stage in _EARLY
    )


def _loads_anew(boot: Boot) -> bool:
    """Whether firmware was sent on by a script, and loads by another way since."""
    return max(boot.steps, key=_until).stage.rank <= Stage.LOADER.rank


def _until(step: Step) -> float:
    return step.until


def _only_first(boot: Boot) -> bool:
    return all(step.note == FIRST for step in boot.steps if step.stage.rank >= Stage.SCRIPT.rank)


def _from_disk(boot: Boot) -> bool:
    """Whether its script booted a disk that is read over HTTP."""
    return any(step.stage is Stage.FILES and step.protocol == "HTTP" for step in boot.steps)
