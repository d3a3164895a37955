"""
Boot scripts by HTTP, of ten thousand machines in turn.  nginx has a ready file for each.
"""

from __future__ import annotations

from tests.bench.cases import Case, Figures, Load
from tests.bench.figures import Goal
from tests.bench.ground import MACHINES
from tests.bench.servers import HTTP_PORT, Running

SECONDS = 1.5
CONNECTIONS = 32
SCRIPTS = "scripts/s"


def scripts(*, keep: bool, seconds: float = SECONDS) -> Case:
    def measure(running: Running) -> Figures:
        path = "/{mac}" if running.name == "netbootd" else "/scripts/{mac}"
        before = running.cpu()
        counted = running.ground.load(
            *("http",),
            **{"port": HTTP_PORT, "path": path, "distinct": MACHINES, "keepalive": int(keep)},
            **{"connections": CONNECTIONS, "seconds": seconds, "expect": "#!ipxe"},
        )
        return {
            SCRIPTS: counted["per_second"],
            "server CPU, µs each": (running.cpu() - before) * 1e6 / max(counted["requests"], 1),
            "p99, ms": counted["request"]["p99"],
            "failed": counted["failed"],
        }

    goals = [] if keep else [Goal(SCRIPTS, 0.6, "nginx", least=True)]
    return Case("connections kept" if keep else "a connection for each", measure, goals)


LOAD = Load("http", [scripts(keep=False), scripts(keep=True)], servers=["netbootd", "nginx"])
