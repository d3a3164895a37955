"""
All machines and what is on its way, kept up to date by the daemon's events; and the changes as
plain lines, for whoever does not look at a screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netbootd.terminal.machines import remark
from netbootd.terminal.paper import Bit, Look, Piece
from netbootd.terminal.words import moment, state
from netbootd.why.diagnosis import State

#: What an admin wants to see first.
_ORDER: Mapping[str, int] = {
    word: number
    for number, word in enumerate(
        (State.FAILED, State.STUCK, State.OVERDUE, State.HELD, State.BOOTING, State.UP)
    )
}

Machine = Mapping[str, Any]


@dataclass(slots=True)
class Fleet:
    """
    *machines* by key, *transfers* of all that are *under_way* and the daemon's *status*, as last
    heard.  *away* is what keeps us from hearing more, empty while nothing does.
    """

    machines: dict[str, Machine] = field(default_factory=dict)
    transfers: Sequence[Mapping[str, Any]] = ()
    under_way: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    away: str = ""

    def hear(self, name: str, value: Any) -> list[Machine]:
        """Take in an event; the machines that it changes for somebody who reads lines."""
        match name:
            case "list":
                self.away = ""
                old, self.machines = self.machines, {one["key"]: one for one in value}
                return [one for key, one in self.machines.items() if differs(old.get(key), one)]
            case "machine":
                before = self.machines.get(value["key"])
                self.machines[value["key"]] = value
                return [value] if differs(before, value) else []
            case "transfers":
                self.transfers, self.under_way = value["transfers"], value["total"]
            case "status":
                self.status |= value
            case "away":
                self.away, self.transfers, self.under_way = value, (), 0
        return []

    def by_interest(self) -> list[Machine]:
        """Those that were ever seen: what is wrong before what goes on, the latest first."""
        seen = [one for one in self.machines.values() if one["state"] in _ORDER]
        return sorted(seen, key=lambda one: (_ORDER[one["state"]], -(one.get("since") or 0.0)))

    def counts(self) -> dict[str, int]:
        """How many are in each state, in the order of interest."""
        found: dict[str, int] = {}
        for one in self.machines.values():
            found[one["state"]] = found.get(one["state"], 0) + 1
        return dict(sorted(found.items(), key=lambda one: _ORDER.get(one[0], len(_ORDER))))


def differs(before: Machine | None, now: Machine) -> bool:
    """Whether it is news, and not merely further bytes."""
    if before is None:  # listed just now, and perhaps held or armed at once
        is_quiet = now["state"] in (State.UNKNOWN, State.DISABLED)
        return not is_quiet or any(now.get(name) for name in _DECIDED)
    return any(before.get(name) != now.get(name) for name in _NEWS)


_DECIDED = ("held", "armed")
_NEWS = ("state", "reached", "boot", "outcome", "trouble", *_DECIDED)


def line(machine: Machine, now: float) -> Iterator[Piece]:
    """What is new of a machine."""
    yield Bit(f"{moment(now, now)}  ", Look.FAINT)
    yield Bit(f"{machine.get('hostname') or machine['key']}  ", Look.STRONG)
    yield state(machine["state"])
    reached = machine.get("reached")
    if reached and machine["state"] != State.BOOTING:
        yield f" at {reached}"
    if (said := remark(machine)).text:
        yield "  "
        yield said
