"""
A hundred thousand machines: what they take of memory, and a reload of all while clients ask,
and while nodes boot.
"""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Any

from tests.bench import servers
from tests.bench.cases import Case, Figures, Load
from tests.bench.figures import Goal
from tests.bench.ground import CLIENTS, Ground
from tests.bench.loads import storm
from tests.bench.servers import Running, resident
from tests.end_to_end.lab import write_config
from tests.end_to_end.process import LabError

MACHINES = 100_000
RATE = 1000
#: Seconds that clients ask before, after, and again until it is over.
STRETCH_S = 2.0
LATE_MS = 50
#: Of the storm: about two thirds of what one processor sends.
NODES, SPREAD_S = 200, 4.0
LATE, UNANSWERED = f"late (> {LATE_MS} ms)", "not answered"
RELOADED = re.compile("reloaded[^\n]*\n")


class Crowded(Running):
    """
    netbootd with so many machines, of which so many have *asked*; *empty* is the memory (MB) of one
    that has none.
    """

    empty = 0.0
    machines = MACHINES
    asked = 0


def starts(machines: int) -> Callable[[Ground, str, Path], Crowded]:
    def start(ground: Ground, name: str, folder: Path) -> Crowded:
        with Running(ground, name, servers.with_machines(0), folder / "empty") as running:
            empty = resident(running.pid)
        crowded = Crowded(ground, name, servers.with_machines(machines), folder / "full")
        crowded.empty, crowded.machines = empty, machines
        crowded.profiled()
        return crowded

    return start


def _memory(running: Running) -> Figures:
    assert isinstance(running, Crowded)
    used = resident(running.pid) - running.empty
    return {
        "KB a machine": used * 1024 / running.machines,
        "start to ready, s": running.took,
        "memory, MB": resident(running.pid),
    }


def reloading(nodes: int = 0, stretch_s: float = STRETCH_S) -> Callable[[Running], Figures]:
    """
    Clients ask at RATE, for a *stretch_s* before every machine is given another name, as often as it
    takes until that is done, and one more; so many *nodes* of a storm boot meanwhile.
    """

    def measure(running: Running) -> Figures:
        assert isinstance(running, Crowded)
        asked: list[dict[str, Any]] = []
        storms: list[Figures] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                asked.append(_probe(running, stretch_s))
            asked.append(_probe(running, stretch_s))

        def boot() -> None:
            storms.append(storm.storm(nodes, SPREAD_S).measure(running))

        works = [
            threading.Thread(target=work, daemon=True) for work in [ask, boot][: 1 + bool(nodes)]
        ]
        # Made before: that takes a second of a processor, which may be that of the clients.
        file = write_config(running.folder / "renamed.json", _renamed(running))
        for work in works:
            work.start()
        took, problem = nan, None
        try:
            time.sleep(stretch_s)
            took = _reload(running, file)
        except LabError as found:
            problem = found
        finally:
            done.set()
        for work in works:
            work.join()
        if problem:
            raise problem
        if len(asked) < 2 or (nodes and not storms):
            raise LabError("the load did not run")
        figures = {
            LATE: sum(one["late"] for one in asked),
            UNANSWERED: sum(one["lost"] for one in asked),
            "longest, ms": max(one["exchange"]["max"] for one in asked),
            "p99 at most, ms": max(one["exchange"]["p99"] for one in asked),
            "reload, s": took,
        }
        for of_storm in storms:
            names = (storm.FAILED, storm.AGAIN, storm.TFTP, storm.SCRIPT, storm.WALL)
            figures |= {name: of_storm[name] for name in names}
        return figures

    return measure


def _probe(running: Crowded, seconds: float) -> dict[str, Any]:
    """
    DISCOVERs by a relay, so that a storm's broadcast answers and these do not meet.

    They are of all machines, and each stretch of time is of others.
    """
    settings: dict[str, Any] = {"mode": "offer", "distinct": running.machines, "relay": CLIENTS}
    settings |= {"rate": RATE, "seconds": seconds, "late_ms": LATE_MS}
    running.asked += int(RATE * seconds)
    return running.ground.load("dhcp", first=running.asked, **settings)


def _renamed(running: Running) -> dict[str, Any]:
    """The configuration in which all machines have other names."""
    config: dict[str, Any] = json.loads((running.folder / "netbootd.json").read_text())
    for entry in config["machines"].values():
        if "hostname" in entry:
            entry["hostname"] += "-x"
    return config


def _reload(running: Running, file: Path, patience_s: float = 60) -> float:
    """Seconds until it has the configuration in *file*."""
    already = len(RELOADED.findall(running.said()))
    file.rename(running.folder / "netbootd.json")
    begun = time.perf_counter()
    running.send(signal.SIGHUP)
    while len(RELOADED.findall(running.said())) <= already:
        if time.perf_counter() - begun > patience_s:
            raise LabError("it did not say that it has reloaded")
        time.sleep(0.02)
    return time.perf_counter() - begun


LOAD = Load(
    "reload",
    [
        Case(f"{MACHINES:,} machines", _memory, [Goal("KB a machine", 1.0)], seldom=True),
        Case(
            f"reload of {MACHINES:,} machines at {RATE:,} DISCOVERs/s",
            reloading(),
            [Goal(LATE, 0), Goal(UNANSWERED, 0)],
            seldom=True,
        ),
        Case(
            f"the same in a storm of {NODES} nodes",
            reloading(NODES),
            [Goal(LATE, 0), Goal(UNANSWERED, 0), Goal(storm.FAILED, 0), Goal(storm.AGAIN, 0)],
            seldom=True,
        ),
    ],
    servers=["netbootd"],
    start=starts(MACHINES),
)
