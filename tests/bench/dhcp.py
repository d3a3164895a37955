"""
How many leases a second, how long a client waits, and how much memory: netbootd, dnsmasq and Kea
side by side, in one run on one machine.

``make bench`` (root) prints a table.  Nothing here is a test: figures are for people to compare,
and only the ratios mean something on another machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.servers import CLIENTS, SERVER, SERVERS, Running, Server
from tests.end_to_end import neighbours
from tests.end_to_end.cache import CACHE
from tests.end_to_end.lab import Lab
from tests.end_to_end.process import LabError

#: Of the 64,000 that the pool has room for.
CLIENTS_AT_ONCE = 10_000
RATE = 1000


@dataclass(frozen=True)
class Figures:
    """What was measured of one *server*; the keys of *fast* and *steady* are those of ``load``."""

    server: Server
    fast: dict[str, Any]
    steady: dict[str, Any]
    cpu_ms: float
    memory: float
    perfdhcp: dict[str, float]

    def rows(self) -> Iterator[tuple[str, float]]:
        """What the table has of it; nan is printed as a dash."""
        yield "leases/s, as fast as it can", self.fast["leases"] / self.fast["seconds"]
        yield "  asked again after 1 s", self.fast["again"]
        yield "  processor, ms a lease", self.cpu_ms
        yield f"at {RATE}/s: lease p50, ms", self.steady["lease_p50"]
        yield f"at {RATE}/s: lease p99, ms", self.steady["lease_p99"]
        yield f"at {RATE}/s: longest, ms", self.steady["lease_max"]
        yield f"at {RATE}/s: offer p99, ms", self.steady["offer_p99"]
        yield f"at {RATE}/s: lost", self.steady["lost"]
        yield "memory at most, MB", self.memory
        for name, value in self.perfdhcp.items():
            yield f"perfdhcp: {name}", value


class Bench:
    """One lab for all; each measurement begins with a new server that has no leases."""

    def __init__(self, lab: Lab, folder: Path, *, direct: bool, clients: int, seconds: int) -> None:
        self._lab, self._folder, self._direct = lab, folder, direct
        self._clients, self._seconds = clients, seconds
        cores = sorted(os.sched_getaffinity(0))
        self._for_clients = str(cores[-1])
        self._for_server = ",".join(map(str, cores[:-1] or cores))
        for place, address in (("boot", SERVER), ("lan", CLIENTS)):
            lab.ip(place, "addr flush dev eth0")
            lab.ip(place, f"addr add {address}/16 broadcast + dev eth0")

    def measure(self, server: Server) -> Figures:
        print(f"{server.name} …", file=sys.stderr)
        running = self.begin(server, "fast")
        before = running.cpu()
        fast = self.load(clients=self._clients)
        cpu_ms = (running.cpu() - before) * 1000 / max(fast["leases"], 1)
        memory = running.memory()
        running.close()

        running = self.begin(server, "steady")
        steady = self.load(clients=RATE * self._seconds, rate=RATE)
        steady["lost"] = RATE * self._seconds - steady["leases"]
        running.close()
        return Figures(server, fast, steady, cpu_ms, memory, self._perfdhcp(server))

    def begin(self, server: Server, name: str) -> Running:
        return Running(self._lab, server, self._folder / server.name / name, self._for_server)

    def load(self, **settings: Any) -> dict[str, Any]:
        settings |= {"server": SERVER, "relay": "" if self._direct else CLIENTS}
        text = self._lab.run(
            *("lan", "taskset", "-c", self._for_clients, sys.executable),
            *("-m", "tests.bench.load", json.dumps(settings)),
            timeout=400,
        )
        found: dict[str, Any] = json.loads(text)
        if found["addresses"] != found["leases"]:
            raise LabError(f"{found['leases']} leases of only {found['addresses']} addresses")
        return found

    def _perfdhcp(self, server: Server) -> dict[str, float]:
        """Kea's own load program: the share of exchanges at the rate that came to an end."""
        program = neighbours.NEIGHBOURS.folder / "tree/usr/sbin/perfdhcp"
        if not program.exists() or self._direct:
            return {}
        running = self.begin(server, "perfdhcp")
        argv = (
            *neighbours.with_own_libraries(self._folder),
            *("taskset", "-c", self._for_clients, str(program), "-4", "-l", CLIENTS),
            *("-r", str(RATE), "-p", str(self._seconds), "-R", "30000", "-g", "single", SERVER),
        )
        # Its exit status is 3 where any answer is missing.
        text = self._lab.run("lan", "sh", "-c", '"$@" || [ $? = 3 ]', "sh", *argv, timeout=120)
        running.close()
        drops = [int(number) for number in re.findall(r"drops: (-?\d+)", text)]
        delays = [float(number) for number in re.findall(r"avg delay: ([\d.]+) ms", text)]
        return {
            "offer, ms on average": delays[0] if delays else float("nan"),
            "ack, ms on average": delays[1] if len(delays) > 1 else float("nan"),
            "lost": float(sum(drops)),
        }


def syncs(folder: Path) -> float:
    """How often a second this disk confirms a small write, one after the other."""
    with tempfile.TemporaryFile(dir=folder) as file:
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < 1:
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            count += 1
    return count


def table(measured: list[Figures]) -> Iterator[str]:
    """A row for each figure: those of each server, and how many times the first one's they are."""
    names = [figures.server.name for figures in measured]
    ratios = [f"{name}/{names[0]}" for name in names[1:]]
    yield f"{'':32}" + "".join(f"{name:>18}" for name in (*names, *ratios))
    for rows in zip(*(figures.rows() for figures in measured), strict=True):
        values = [value for _, value in rows]
        cells = [f"{value:.0f}" if value >= 100 else f"{value:.2f}" for value in values]
        cells += [f"{value / values[0]:.2f}" if values[0] else "-" for value in values[1:]]
        yield f"{rows[0][0]:32}" + "".join(f"{cell:>18}" for cell in cells)
    for figures in measured:
        yield f"{figures.server.name}: a lease that is confirmed is {figures.server.durable}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("servers", nargs="*", help=f"of {', '.join(SERVERS)}; all by default")
    parser.add_argument("--direct", action="store_true", help="clients broadcast, without a relay")
    parser.add_argument("--clients", type=int, default=CLIENTS_AT_ONCE, help="that want an address")
    parser.add_argument("--seconds", type=int, default=10, help=f"of {RATE} clients each")
    parser.add_argument("--folder", type=Path, default=CACHE, help="on the disk to measure")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.folder, prefix="bench-"))
    try:
        with Lab() as lab:
            how = {"direct": given.direct, "clients": given.clients, "seconds": given.seconds}
            bench = Bench(lab, folder, **how)
            print(f"{syncs(folder):.0f} small writes a second are confirmed by this disk")
            chosen = given.servers or list(SERVERS)
            print(*table([bench.measure(SERVERS[name]) for name in chosen]), sep="\n")
    except LabError as problem:
        raise SystemExit(str(problem)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
