"""
What transfers add to the steps of a boot: one that began, one that ended, ranges, the size alone.

A loader, a kernel, an initrd and an answer file are a step each; all other files together are one,
whatever an installer fetches.  Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from netbootd import configfiles, urls
from netbootd.boots.altered import altered
from netbootd.boots.boot import Boot, Stage, Step
from netbootd.boots.notes import CLIENT_LEFT, is_probe
from netbootd.boots.steps import MOST_TEXT, Steps, added, find, put
from netbootd.events.event import Served, TransferEnded, Transferred


class Ended(NamedTuple):
    """*sent* bytes of a file of *size* in *seconds*; *part*: no more than a part was wanted."""

    size: int
    sent: int
    seconds: float
    trouble: str = ""
    part: bool = False


def is_anybodys(path: str) -> bool:
    """
    Whether a script of that name is the same for all machines, and lets the loader ask for its own,
    unless the machine was known by its address and got that at once.
    """
    if urls.is_autoexec(path):
        return True
    config = configfiles.parse(path)
    return config is not None and config.reader is configfiles.Reader.GRUB and config.anonymous


def ended_of(event: Transferred | TransferEnded | Served) -> Ended:
    """How the transfer that *event* tells of has ended."""
    if isinstance(event, Transferred):
        return Ended(event.size, event.size, event.seconds)
    if isinstance(event, TransferEnded):
        trouble = "" if is_probe(event) else event.reason[:MOST_TEXT]
        return Ended(event.size, event.acked, event.seconds, trouble)
    missing = event.sent < event.count
    trouble = (event.problem or CLIENT_LEFT)[:MOST_TEXT] if missing else ""
    part = event.first > 0 or event.count < event.size
    return Ended(event.size, event.sent, event.seconds, trouble, part)


def with_start(boot: Boot, sign: Step) -> Steps:
    """The steps of *boot* when the transfer begins that *sign* tells of, an open step."""
    number = _find(boot.steps, sign)
    if number < 0:
        if sign.stage is Stage.FILES:  # they are summed up at the end of each
            sign = altered(sign, size=0, times=0)
        return added(boot.steps, sign)
    step = boot.steps[number]
    # A script was counted when it was made, files are counted at their end; and one of which the
    # size alone was asked before is not fetched for a second time.
    counts = sign.stage not in (Stage.FILES, Stage.SCRIPT)
    counts = counts and bool(step.sent or step.trouble or step.open)
    again = altered(
        step,
        open=True,
        until=sign.until,
        times=step.times + counts,
        size=step.size if sign.stage is Stage.FILES else sign.size or step.size,
        peer=sign.peer or step.peer,
        protocol=sign.protocol,
    )
    return put(boot.steps, number, again)


def with_end(boot: Boot, sign: Step, *, part: bool) -> Steps:
    """
    The steps of *boot* when the transfer that *sign* tells of has ended; *part* as in Ended.
    """
    number = _find(boot.steps, sign)
    if number < 0:
        summed = altered(sign, size=sign.sent) if sign.stage is Stage.FILES else sign
        return added(boot.steps, summed)
    step = boot.steps[number]
    more = _more_files(step, sign) if sign.stage is Stage.FILES else _more(step, sign, part=part)
    return put(boot.steps, number, more)


def broken_off(steps: Steps) -> Steps:
    """*steps* when all transfers have ended with the netbootd that served them."""
    why = "netbootd was stopped"
    return tuple(altered(step, open=False, trouble=why) if step.open else step for step in steps)


def _more_files(step: Step, sign: Step) -> Step:
    """Files are summed up: the size is what was sent of those that are done."""
    return altered(
        step,
        until=sign.until,
        times=step.times + 1,
        path=sign.path,
        size=step.size + sign.sent,
        sent=step.sent + sign.sent,
        open=False,
        trouble=sign.trouble,
        peer=sign.peer or step.peer,
        protocol=sign.protocol,
        generation=sign.generation,
    )


def _more(step: Step, sign: Step, *, part: bool) -> Step:
    """The same file: fetched anew, or another range of it."""
    began = step.open or sign.stage is Stage.SCRIPT
    size = sign.size or step.size
    sent = step.sent + sign.sent if part else sign.sent
    return altered(
        step,
        until=sign.until,
        times=step.times + (not began),
        size=size,
        sent=min(sent, size) if size else sent,
        open=False,
        trouble=sign.trouble,
        peer=sign.peer or step.peer,
        protocol=sign.protocol or step.protocol,
        generation=sign.generation,
    )


def _find(steps: Steps, sign: Step) -> int:
    """A script that goes out as a file is the one that was made a moment ago."""
    if sign.stage is Stage.SCRIPT:
        made = (n for n in reversed(range(len(steps))) if steps[n].stage is Stage.SCRIPT)
        number = next(made, -1)
        if number >= 0 and (not steps[number].path or _same(steps[number].path, sign.path)):
            return number
    return find(steps, sign)


def _same(one: str, other: str) -> bool:
    return one.rpartition("/")[2] == other.rpartition("/")[2]
