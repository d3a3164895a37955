"""
What a load is: cases that are measured on each of its servers, and the rounds of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import SubprocessError

from netbootd.nearest import did_you_mean
from tests.bench import servers
from tests.bench.busy import Watch
from tests.bench.figures import NETBOOTD, Goal, Measured
from tests.bench.ground import Ground
from tests.bench.servers import Running
from tests.end_to_end.process import LabError, NotSeenError

Figures = Mapping[str, float]
Start = Callable[[Ground, str, Path], Running]


@dataclass(frozen=True)
class Case:
    """
    *measure* is given a server that runs, and says what it was like: figures by name and unit.

    *servers*: these of the load's, without ``--all``.  *usual*: one of those that a run without
    ``--all`` takes.  *seldom*: it takes long, and is left out of each third round.
    """

    name: str
    measure: Callable[[Running], Figures]
    goals: Sequence[Goal] = ()
    servers: Sequence[str] = ()
    usual: bool = True
    seldom: bool = False


@dataclass(frozen=True)
class Load:
    """
    *cases* on each of *servers*, netbootd first.  *more* of them are measured with ``--all``, and by
    the cases that name them.

    *usual*: it is measured where none is named.  *fresh*: each case has a new server, so that its
    memory is that of the case.
    """

    name: str
    cases: Sequence[Case]
    servers: Sequence[str]
    more: Sequence[str] = ()
    start: Start = servers.start
    fresh: bool = False
    usual: bool = True


@dataclass(frozen=True)
class Wanted:
    """
    What a run takes: *everything*, or what is usual; netbootd *alone*; cases with *text* in their
    names.
    """

    everything: bool = False
    alone: bool = False
    text: str = ""

    def cases(self, load: Load) -> list[Case]:
        usual = [case for case in load.cases if self.everything or case.usual]
        return [case for case in usual if self.text in case.name]

    def servers(self, load: Load) -> list[str]:
        if self.alone:
            return [NETBOOTD]
        return [*load.servers, *load.more]

    def takes(self, name: str, load: Load, case: Case) -> bool:
        """Is *case* for the server *name*?"""
        if self.everything:
            return name in (*load.servers, *load.more)
        return name in (case.servers or load.servers)


class Rounds:
    """*load* on each of its servers in turn, once a round; what was measured is in ``measured``."""

    def __init__(self, ground: Ground, load: Load, folder: Path, wanted: Wanted) -> None:
        self._ground, self._load, self._folder, self._wanted = ground, load, folder, wanted
        self._cases = wanted.cases(load)
        self._servers = wanted.servers(load)
        self.measured = [Measured(load.name, case.name, case.goals) for case in self._cases]

    def one(self, number: int) -> None:
        """One more round.  The order of servers turns, so that none is always the first."""
        turn = number % len(self._servers)
        for name in self._servers[turn:] + self._servers[:turn]:
            theirs = [
                (case, measured)
                for case, measured in zip(self._cases, self.measured, strict=True)
                if self._wanted.takes(name, self._load, case)
                and not (case.seldom and number % 3 == 2)
            ]
            for part in [[one] for one in theirs] if self._load.fresh else [theirs]:
                if part:
                    self._on(name, part)

    def _on(self, name: str, cases: list[tuple[Case, Measured]]) -> None:
        """*cases* on a new server *name*; one that fails does not hold up the others."""
        folder = self._folder / self._load.name / name.replace(" + ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with self._load.start(self._ground, name, folder) as running:
                for case, measured in cases:
                    self._measure(running, case, measured)
        except (LabError, NotSeenError, SubprocessError, OSError) as problem:
            for _, measured in cases:
                measured.problems[name] = _short(problem)

    def _measure(self, running: Running, case: Case, measured: Measured) -> None:
        watch = Watch()
        self._ground.load_s = self._ground.load_cpu_s = 0.0
        try:
            running.alive()
            figures = case.measure(running)
            running.alive()
        except (LabError, NotSeenError, SubprocessError, OSError) as problem:
            measured.problems[running.name] = _short(problem)
            return
        measured.figures.setdefault(running.name, []).append(figures)
        measured.doubts += watch.doubts(self._ground.load_cpu_s, self._ground.load_s)


def _short(problem: Exception) -> str:
    """Its end, where programs say what is wrong."""
    return " ".join(str(problem).split())[-300:] or type(problem).__name__


def chosen(loads: Mapping[str, Load], names: Iterable[str], wanted: Wanted) -> list[Load]:
    """
    Those of *names*, the usual ones without any; SystemExit for a name that is none, or where there
    are no cases.
    """
    found = []
    for name in list(names) or [name for name, load in loads.items() if load.usual]:
        if name not in loads:
            raise SystemExit(f"{name} is none of {', '.join(loads)}{did_you_mean(name, loads)}")
        found.append(loads[name])
    if not any(wanted.cases(load) for load in found):
        cases = [f"  {load.name}: {case.name}" for load in found for case in load.cases]
        told = f"no case with {wanted.text!r} in its name; there are, some with --all alone:"
        raise SystemExit("\n".join([told, *cases]))
    return found
