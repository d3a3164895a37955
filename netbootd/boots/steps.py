"""
How the steps and notes of a boot grow: the same thing again is merged, and there is an end to both,
whatever comes over the wire.  Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import attrgetter

from netbootd.boots.altered import altered
from netbootd.boots.boot import Note, Stage, Step

#: Steps of one boot; those that a boot may have any number of stop before.
MOST_STEPS = 64
_MOST_FILES = 40
#: Loaders that are told apart; what more of them a loader loads (modules) is one step.
_MOST_LOADERS = 8
MOST_NOTES = 64
#: Characters of a path and of a note's text that are kept.
MOST_PATH = 512
MOST_TEXT = 512
#: Those of the name of a target or an architecture.
MOST_WORD = 128

_BY_PATH = frozenset({Stage.LOADER, Stage.KERNEL, Stage.INITRD, Stage.ANSWER_FILE})
#: What makes two signs of one stage two steps; those not named here are one step.
_APART: dict[Stage, Callable[[Step], object]] = {
    Stage.DISCOVER: attrgetter("mac", "note"),
    Stage.OFFER: attrgetter("mac", "path"),
    Stage.BOOT_SERVER: attrgetter("mac"),
    Stage.IPXE_DISCOVER: attrgetter("mac"),
    Stage.IPXE_OFFER: attrgetter("mac", "path"),
    Stage.SCRIPT: attrgetter("note"),
    **dict.fromkeys(_BY_PATH, attrgetter("path")),
}
_ONE = attrgetter("stage")

Steps = tuple[Step, ...]


def find(steps: Steps, like: Step) -> int:
    """The number of the step that *like* is another sign of, -1 if there is none."""
    stage = like.stage
    apart = _APART.get(stage, _ONE)
    said = apart(like)
    for number in range(len(steps) - 1, -1, -1):
        step = steps[number]
        if step.stage is stage and apart(step) == said:
            return number
    return _crowded(steps, like) if len(steps) >= _MOST_LOADERS else -1  # the least of all bounds


def _crowded(steps: Steps, like: Step) -> int:
    """Where there are too many steps of its kind: the last of the same stage, else -1."""
    alike = [number for number, step in enumerate(steps) if step.stage is like.stage]
    most = _MOST_LOADERS if like.stage is Stage.LOADER else MOST_STEPS
    full = _MOST_FILES if like.stage in _BY_PATH else MOST_STEPS
    if alike and (len(alike) >= most or len(steps) >= full):
        return alike[-1]
    return -1


def entered(steps: Steps, sign: Step) -> Steps:
    """*steps* with *sign*: a new one, or one more time of the same."""
    number = find(steps, sign)
    if number >= 0:
        return put(steps, number, _again(steps[number], sign))
    return added(steps, sign)


def added(steps: Steps, sign: Step) -> Steps:
    """*steps* with *sign*, which is none of them, as far as there is room."""
    return (*steps, sign) if len(steps) < MOST_STEPS else steps


def _again(step: Step, sign: Step) -> Step:
    return altered(
        step,
        until=max(step.until, sign.until),
        times=step.times + sign.times,
        path=sign.path or step.path,
        peer=sign.peer or step.peer,
        interface=sign.interface or step.interface,
        generation=sign.generation,
        note=sign.note or step.note,
        trouble=sign.trouble,
    )


def put(steps: Steps, number: int, step: Step) -> Steps:
    """*steps* with the one at *number* replaced."""
    return (*steps[:number], step, *steps[number + 1 :])


def noted(notes: tuple[Note, ...], note: Note) -> tuple[Note, ...]:
    """
    *notes* with *note*: the same code and text is one note.

    Of too many the ones of the most common code give way, the oldest first.
    """
    for number in range(len(notes) - 1, -1, -1):
        same = notes[number]
        if same.code is note.code and same.text == note.text:
            again = altered(same, until=note.until, times=same.times + note.times, data=note.data)
            return (*notes[:number], again, *notes[number + 1 :])
    if len(notes) >= MOST_NOTES:
        commonest = Counter(one.code for one in notes).most_common(1)[0][0]
        victim = next(n for n, one in enumerate(notes) if one.code is commonest)
        notes = (*notes[:victim], *notes[victim + 1 :])
    return (*notes, note)
