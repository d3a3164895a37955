"""
Images of 1 GiB by HTTP, from the page cache: how fast, and what a GiB costs the server.
"""

from __future__ import annotations

from tests.bench.cases import Case, Figures, Load
from tests.bench.figures import Goal
from tests.bench.ground import IMAGE, SIZES
from tests.bench.servers import HTTP_PORT, Running

#: Whatever many clients have of their files by then is what counts.
SECONDS = 2
SPEED, CPU = "GB/s", "server CPU, s/GiB"


def images(clients: int, name: str = IMAGE, *, usual: bool = True) -> Case:
    def measure(running: Running) -> Figures:
        length = {"requests": 3} if clients == 1 else {"seconds": SECONDS}
        before = running.cpu()
        counted = running.ground.load(
            *("http",),
            **{"port": HTTP_PORT, "path": f"/{name}", "connections": clients, "keepalive": 0},
            **{"size": SIZES[name]},
            **length,
        )
        gib = counted["bytes"] / (1 << 30)
        return {
            SPEED: counted["gb_per_s"],
            CPU: (running.cpu() - before) / gib if gib else float("nan"),
            "failed": counted["failed"],
        }

    goals = [Goal(SPEED, 0.95, "nginx", least=True), Goal(CPU, 1.10, "nginx")]
    return Case(f"{clients} client{'s'[: clients > 1]}", measure, goals, usual=usual)


LOAD = Load(
    "images", [images(1), images(16, usual=False), images(64)], servers=["netbootd", "nginx"]
)
