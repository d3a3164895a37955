"""
Whether the machine had something else to do while it was measured on, and for how much.

``/proc/stat`` counts what a hypervisor took away (steal), ``/proc/PID/stat`` what each process
used (proc(5)); the kernel's own threads work for whoever is measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

#: Seconds of a tick.
TICK = 1 / os.sysconf("SC_CLK_TCK")
#: The parent of the kernel's threads.
_KTHREADD = 2
#: Shares of a processor from which on figures are in doubt.
STOLEN, OTHERS, LOAD = 0.02, 0.1, 0.9
#: Seconds of a load of which a share says nothing: most of it is the start of its program.
SHORT_S = 0.5


@dataclass(frozen=True)
class Process:
    """*cpu* and *own* in seconds, *cpu* with that of its children that have ended."""

    parent: int
    cpu: float
    own: float


def processes() -> dict[int, Process]:
    """All that there are, by number."""
    return dict(_processes())


def _processes() -> Iterator[tuple[int, Process]]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        used = [int(field) * TICK for field in fields[11:15]]
        yield int(folder.name), Process(int(fields[1]), sum(used), sum(used[:2]))


def family(root: int, everybody: dict[int, Process]) -> set[int]:
    """*root* and all that it has started."""
    found = {root}
    children: dict[int, list[int]] = {}
    for number, process in everybody.items():
        children.setdefault(process.parent, []).append(number)
    left = [root]
    while left:
        for child in children.get(left.pop(), ()):
            found.add(child)
            left.append(child)
    return found


def cpu_of(roots: list[int], core: int) -> float:
    """
    Seconds that *roots* and all that they started have used, and the kernel's thread on *core*
    that goes on with their packets when there are many.
    """
    everybody = processes()
    members = set().union(*(family(root, everybody) for root in roots))
    members |= _named(f"ksoftirqd/{core}", everybody)
    return sum(everybody[number].cpu for number in members if number in everybody)


def _named(name: str, everybody: dict[int, Process]) -> set[int]:
    """The kernel's threads of that *name*; in a container, none."""
    return {
        number
        for number, process in everybody.items()
        if process.parent == _KTHREADD and _name(number) == name
    }


def _name(number: int) -> str:
    try:
        return Path(f"/proc/{number}/comm").read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class Doubt:
    """*share* of a processor went where *what* says."""

    share: float
    what: str


class Watch:
    """Of the time between its making and ``said``."""

    def __init__(self) -> None:
        self._since, self._stolen, self._others = monotonic(), _stolen(), self._of_others()

    def doubts(self, load_cpu_s: float = 0.0, load_s: float = 0.0) -> list[Doubt]:
        """What is to be doubted; *load_cpu_s* is what the load took of its *load_s* seconds."""
        seconds = max(monotonic() - self._since, 0.01)
        now = self._of_others()
        others = sum(max(cpu - self._others.get(number, 0.0), 0) for number, cpu in now.items())
        found = [
            (_stolen() - self._stolen, seconds, STOLEN, "taken by the hypervisor"),
            (others, seconds, OTHERS, "used by other programs"),
            (
                load_cpu_s,
                load_s if load_s > SHORT_S else 0.0,
                LOAD,
                "used by the load, which may be what was measured",
            ),
        ]
        return [
            Doubt(used / of, what) for used, of, limit, what in found if of and used / of > limit
        ]

    def _of_others(self) -> dict[int, float]:
        everybody = processes()
        ours = family(os.getpid(), everybody)
        return {
            number: process.own
            for number, process in everybody.items()
            if number not in ours and process.parent != _KTHREADD
        }


def _stolen() -> float:
    """Seconds, of all processors."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(first[8]) * TICK if len(first) > 8 else 0.0
