"""
A storm: nodes switched on within a second, from the first DISCOVER to the last byte of the initrd.

Each asks by DHCP and on port 4011, loads iPXE by TFTP as EDK2 does, asks again as iPXE, gets its
script, and then 8 MiB of kernel and 32 MiB of initrd.
"""

from __future__ import annotations

from tests.bench.cases import Case, Figures, Load
from tests.bench.figures import Goal
from tests.bench.ground import INITRD, KERNEL, LOADER, NODES, SERVER, file
from tests.bench.servers import HTTP_PORT, Running

PEER = "dnsmasq + nginx"
WALL, CPU, MEMORY = "wall, s", "server CPU, ms/node", "memory at most, MB"
FAILED, AGAIN = "failed", "DISCOVERs asked again"
TFTP, SCRIPT = "TFTP p99, ms", "boot script p99, ms"
GOALS = {
    100: [Goal(WALL, 1.0, PEER)],
    500: [Goal(WALL, 0.75, PEER), Goal(CPU, 0.75, PEER)],
    2000: [Goal(WALL, 0.75, PEER)],
}
USUAL = [
    *(Goal(TFTP, 1.2, PEER), Goal(SCRIPT, 0.01, PEER)),
    *(Goal(FAILED, 0), Goal(AGAIN, 0), Goal(MEMORY, 120)),
]


def storm(nodes: int, spread_s: float = 1, *, seldom: bool = False) -> Case:
    """So many, switched on evenly over *spread_s* seconds."""

    def measure(running: Running) -> Figures:
        before = running.cpu()
        if running.name == "netbootd":
            script = {"ipxe": 1}
        else:
            script = {"script": f"http://{SERVER}:{HTTP_PORT}/scripts/{{mac}}"}
        counted = running.ground.load(
            *("storm",),
            **{"count": nodes, "spread": spread_s, "firmware": "uefi", "nodes": NODES, **script},
            **{"loader": file(LOADER), "kernel": file(KERNEL), "initrd": file(INITRD)},
        )
        return {
            WALL: counted["wall"],
            CPU: (running.cpu() - before) * 1000 / nodes,
            TFTP: counted["tftp"]["p99"],
            SCRIPT: counted["script"]["p99"],
            "node p50, s": counted["node"]["p50"] / 1000,
            FAILED: counted["failed"],
            AGAIN: counted["again"],
            MEMORY: running.memory(),
        }

    return Case(f"{nodes:,} nodes", measure, [*GOALS.get(nodes, ()), *USUAL], seldom=seldom)


LOAD = Load(
    "storm",
    [storm(100), storm(500), storm(2000, seldom=True)],
    servers=["netbootd", PEER],
    fresh=True,
)
