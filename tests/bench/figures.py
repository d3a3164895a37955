"""
What a run of the benchmark measured, and what it comes to: medians, ratios with their spread, goals.

Pure: values in, values out.  A *row* is one figure of one case, of netbootd and of one peer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from statistics import median
from typing import Any

from tests.bench.busy import Doubt

NETBOOTD = "netbootd"


@dataclass(frozen=True)
class Goal:
    """
    What netbootd's *figure* shall be: so many times the *peer*'s, or, without a peer, so much.

    At least *limit* where *least*, else at most.
    """

    figure: str
    limit: float
    peer: str = ""
    least: bool = False

    def __str__(self) -> str:
        if not self.limit and not self.least:
            return "none"
        sign = "≥" if self.least else "≤"
        return f"{sign} {self.limit:g}" + (" ×" if self.peer else "")

    def met(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit


@dataclass
class Measured:
    """
    One case: the figures of each server, a mapping for each round, and who could not be measured.

    *problems* has a text for such a server; *doubts* are of any of them.
    """

    load: str
    case: str
    goals: Sequence[Goal] = ()
    figures: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)

    def values(self, server: str, figure: str) -> list[float]:
        """Of each round; nan where it had none."""
        return [of_round.get(figure, nan) for of_round in self.figures.get(server, ())]


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and the *least* and *most* of them; nan for none."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        known = [value for value in values if not isnan(value)]
        if not known:
            return cls(nan, nan, nan)
        return cls(median(known), min(known), max(known))


@dataclass(frozen=True)
class Row:
    """
    A line of the table.  *ratio*: its middle is that of the medians, its ends are those of rounds.

    *met* is None where there is no goal, or nothing to say whether it is met.
    """

    load: str
    case: str
    figure: str
    peer: str
    ours: Spread
    theirs: Spread
    ratio: Spread
    goal: Goal | None = None
    met: bool | None = None
    problem: str = ""


def ratio(ours: float, theirs: float) -> float:
    """How many times *theirs* ours is; nan where that says nothing."""
    return ours / theirs if theirs else nan


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The ratio of the medians; its ends are those of the rounds, each against its own."""
    of_rounds = Spread.of([ratio(*pair) for pair in zip(ours, theirs, strict=False)])
    middle = ratio(Spread.of(ours).middle, Spread.of(theirs).middle)
    return Spread(middle, of_rounds.least, of_rounds.most)


def rows(measured: Measured) -> Iterator[Row]:
    """Each figure of netbootd beside each peer's; alone where no peer has it, or a goal wants that."""
    peers = [name for name in (*measured.figures, *measured.problems) if name != NETBOOTD]
    for figure in _figures(measured):
        with_it = [name for name in dict.fromkeys(peers) if _has(measured, name, figure)]
        alone = [goal for goal in measured.goals if goal.figure == figure and not goal.peer]
        if alone or not with_it:
            yield _row(measured, figure, "", alone[0] if alone else None)
        for peer in with_it:
            wanted = [g for g in measured.goals if g.figure == figure and g.peer == peer]
            yield _row(measured, figure, peer, wanted[0] if wanted else None)


def _figures(measured: Measured) -> list[str]:
    """In the order in which they were measured; those of goals even where nothing was."""
    found = dict.fromkeys(goal.figure for goal in measured.goals)
    seen = dict.fromkeys(
        figure for rounds in measured.figures.values() for one in rounds for figure in one
    )
    return list(seen | found)


def _has(measured: Measured, server: str, figure: str) -> bool:
    wanted = any(goal.peer == server and goal.figure == figure for goal in measured.goals)
    return wanted or any(not isnan(value) for value in measured.values(server, figure))


def _row(measured: Measured, figure: str, peer: str, goal: Goal | None) -> Row:
    ours, theirs = measured.values(NETBOOTD, figure), measured.values(peer, figure)
    compared = ratios(ours, theirs)
    judged = compared.middle if peer else Spread.of(ours).middle
    met = None if goal is None or isnan(judged) else goal.met(judged)
    problem = measured.problems.get(NETBOOTD) or measured.problems.get(peer, "")
    return Row(
        *(measured.load, measured.case, figure, peer),
        *(Spread.of(ours), Spread.of(theirs), compared, goal, met, problem),
    )


def as_json(row: Row) -> dict[str, Any]:
    """*row* for a file; nan is null there."""
    return {
        "load": row.load,
        "case": row.case,
        "figure": row.figure,
        "peer": row.peer or None,
        "netbootd": _spread(row.ours),
        "peer_value": _spread(row.theirs) if row.peer else None,
        "ratio": _spread(row.ratio) if row.peer else None,
        "goal": str(row.goal) if row.goal else None,
        "met": row.met,
        "problem": row.problem or None,
    }


def _spread(spread: Spread) -> dict[str, float | None]:
    values = {"median": spread.middle, "min": spread.least, "max": spread.most}
    return {name: None if isnan(value) else value for name, value in values.items()}
