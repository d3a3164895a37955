"""
A diagnosis as lines of plain text: for the command, and for the log.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from netbootd.boots.boot import Stage
from netbootd.printable import printable
from netbootd.why.diagnosis import Cause, Diagnosis, State
from netbootd.why.moments import moment

_STATES: Mapping[State, str] = {
    State.UNKNOWN: "was never seen",
    State.BOOTING: "is on its way, and nothing is wrong so far",
    State.STUCK: "is stuck",
    State.UP: "is up: nothing is wrong",
    State.FAILED: "failed",
    State.OVERDUE: "is overdue",
    State.HELD: "is held",
    State.DISABLED: "is switched off in the configuration",
}
_STAGES: Mapping[Stage, str] = {
    Stage.DISCOVER: "its firmware's DISCOVER",
    Stage.OFFER: "our OFFER to its firmware",
    Stage.BOOT_SERVER: "port 4011",
    Stage.LOADER: "its loader",
    Stage.IPXE_DISCOVER: "iPXE's DISCOVER",
    Stage.IPXE_OFFER: "our OFFER to iPXE",
    Stage.SCRIPT: "its boot script",
    Stage.KERNEL: "its kernel",
    Stage.INITRD: "its initrd",
    Stage.SYSTEM: "its system's own DHCP request",
    Stage.ANSWER_FILE: "its answer file",
    Stage.FILES: "further files",
    Stage.NODE_SCRIPT: "its node script",
    Stage.DONE: "the report that it is up",
    Stage.FAILED: "the report that it failed",
}


def lines(diagnosis: Diagnosis, width: int = 80) -> tuple[str, ...]:
    """*diagnosis* in lines of at most *width* characters, where words allow it."""
    return tuple(_lines(diagnosis, max(width, 40)))


def short(diagnosis: Diagnosis) -> str:
    """*diagnosis* in one line."""
    first = diagnosis.causes[0] if diagnosis.causes else None
    told = f": {printable(first.sentence, 1000)}" if first else ""
    return f"{printable(diagnosis.machine, 80)} {_STATES[diagnosis.state]}{told}"


def _lines(diagnosis: Diagnosis, width: int) -> Iterator[str]:
    name = printable(diagnosis.machine, 80)
    boot = f" (boot {diagnosis.boot})" if diagnosis.boot else ""
    remark = diagnosis.causes and diagnosis.state is State.UP
    yield f"{name} {'is up' if remark else _STATES[diagnosis.state]}{boot}"
    if diagnosis.reached:
        yield f"reached: {_STAGES[diagnosis.reached]}, at {moment(diagnosis.at)}"
    if diagnosis.missing:
        yield from _wrapped(f"missing: {diagnosis.missing}", "", "         ", width)
    for number, cause in enumerate(diagnosis.causes, 1):
        yield ""
        yield from _of_cause(cause, number, width)


def _of_cause(cause: Cause, number: int, width: int) -> Iterator[str]:
    head = f"{number}. ({cause.confidence} %) "
    yield from _wrapped(f"{head}{cause.sentence}", "", "   ", width)
    for fact in cause.because:
        yield from _wrapped(fact, "     - ", "       ", width)
    if cause.advice:
        yield from _wrapped(cause.advice, "   > ", "     ", width)


def _wrapped(text: str, first: str, others: str, width: int) -> list[str]:
    return textwrap.wrap(
        printable(text, 1000),
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
