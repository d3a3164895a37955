"""
What is said to "why does my node not boot?", as values.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # commands know the states, and nothing of boots
    from netbootd.boots.boot import Stage


class State(StrEnum):
    """How a machine is, for a list of machines; one word each."""

    UNKNOWN = "unknown"  # never seen
    BOOTING = "booting"  # on its way, and nothing is wrong so far
    STUCK = "stuck"  # the next packet should have come by now
    UP = "up"
    FAILED = "failed"
    OVERDUE = "overdue"
    HELD = "held"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """
    One likely cause: *code* for programs, *sentence* for people.

    *confidence* is a percentage; *because* are the packets and facts behind it, each with its time;
    *advice* is what to do.
    """

    code: str
    sentence: str
    confidence: int
    because: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """
    *machine* is the key, *boot* the number of the boot it is about, 0 for none.

    *reached* is the furthest stage, at *at* (Unix seconds); *missing* the packet that should have
    come next and did not, empty where nothing is missing.  *causes* are the likeliest first; none
    where nothing is wrong.
    """

    machine: str
    boot: int = 0
    state: State = State.UNKNOWN
    reached: Stage | None = None
    at: float = 0.0
    missing: str = ""
    causes: tuple[Cause, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)
