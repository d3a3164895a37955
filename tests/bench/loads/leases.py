"""
Leases: how many a second, and how long a client waits for its address, beside dnsmasq and Kea.

Clients without an address come by a relay, 64 of them at any time; or so many begin in each second
and none asks twice.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench import servers
from tests.bench.cases import Case, Figures, Load
from tests.bench.ground import CLIENTS, Ground
from tests.bench.servers import Running
from tests.end_to_end.process import LabError

WINDOW = 64
SECONDS = 2
RATE = 500


def start(ground: Ground, name: str, folder: Path) -> Running:
    return servers.start(ground, name, folder, "leases")


def fast(relay: str, seconds: float = SECONDS, *, usual: bool = True) -> Case:
    def measure(running: Running) -> Figures:
        settings = _way(relay) | {"mode": "lease", "distinct": 50_000}
        before = running.cpu()
        counted = running.ground.load("dhcp", window=WINDOW, seconds=seconds, **settings)
        if counted["addresses"] != counted["answers"]:
            told = f"{counted['answers']} leases of only {counted['addresses']} addresses"
            raise LabError(told)
        return {
            "leases/s": counted["per_second"],
            "server CPU, ms each": (running.cpu() - before) * 1000 / max(counted["answers"], 1),
            "asked again after 1 s": counted["again"],
            "refused": counted["refused"],
            "memory at most, MB": running.memory(),
        }

    way = "by a relay" if relay else "by broadcast"
    return Case(f"as fast as may be, {way}", measure, usual=usual)


def steady(relay: str, seconds: float = SECONDS, *, usual: bool = True) -> Case:
    def measure(running: Running) -> Figures:
        # Others than those that have an address already.
        settings = _way(relay) | {"mode": "lease", "distinct": 50_000, "first": 50_000}
        counted = running.ground.load("dhcp", rate=RATE, seconds=seconds, **settings)
        return {
            "lease p50, ms": counted["exchange"]["p50"],
            "lease p99, ms": counted["exchange"]["p99"],
            "offer p99, ms": counted["offer"]["p99"],
            "without": counted["lost"],
        }

    way = "by a relay" if relay else "by broadcast"
    return Case(f"{RATE:,} a second, {way}", measure, usual=usual)


def _way(relay: str) -> dict[str, str]:
    return {"relay": relay} if relay else {}


LOAD = Load(
    "leases",
    [
        *(fast(CLIENTS), steady(CLIENTS, usual=False)),
        *(fast("", usual=False), steady("", usual=False)),
    ],
    servers=["netbootd", "dnsmasq", "Kea"],
    start=start,
    fresh=True,
    usual=False,
)
