"""
How long netbootd takes to start, and its commands to answer.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from tests.bench import servers
from tests.bench.cases import Case, Figures, Load
from tests.bench.figures import Goal
from tests.bench.ground import Ground, mac
from tests.bench.servers import Running

TIMES = 3
FEW = 100


def start(ground: Ground, name: str, folder: Path) -> Running:
    # Once before, so that its modules are compiled, as an installation does.
    server = servers.with_machines(FEW)
    Running(ground, name, server, folder / "before").close()
    return Running(ground, name, server, folder / "start")


def _ready(running: Running) -> Figures:
    return {"start to ready, s": running.took, "memory, MB": servers.resident(running.pid)}


def commands(running: Running) -> Figures:
    config = str(running.folder / "netbootd.json")
    return {
        "--help, s": _seconds(running, "--help"),
        "show MAC, s": _seconds(running, "show", "--config", config, mac(1)),
        "status, s": _seconds(running, "status", "--config", config),
    }


def _seconds(running: Running, *words: str) -> float:
    """The median of a few; a failure is a LabError."""
    ground, took = running.ground, []
    for _ in range(TIMES):
        begun = time.perf_counter()
        argv = ground.on_core(ground.server_core, *ground.netbootd, *words)
        ground.lab.run("boot", *argv)
        took.append(time.perf_counter() - begun)
    return median(took) - _nothing(running)


def _nothing(running: Running) -> float:
    """Seconds that it takes to start any program there."""
    ground, took = running.ground, []
    for _ in range(TIMES):
        begun = time.perf_counter()
        ground.lab.run("boot", *ground.on_core(ground.server_core, "true"))
        took.append(time.perf_counter() - begun)
    return median(took)


LOAD = Load(
    "start",
    [
        Case(f"{FEW} machines", _ready, [Goal("start to ready, s", 0.6)]),
        Case(
            "commands",
            commands,
            [Goal("--help, s", 0.1), Goal("show MAC, s", 0.1), Goal("status, s", 0.1)],
        ),
    ],
    servers=["netbootd"],
    start=start,
)
