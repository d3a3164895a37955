"""
Files by TFTP, as boot clients ask for them: in lock step or by windows, on a clean line and with
loss.  Every byte of every file is compared.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product

from tests.bench.cases import Case, Figures, Load
from tests.bench.figures import Goal
from tests.bench.ground import LARGE, LOADER, NODES, SIZES, SMALL, file
from tests.bench.servers import Running

SPEED, CPU, LATE, FAILED = "MB/s", "server CPU, ms/MB", "transfer p99, ms", "failed"
#: Seconds of a load of small files.
SECONDS = 1.5
LOSSY_S = 3


@dataclass(frozen=True)
class Transfers:
    """
    Of *file* by so many *clients*, each at its next when one is over.

    *loss* is in per cent of datagrams; *once*: each client has one transfer, all at the same time.
    """

    file: str
    clients: int
    blksize: int
    windowsize: int
    loss: float = 0
    once: bool = False
    seconds: float = SECONDS

    def __str__(self) -> str:
        window = "lock step" if self.windowsize == 1 else f"windowsize {self.windowsize}"
        size = SIZES[self.file]
        how_large = f"{round(size / 1000)} KB" if size < 1e6 else f"{size >> 20} MiB"
        lost = f", {self.loss:g} % lost" if self.loss else ""
        many = f"{self.clients} client{'s'[: self.clients > 1]}"
        return f"{how_large}, {many}, blksize {self.blksize}, {window}{lost}"

    def measure(self, running: Running) -> Figures:
        settings = {"file": self.file, "clients": self.clients, "verify": file(self.file)}
        settings |= {"blksize": self.blksize, "tsize": 1, "nodes": NODES}
        if self.windowsize > 1:
            settings["windowsize"] = self.windowsize
        if self.once or SIZES[self.file] > 1e6:
            settings["transfers"] = self.clients
        else:
            settings["seconds"] = LOSSY_S if self.loss else self.seconds
        before = running.cpu()
        with running.ground.loss(self.loss) if self.loss else nullcontext():
            counted = running.ground.load("tftp", **settings)
        megabytes = counted["bytes"] / 1e6
        return {
            SPEED: counted["mb_per_s"],
            CPU: (running.cpu() - before) * 1000 / megabytes if megabytes else float("nan"),
            LATE: counted["transfer"]["p99"],
            FAILED: counted["failed"],
        }

    def case(self, *goals: Goal, servers: tuple[str, ...] = (), usual: bool = True) -> Case:
        return Case(str(self), self.measure, goals, servers, usual)


def beside(peer: str, limit: float) -> Goal:
    return Goal(SPEED, limit, peer, least=True)


def usual() -> list[Case]:
    """What the goals are about, and a little of all else."""
    three = ("netbootd", "dnsmasq", "atftpd")
    windowed = ("netbootd", "atftpd")
    everybody = (*three, "tftpd-hpa", "tftpy", "PyPXE")
    return [
        Transfers(SMALL, 1, 512, 1, seconds=1).case(servers=three[:2]),
        Transfers(SMALL, 16, 1468, 1).case(beside("dnsmasq", 1.0), servers=everybody),
        Transfers(SMALL, 200, 1468, 1).case(beside("dnsmasq", 0.95), servers=three[:2]),
        Transfers(LOADER, 16, 1428, 4).case(beside("dnsmasq", 2.0)),
        Transfers(LARGE, 4, 1468, 16).case(beside("atftpd", 4.0), servers=windowed),
        Transfers(LARGE, 1, 1468, 64).case(servers=windowed),
        Transfers(SMALL, 500, 1468, 1, once=True).case(Goal(FAILED, 0), servers=three[:2]),
        *(
            Transfers(LOADER, 16, 1428, window, loss=1).case(
                beside("atftpd", 8.0), beside("dnsmasq", 8.0), servers=three
            )
            for window in (1, 4)
        ),
        Transfers(LOADER, 16, 1428, 4, loss=3).case(servers=windowed),
    ]


def matrix() -> list[Case]:
    """Everything else.  Where a lossy line takes long, small files alone."""
    lists = (1, 16, 200, 500), (512, 1468), (1, 4, 16, 64)
    clean = [Transfers(SMALL, *how) for how in product(*lists)]
    large = [Transfers(LARGE, *how) for how in product((1, 16), (512, 1468), (1, 4, 16, 64))]
    lossy = [
        Transfers(SMALL, clients, 1468, window, loss)
        for clients, window, loss in product((1, 16, 200), (1, 4, 16), (1, 3))
    ]
    lossy += [Transfers(LOADER, 16, 1428, 16, loss=1)]
    return [transfers.case(usual=False) for transfers in (*clean, *large, *lossy)]


def _cases() -> list[Case]:
    first = usual()
    names = {case.name for case in first}
    return [*first, *(case for case in matrix() if case.name not in names)]


LOAD = Load(
    "tftp",
    _cases(),
    servers=["netbootd", "dnsmasq", "atftpd"],
    more=["tftpd-hpa", "tftpy", "PyPXE"],
)
