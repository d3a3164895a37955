"""
Answers of a proxy: how many a second, how late, and what becomes of a crowd.

The clients are UEFI firmware of x64 PCs, by broadcast.  A pair is DISCOVER and OFFER, then REQUEST
and ACK on port 4011.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.cases import Case, Figures, Load
from tests.bench.figures import Goal
from tests.bench.servers import Running

SECONDS = 1.5
WINDOW = 64
BURST = 2000
RATE = 1000
ANSWERS, CPU, LATE, LOST = "answers/s", "server CPU, µs each", "p99, ms", "not answered"


def fast(
    mode: str, distinct: int, seconds: float = SECONDS, *, servers: Sequence[str] = ()
) -> Case:
    """As many as the server can, with WINDOW of them under way."""

    def measure(running: Running) -> Figures:
        before = running.cpu()
        counted = running.ground.load(
            "dhcp", mode=mode, distinct=distinct, window=WINDOW, seconds=seconds
        )
        answers = counted["answers"]
        return {
            ANSWERS: counted["per_second"],
            CPU: (running.cpu() - before) * 1e6 / max(answers, 1),
            LATE: counted["exchange"]["p99"],
            "asked again": counted["again"],
        }

    many = f"{distinct:,} machine{'s'[: distinct > 1]}"
    limit = 2.0 if mode == "pair" else 2.5
    goals = [Goal(ANSWERS, limit, "dnsmasq", least=True)]
    what = {"offer": "offers", "pair": "offer and 4011"}[mode]
    return Case(f"{what}, {many}", measure, goals, servers)


def at_a_rate(rate: int, seconds: float) -> Case:
    """So many ask in each second, and none twice."""

    def measure(running: Running) -> Figures:
        settings = {"mode": "offer", "distinct": 10_000}
        counted = running.ground.load("dhcp", rate=rate, seconds=seconds, **settings)
        return {
            LATE: counted["exchange"]["p99"],
            "p50, ms": counted["exchange"]["p50"],
            LOST: counted["lost"],
        }

    return Case(f"offers at {rate:,}/s", measure, [Goal(LATE, 1.2, "dnsmasq")])


def burst(distinct: int) -> Case:
    """All at once: what does not fit the server's buffer is lost, and a firmware waits 4 s."""

    def measure(running: Running) -> Figures:
        counted = running.ground.load("dhcp", mode="offer", distinct=distinct, burst=distinct)
        return {LOST: counted["lost"], LATE: counted["exchange"]["p99"]}

    return Case(f"a burst of {distinct:,} DISCOVERs", measure, [Goal(LOST, 0)])


LOAD = Load(
    "dhcp",
    [
        burst(BURST),
        fast("offer", 1),
        fast("offer", 10_000, servers=["netbootd", "dnsmasq", "PyPXE"]),
        fast("pair", 1),
        fast("pair", 10_000),
        at_a_rate(RATE, 2),
    ],
    servers=["netbootd", "dnsmasq"],
    more=["PyPXE"],
)
