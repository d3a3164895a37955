"""
The servers that are measured, each as an administrator would set it up, with the log it has by
default, in a file.

Whoever gives leases has the same pool, options and lease time, and asks nobody whether an address
is in use.  What each does before it confirms a lease differs:

netbootd
    the lease is in SQLite and the disk has been told to keep it (fsync); many are told of at once
Kea
    memfile: a line is appended to a file, which the kernel writes when it likes
dnsmasq
    its whole file is written anew in place, and the disk has been told to keep it, for each lease
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from tests.bench import busy, peers
from tests.bench.ground import (
    FILES,
    INITRD,
    KERNEL,
    LOADER,
    MACHINES,
    NETWORK,
    NODE_NETWORK,
    SERVER,
    Ground,
    mac,
)
from tests.end_to_end import neighbours
from tests.end_to_end.lab import write_config
from tests.end_to_end.process import LabError, Process

NETMASK, BROADCAST = "255.255.0.0", "10.64.255.255"
FIRST, LAST = "10.64.1.0", "10.64.250.255"  # 64,000 addresses
SECONDS = 3600
ROUTER, DNS, NTP, DOMAIN = "10.64.0.1", "10.64.0.3", "10.64.0.4", "example.org"
#: Seconds until a server has to serve.
PATIENCE_S = 60.0
#: Seconds in which netbootd loads what it need not have to be ready.
REST_S = 0.7
HTTP_PORT = 80
#: Seconds that netbootd waits at its end for transfers; of a run that is cut short none comes to its own.
GRACE_S = 1
READY = r"\bready\b"

Argv = Sequence[str]


@dataclass(frozen=True)
class Server:
    """
    *programs* makes the command lines, whose files go to a folder.

    It serves once *ready* stands in its log, and the ports are *bound* (``udp:69``).  *counted*:
    the kernel adds up the processor time of its processes, also of those that have ended.
    """

    programs: Callable[[Ground, Path], Sequence[Argv]]
    ready: str = ""
    bound: Sequence[str] = ()
    counted: bool = True


class Running:
    """The server *name*, on its processor of the *ground*, its files in *folder*."""

    def __init__(self, ground: Ground, name: str, server: Server, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.ground, self.name, self.folder = ground, name, folder
        self._server = server
        self.log = folder / "log"
        self._processes: list[Process] = []
        begun = time.perf_counter()
        try:
            for argv in server.programs(ground, folder):
                self._start(argv)
            self._wait_for(server)
        except BaseException:
            self.close()
            raise
        #: Seconds from its start until it served.
        self.took = time.perf_counter() - begun

    def _start(self, argv: Argv) -> None:
        into = f'exec "$@" >>"{self.log}" 2>&1'
        on_core = self.ground.on_core(self.ground.server_core, "sh", "-c", into, "sh", *argv)
        self._processes.append(self.ground.lab.spawn("boot", *on_core))

    def _wait_for(self, server: Server) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not self._serves(server):
            ended = any(process.returncode is not None for process in self._processes)
            if ended or time.monotonic() > deadline:
                raise LabError(f"{self.name} did not start:\n{self.said()[-2000:]}")
            time.sleep(0.01)

    def _serves(self, server: Server) -> bool:
        if server.ready and not re.search(server.ready, self.said()):
            return False
        return not server.bound or set(server.bound) <= bound(self.ground)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def pid(self) -> int:
        """Of its first program."""
        return self._processes[0].pid

    def cpu(self) -> float:
        """Seconds of processor time so far, of all its processes; nan if nobody knows."""
        if not self._server.counted:
            return nan
        roots = [process.pid for process in self._processes]
        return busy.cpu_of(roots, self.ground.server_core)

    def memory(self) -> float:
        """MB that its processes have had at most (VmHWM)."""
        everybody = busy.processes()
        members: set[int] = set()
        for process in self._processes:
            members |= busy.family(process.pid, everybody)
        return sum(resident(pid, "VmHWM") for pid in members)

    def alive(self) -> None:
        """Raises LabError, with the end of its log, if one of its programs has ended."""
        if any(process.returncode is not None for process in self._processes):
            raise LabError(f"{self.name} has ended: {self.said()[-2000:]}")

    def send(self, number: Any) -> None:
        """A signal, to its first program."""
        self._processes[0].send(number)

    def profiled(self) -> None:
        """From now on, where profiles are wanted."""
        if self.ground.profiles:
            self.ground.profiles.begin(self.pid)

    def close(self) -> None:
        """End it, and what it has started: a TFTP server that forks leaves transfers behind."""
        for process in self._processes:
            process.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it began a session (``on_core``)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def resident(pid: int, field: str = "VmRSS") -> float:
    """MB of the process *pid*, now (VmRSS) or at most (VmHWM): proc(5); 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def bound(ground: Ground) -> set[str]:
    """The ports that somebody has on the server's host, as ``udp:69`` (proc_net_tcp(5))."""
    found = set()
    text = ground.lab.run("boot", "cat", "/proc/net/udp", "/proc/net/tcp")
    kind, tables = "", iter(("udp", "tcp"))
    for line in text.splitlines():
        fields = line.split()
        if fields[0] == "sl":
            kind = next(tables)
        elif kind == "udp" or fields[3] == "0A":  # listens
            found.add(f"{kind}:{int(fields[1].partition(':')[2], 16)}")
    return found


def start(ground: Ground, name: str, folder: Path, kind: str = "boot") -> Running:
    """
    The server *name*, once it serves and has come to rest: to *boot*, or to give *leases*.

    Raises LabError where it does not start, or is not there.
    """
    running = Running(ground, name, (LEASING if kind == "leases" else BOOTING)[name], folder)
    if name == "netbootd":
        time.sleep(REST_S)
        running.profiled()
    return running


def configuration(folder: Path, machines: int = MACHINES) -> dict[str, Any]:
    """netbootd's, for so many *machines* that all boot the same."""
    entries = {
        mac(number): {"type": "linux", "name": "bench", "hostname": f"node{number}"}
        for number in range(machines)
    }
    return {
        "boot_servers": {"default": SERVER},
        "targets": {
            "linux": {
                "bench": {
                    "kernel": KERNEL,
                    "initrd": INITRD,
                    "boot_args": "console=ttyS0 hostname=__hostname__",
                }
            }
        },
        "machines": {**entries, "default": {"type": "linux", "name": "bench"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "http_port": HTTP_PORT,
            "files": str(FILES),
            "firmware": [],
            "state": str(folder / "state"),
            # What runs when it is ended has no client any more.
            "grace": GRACE_S,
        },
    }


def netbootd(ground: Ground, folder: Path, config: dict[str, Any]) -> Argv:
    """Its command line; the configuration is written to *folder*."""
    file = write_config(folder / "netbootd.json", config)
    return *ground.daemon(), "run", "--config", str(file)


def with_machines(count: int) -> Server:
    """netbootd that knows so many machines."""

    def programs(ground: Ground, folder: Path) -> Sequence[Argv]:
        return [netbootd(ground, folder, configuration(folder, count))]

    return Server(programs, READY)


def _dnsmasq(ground: Ground, folder: Path) -> Sequence[Argv]:
    """Proxy DHCP and TFTP.  It would hold back at 50 transfers, and 150 clients."""
    iPXE = f"http://{SERVER}/boot.ipxe"  # noqa: N806  its name
    argv = (
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *(f"--log-facility={folder}/log", "--interface=eth0", "--bind-interfaces"),
        *(f"--dhcp-range={NETWORK.partition('/')[0]},proxy,{NETMASK}",),
        *(f"--dhcp-range={NODE_NETWORK.partition('/')[0]},proxy,{NETMASK}",),
        *("--dhcp-userclass=set:ipxe,iPXE", "--dhcp-lease-max=1000000"),
        *(f"--dhcp-leasefile={folder}/leases",),
        f"--pxe-service=tag:!ipxe,x86-64_EFI,netboot,{LOADER}",
        f"--pxe-service=tag:!ipxe,x86PC,netboot,{LOADER}",
        f"--pxe-service=tag:ipxe,x86-64_EFI,script,{iPXE}",
        f"--dhcp-boot=tag:ipxe,{iPXE}",
        *("--enable-tftp", f"--tftp-root={FILES}", "--tftp-max=5000"),
    )
    return [argv]


def _nginx(ground: Ground, folder: Path) -> Sequence[Argv]:
    """As Debian sets it up, with one worker; room for the connections of a storm."""
    file = folder / "nginx.conf"
    file.write_text(
        f"""
daemon off; user root; worker_processes 1; worker_rlimit_nofile 65536;
pid {folder}/nginx.pid; error_log {folder}/log;
events {{ worker_connections 16384; }}
http {{
    sendfile on; tcp_nopush on; types_hash_max_size 2048; default_type application/octet-stream;
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen {SERVER}:{HTTP_PORT} backlog=4096; root {FILES}; }}
}}
"""
    )
    return [(*peers.program("nginx"), "-e", f"{folder}/log", "-c", str(file))]


def _both(ground: Ground, folder: Path) -> Sequence[Argv]:
    return [*_dnsmasq(ground, folder), *_nginx(ground, folder)]


def _atftpd(ground: Ground, folder: Path) -> Sequence[Argv]:
    """It would hold back at 100 transfers."""
    program = peers.program("atftpd")
    where = ("--bind-address", SERVER, "--port", "69", "--user", "root", "--group", "root")
    how = ("--daemon", "--no-fork", "--maxthread", "5000", "--logfile", f"{folder}/log")
    return [(*program, *how, *where, str(FILES))]


def _hpa(ground: Ground, folder: Path) -> Sequence[Argv]:
    program = peers.program("in.tftpd")
    how = ("--foreground", "--address", f"{SERVER}:69", "--secure", "--user", "root")
    return [(*program, *how, str(FILES))]


def _tftpy(ground: Ground, folder: Path) -> Sequence[Argv]:
    text = f"import tftpy; tftpy.TftpServer({str(FILES)!r}).listen({SERVER!r}, 69)"
    return [(peers.python(), "-c", text)]


def _pypxe(ground: Ground, folder: Path) -> Sequence[Argv]:
    argv = (
        *(peers.python(), "-m", "pypxe.server", "--dhcp-proxy", "--dhcp-server-ip", SERVER),
        *("--dhcp-fileserver", SERVER, "--netboot-dir", str(FILES), "--netboot-file", LOADER),
        *("--tftp-server-ip", SERVER, "--http", "--http-server-ip", SERVER),
        *("--http-port", str(HTTP_PORT), "--dhcp-broadcast", BROADCAST),
    )
    return [argv]


def _netbootd_leasing(ground: Ground, folder: Path) -> Sequence[Argv]:
    config = {
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(FILES),
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
    return [netbootd(ground, folder, config)]


def _dnsmasq_leasing(ground: Ground, folder: Path) -> Sequence[Argv]:
    argv = (
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *(f"--log-facility={folder}/log", "--interface=eth0", "--bind-interfaces"),
        *("--dhcp-authoritative", "--no-ping", "--dhcp-lease-max=1000000"),
        f"--dhcp-range={FIRST},{LAST},{NETMASK},{SECONDS}",
        *(f"--dhcp-leasefile={folder}/leases", f"--dhcp-option=3,{ROUTER}"),
        *(f"--dhcp-option=6,{DNS}", f"--dhcp-option=42,{NTP}", f"--dhcp-option=15,{DOMAIN}"),
    )
    return [argv]


def _kea_leasing(ground: Ground, folder: Path) -> Sequence[Argv]:
    if not neighbours.NEIGHBOURS.ready:
        raise LabError("Kea is not there: run tools/setup.sh bench")
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
    return [(*neighbours.with_own_libraries(folder), program, "-c", str(file))]


BOOTING = {
    "netbootd": with_machines(MACHINES),
    "dnsmasq": Server(_dnsmasq, bound=("udp:67", "udp:69")),
    "nginx": Server(_nginx, bound=(f"tcp:{HTTP_PORT}",)),
    "dnsmasq + nginx": Server(_both, bound=("udp:67", "udp:69", f"tcp:{HTTP_PORT}")),
    "atftpd": Server(_atftpd, bound=("udp:69",)),
    # It wants to know nothing of the processes that it forks.
    "tftpd-hpa": Server(_hpa, bound=("udp:69",), counted=False),
    "tftpy": Server(_tftpy, bound=("udp:69",)),
    "PyPXE": Server(_pypxe, bound=("udp:67", "udp:69", f"tcp:{HTTP_PORT}")),
}
LEASING = {
    "netbootd": Server(_netbootd_leasing, READY),
    "dnsmasq": Server(_dnsmasq_leasing, "DHCP, IP range"),
    "Kea": Server(_kea_leasing, "DHCP4_STARTED"),
}
#: What is on the disk when a client has its address.
DURABLE = {
    "netbootd": "on the disk (fsync, in groups)",
    "dnsmasq": "on the disk (fsync, the whole file for each)",
    "Kea": "with the kernel, not on the disk yet",
}
