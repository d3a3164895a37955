"""
Where servers are measured: one cable between a server and all its clients, and what is served.

A lab of two hosts, but with a cable of its own instead of the lab's switch, and with what network
cards do for their hosts (checksums, segmentation), which labs for firmware turn off.  The server
"boot" has 10.64.0.1 and a processor to itself; the load "lan" 10.64.0.2, another processor, and
every address of 10.65.0.0/16 behind it, as one neighbour.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from math import nan
from pathlib import Path
from typing import Any

from tests.bench import clients
from tests.bench.profiles import Profiles
from tests.end_to_end.cache import CACHE
from tests.end_to_end.lab import NETBOOTD, Lab
from tests.end_to_end.process import LabError

SERVER, CLIENTS, NODES = "10.64.0.1", "10.64.0.2", "10.65.0.1"
NETWORK, NODE_NETWORK = "10.64.0.0/16", "10.65.0.0/16"
#: MAC of the first machine; the others follow.
FIRST_MAC = 0x020000000000
MACHINES = 10_000
MIB = 1 << 20
#: What is served: names below the file root, and sizes.  74 KB is an undionly.kpxe, 174 KB an
#: snponly.efi, as Debian has them.
LOADER = "snponly.efi"
SMALL, LARGE, IMAGE = "images/small", "images/large", "images/image"
KERNEL, INITRD = "images/kernel", "images/initrd"
SIZES = {
    LOADER: 173_792,
    SMALL: 74_000,
    KERNEL: 8 * MIB,
    INITRD: 32 * MIB,
    LARGE: 64 * MIB,
    IMAGE: 1024 * MIB,
}
FILES = CACHE / "bench" / "files"


def mac(number: int) -> str:
    """That of the machine *number*, from 0."""
    return (FIRST_MAC + number).to_bytes(6, "big").hex(":")


class Ground:
    """
    The *lab*, its processors and files; *netbootd* is the program that is measured, or the folder
    of another checkout.  *profiles*: where its time goes is written down.
    """

    def __init__(
        self, lab: Lab, netbootd: Path = NETBOOTD, profiles: Profiles | None = None
    ) -> None:
        self.lab = lab
        self.netbootd = _command(netbootd)
        self.profiles = profiles
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.load_core = cores[0], cores[-1]
        #: Seconds that loads have taken, and what they used of their processor.
        self.load_s = self.load_cpu_s = 0.0
        self._cable()

    @property
    def one_core(self) -> bool:
        """Server and load have to share it."""
        return self.server_core == self.load_core

    def _cable(self) -> None:
        self.lab.ip("boot", "link del eth0")
        self.lab.ip("lan", "link del eth0")
        self.lab.ip("boot", f"link add eth0 type veth peer name eth0 netns {self.lab.prefix}lan")
        for place, address in (("boot", SERVER), ("lan", CLIENTS)):
            self.lab.ip(place, f"addr add {address}/16 broadcast + dev eth0")
            self.lab.ip(place, "link set eth0 up")
        self.lab.ip("lan", f"route add local {NODE_NETWORK} dev lo")
        self.lab.ip("boot", f"route add {NODE_NETWORK} via {CLIENTS}")

    def daemon(self) -> list[str]:
        """How the daemon is started."""
        return self.profiles.under(self.netbootd) if self.profiles else self.netbootd

    def on_core(self, core: int, *argv: str) -> list[str]:
        """
        The command line of *argv* on that processor, before other programs there.

        An ordinary scheduling class: under a real-time one the threads of a server would not
        share their processor.  Where sessions share a processor before their processes do
        (autogroup, sched(7)), it is that of a new session.
        """
        first = 'echo -20 2>/dev/null >/proc/self/autogroup; exec "$@"'
        ordinary = ("chrt", "--other", "0", "nice", "-n", "-20")
        held = (*ordinary, "taskset", "-c", str(core))
        return ["setsid", "sh", "-c", first, "sh", *held, *argv]

    def load(self, kind: str, timeout: float = 180, **settings: Any) -> dict[str, Any]:
        """What the load *kind* counted, which has to end within *timeout* s; see ``clients``."""
        given = {"server": SERVER, "mac": mac(0), **settings}
        argv = self.on_core(self.load_core, *clients.command(kind, **given))
        text = self.lab.run("lan", *argv, timeout=timeout)
        counted: dict[str, Any] = json.loads(text, object_hook=_measured)
        self.load_cpu_s += counted["load_cpu_s"]
        self.load_s += counted["seconds"]
        if counted["wrong"]:
            raise LabError(f"{counted['wrong']} wrong: {counted['problem']}")
        return counted

    @contextlib.contextmanager
    def loss(self, percent: float) -> Iterator[None]:
        """
        So many of a hundred datagrams are lost on their way, in both directions.

        Trains of datagrams are cut up before, as a card would.
        """
        self.lab.run("boot", "ethtool", "-K", "eth0", "tx-udp-segmentation", "off")
        rule = f"meta l4proto udp numgen random mod 1000 < {percent * 10:.0f} drop"
        for place in ("boot", "lan"):
            hook = "{ type filter hook input priority 0 ; }"
            text = f"add table inet loss; add chain inet loss lost {hook}; add rule inet loss lost {rule}"
            self.lab.run(place, "nft", text)
        try:
            yield
        finally:
            for place in ("boot", "lan"):
                self.lab.run(place, "nft", "delete table inet loss")
            self.lab.run("boot", "ethtool", "-K", "eth0", "tx-udp-segmentation", "on")


def _measured(values: dict[str, Any]) -> dict[str, Any]:
    """*values*, with nan for null: that of which there was none."""
    return {key: nan if value is None else value for key, value in values.items()}


def _command(netbootd: Path) -> list[str]:
    """A folder is run with this one's libraries; -P, or the current folder would come first."""
    if not netbootd.is_dir():
        return [str(netbootd)]
    return ["env", f"PYTHONPATH={netbootd}", sys.executable, "-P", "-m", "netbootd"]


def file(name: str) -> Path:
    """The file *name* below the root, made where it is missing, and kept for the next run."""
    path = FILES / name
    if not path.exists() or path.stat().st_size != SIZES[name]:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{os.getpid()}")  # others may be sending what is there
        clients.pattern(new, SIZES[name]).rename(path)
    return path


def scripts(count: int) -> Path:
    """The folder of what nginx has instead of boot scripts, by MAC."""
    folder = FILES / "scripts"
    if not (folder / mac(count - 1)).exists():
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / mac(number)).write_text(script(number))
    return folder


def everything() -> None:
    """All files that loads ask for, 1.2 GB, and read once: no server is the first to need the disk."""
    for name in SIZES:
        _read(file(name))
    for path in scripts(MACHINES).iterdir():
        _read(path)


def _read(path: Path) -> None:
    with path.open("rb", buffering=0) as opened:
        while opened.read(MIB):
            pass


def script(number: int) -> str:
    """A boot script as one would lie beside nginx, about as long as netbootd's."""
    url = f"http://{SERVER}"
    return (
        f"#!ipxe\nkernel {url}/{KERNEL} initrd=initrd console=ttyS0 hostname=node{number}\n"
        f"initrd {url}/{INITRD}\nboot\n"
    )
