"""
The DHCP servers that are measured, each as Debian or pfSense would run it.

All have the same network, pool, options and lease time, ask nobody whether an address is in use,
and log to a file what they log by default.  What they have written down when an ACK leaves differs:

netbootd
    the lease is in SQLite and the disk has been told to keep it (fsync); many are told of at once
Kea
    memfile: a line is appended to a file, which the kernel writes when it likes
dnsmasq
    its whole file is written anew in place, and the disk has been told to keep it, for each lease
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end import neighbours
from tests.end_to_end.lab import NETBOOTD, Lab, write_config
from tests.end_to_end.process import LabError, Process

SERVER, CLIENTS = "10.64.0.1", "10.64.0.2"
NETWORK, NETMASK = "10.64.0.0/16", "255.255.0.0"
FIRST, LAST = "10.64.1.0", "10.64.250.255"  # 64,000 addresses
SECONDS = 3600
ROUTER, DNS, NTP, DOMAIN = "10.64.0.1", "10.64.0.3", "10.64.0.4", "example.org"
#: Where the kernel counts what a process has used: clock ticks of 1/100 s (proc(5)).
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """
    *argv* is its command line, and its files go to a folder; *ready* stands in its log once it
    serves.  *durable* says in a few words what is on the disk when an ACK leaves.
    """

    name: str
    argv: Callable[[Lab, Path], Sequence[str]]
    ready: str
    durable: str


class Running:
    """A *server* that runs in the namespace "boot" of *lab*, on the processors *cores*."""

    def __init__(self, lab: Lab, server: Server, folder: Path, cores: str) -> None:
        folder.mkdir(parents=True)
        self.log = folder / "log"
        into = f'exec "$@" >"{self.log}" 2>&1'
        argv = ("taskset", "-c", cores, *server.argv(lab, folder))
        self._process: Process = lab.spawn("boot", "sh", "-c", into, "sh", *argv)
        self._wait_for(server.ready, 30)

    def _wait_for(self, pattern: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not (self.log.exists() and re.search(pattern, self.log.read_text())):
            if self._process.returncode is not None or time.monotonic() > deadline:
                raise LabError(f"{self._process.name} did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """MB that it had at most (VmHWM)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.close()


def _netbootd(lab: Lab, folder: Path) -> Sequence[str]:
    (folder / "srv").mkdir()
    config = {
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(folder / "srv"),
            "firmware": [],
            "state": str(folder / "state"),
        },
        "subnets": {
            NETWORK: {
                "dhcp": "server",
                "pools": [f"{FIRST}-{LAST}"],
                "router": ROUTER,
                "dns": DNS,
                "ntp": NTP,
                "domain": DOMAIN,
                "lease_time": SECONDS,
                "probe": False,
                "port_limit": 0,
            }
        },
    }
    file = write_config(folder / "netbootd.json", config)
    return str(NETBOOTD), "run", "--config", str(file)


def _dnsmasq(lab: Lab, folder: Path) -> Sequence[str]:
    return (
        *("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--interface=eth0", "--bind-interfaces", "--dhcp-authoritative", "--no-ping"),
        *(f"--dhcp-range={FIRST},{LAST},{NETMASK},{SECONDS}", "--dhcp-lease-max=1000000"),
        *(f"--dhcp-leasefile={folder}/leases", f"--dhcp-option=3,{ROUTER}"),
        *(f"--dhcp-option=6,{DNS}", f"--dhcp-option=42,{NTP}", f"--dhcp-option=15,{DOMAIN}"),
    )


def _kea(lab: Lab, folder: Path) -> Sequence[str]:
    options = {
        "routers": ROUTER,
        "domain-name-servers": DNS,
        "ntp-servers": NTP,
        "domain-name": DOMAIN,
    }
    config = {
        "interfaces-config": {"interfaces": ["eth0"], "dhcp-socket-type": "raw"},
        "lease-database": {"type": "memfile", "persist": True, "name": f"{folder}/leases.csv"},
        "valid-lifetime": SECONDS,
        "option-data": [{"name": name, "data": data} for name, data in options.items()],
        "subnet4": [{"id": 1, "subnet": NETWORK, "pools": [{"pool": f"{FIRST}-{LAST}"}]}],
        "loggers": [
            {
                "name": "kea-dhcp4",
                "severity": "INFO",
                "output_options": [{"output": str(folder / "log")}],
            }
        ],
    }
    file = folder / "kea.json"
    file.write_text(json.dumps({"Dhcp4": config}))
    program = str(neighbours.file("sbin/kea-dhcp4"))
    return *neighbours.with_own_libraries(folder), program, "-c", str(file)


SERVERS = {
    "netbootd": Server("netbootd", _netbootd, r"\bready\b", "on the disk (fsync, in groups)"),
    "dnsmasq": Server(
        "dnsmasq", _dnsmasq, "DHCP, IP range", "on the disk (fsync, the whole file for each)"
    ),
    "kea": Server("Kea", _kea, "DHCP4_STARTED", "with the kernel, not on the disk yet"),
}
