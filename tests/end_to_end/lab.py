"""
An admin network in namespaces, with machines of real firmware plugged into it.

::

      lan (192.0.2.1)        boot (192.0.2.10)
      the site's DHCP        netbootd
           |                     |
           +------- bridge ------+---- tap ---- QEMU
                    "switch" namespace

Everything lives in namespaces named after this process, so that several labs may run at once, and
goes away with the ``with`` block: after an exception and after SIGTERM too.  Each process is ended
by its own id; the kernel ends those that are left if this process dies without a word.

The addresses are those of RFC 5737 and there is no route out: nothing here can reach a stranger.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.end_to_end import machines
from tests.end_to_end.machines import Machine
from tests.end_to_end.node import Node, disguise
from tests.end_to_end.process import ROOT, Daemon, LabError, Process

NETBOOTD = ROOT / ".venv" / "bin" / "netbootd"

LAN_SERVER = "192.0.2.1"
BOOT_SERVER = "192.0.2.10"
HTTP = f"{BOOT_SERVER}:3000"


class Lab:
    """
    The network and everything on it, as a context manager.

    *folder* keeps captures, RAM files and logs; a temporary one by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder
        self._stack = contextlib.ExitStack()
        self._taps = 0
        self.prefix = ""
        self.folder = Path()

    def __enter__(self) -> Lab:
        if os.geteuid() != 0:
            raise LabError("network namespaces need root")
        try:
            self._set_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _set_up(self) -> None:
        _sweep()
        self._stack.enter_context(_sigterm_raises())
        self.prefix = _free_prefix()
        if self._given:
            self.folder = self._given
        else:
            self.folder = Path(tempfile.mkdtemp(prefix=self.prefix))
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.namespace("switch")
        self.segment("lan")
        self.plug("lan", LAN_SERVER)
        self.plug("boot", BOOT_SERVER)

    def segment(self, name: str) -> None:
        """One more network that knows nothing of the others."""
        # A port of a bridge with the usual 15 s + 15 s of listening and learning loses the
        # DISCOVERs that a firmware sends in the first half minute.
        self.ip("switch", f"link add {name} type bridge stp_state 0 forward_delay 0")
        self.ip("switch", f"link set {name} up")

    def plug(self, place: str, address: str) -> None:
        """A new host *place* with *address* on eth0, on the switch."""
        self.namespace(place)
        self.cable(place, "eth0", address)

    def cable(self, place: str, interface: str, address: str, segment: str = "lan") -> None:
        """A card of *place* with *address*, and its cable to *segment*."""
        port = f"{interface}-{place}"
        self.ip(
            "switch", f"link add {port} type veth peer name {interface} netns {self.prefix}{place}"
        )
        self.ip("switch", f"link set {port} master {segment} up")
        self.ip(place, f"addr add {address}/24 broadcast + dev {interface}")
        self.ip(place, f"link set {interface} up")
        # veth leaves UDP and TCP checksums to a card that is not there; a guest that checks them
        # in software would drop every packet.
        self.run(place, "ethtool", "-K", interface, "tx", "off")
        self.run("switch", "ethtool", "-K", port, "tx", "off")

    def namespace(self, place: str) -> None:
        """A new host *place* with nothing but its loopback."""
        name = self.prefix + place
        _command("ip", "netns", "add", name)
        self._stack.callback(_command, "ip", "netns", "del", name, check=False)
        # An IPv6 address is usable at once, without two seconds of duplicate address detection.
        self.run(place, "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
        self.ip(place, "link set lo up")

    def ip(self, place: str, words: str) -> None:
        """``ip`` in the namespace *place*; *words* are its arguments."""
        _command("ip", "-n", self.prefix + place, *words.split())

    def inside(self, place: str, *argv: str) -> list[str]:
        """The command line that runs *argv* in *place* and ends it with this process."""
        namespace = f"/run/netns/{self.prefix}{place}"
        return ["nsenter", f"--net={namespace}", "setpriv", "--pdeathsig", "KILL", "--", *argv]

    def run(self, place: str, *argv: str, timeout: float = 60) -> str:
        """What the command *argv* prints when run in *place*; LabError if it fails."""
        return _command(*self.inside(place, *argv), timeout=timeout)

    def spawn(self, place: str, *argv: str) -> Process:
        """A program that runs in *place* until the lab is closed."""
        return self._keep(Process(self.inside(place, *argv)))

    def _keep(self, process: Any) -> Any:
        self._stack.callback(process.close)
        return process

    def dhcp(self, *options: str, place: str = "lan") -> Process:
        """
        The LAN's DHCP server, which knows nothing of network boot unless *options* say so.

        It announces an IPv6 prefix too: without any router advertisement every stage of iPXE
        waits 15 s for one.
        """
        self.ip(place, "addr replace fd00:2:2::1/64 dev eth0 nodad")
        server = self.spawn(
            *(place, "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0"),
            *("--user=root", "--log-dhcp", "--interface=eth0", "--bind-interfaces", "--no-ping"),
            *("--dhcp-authoritative", "--dhcp-range=192.0.2.100,192.0.2.199,1h"),
            *("--enable-ra", "--dhcp-range=fd00:2:2::,ra-only", "--ra-param=eth0,4"),
            *(f"--dhcp-leasefile={self.folder}/leases", "--dhcp-option=3", *options),
        )
        server.wait_for("DHCP, IP range", 10)
        return server

    def netbootd(self, config: Path | dict[str, Any], *options: str) -> Daemon:
        """``netbootd run`` on the boot server, once it says that it is ready."""
        if isinstance(config, dict):
            config = write_config(self.folder / "netbootd.json", config)
        argv = self.inside("boot", str(NETBOOTD), "run", "--config", str(config), *options)
        daemon: Daemon = self._keep(Daemon(argv))
        daemon.wait_for(r"\bready\b", 30)
        return daemon

    def bios(self, mac: str, *more: str, **settings: Any) -> Node:
        """
        A legacy machine, powered on; see Node.  Its network card carries iPXE in its ROM.

        *more* are options for QEMU, such as what SMBIOS is to say.
        """
        return self.power_on(machines.BIOS.but(*more), mac, **settings)

    def plain_bios(self, mac: str, **settings: Any) -> Node:
        """A legacy machine whose ROM speaks plain PXE, as real cards do; see ``disguise``."""
        ram = self.folder / f"ram-{mac.replace(':', '')}"
        shared = f"memory-backend-file,id=ram,size=256M,mem-path={ram},share=on"
        machine = machines.BIOS.but("-M", "memory-backend=ram", "-object", shared)
        node = self.power_on(machine, mac, **settings)
        node.wait_for("iPXE initialising devices", 60)
        with node.paused():
            disguise(ram)
        ram.unlink()
        return node

    def uefi(
        self,
        mac: str,
        *,
        http_boot: bool = False,
        secure: bool = False,
        keys: Path | None = None,
        **settings: Any,
    ) -> Node:
        """
        A UEFI machine with the firmware's own PXE client, or only its HTTP client.

        *secure*: with Secure Boot on, and Microsoft's keys as machines are sold with, or the
        variable store *keys*.
        """
        machine = machines.SECURE_UEFI if secure else machines.UEFI
        if keys:
            machine = machine.with_variables(keys)
        return self._uefi(machine, mac, http_boot, settings)

    def uefi_ia32(self, mac: str, *, http_boot: bool = False, **settings: Any) -> Node:
        """A PC whose UEFI firmware runs in 32 bits."""
        return self._uefi(machines.UEFI_IA32, mac, http_boot, settings)

    def uefi_arm64(self, mac: str, *, http_boot: bool = False, **settings: Any) -> Node:
        """An ARM server."""
        return self._uefi(machines.UEFI_ARM64, mac, http_boot, settings)

    def _uefi(self, machine: Machine, mac: str, http_boot: bool, settings: dict[str, Any]) -> Node:
        machine = machine.but(*machines.HTTP_ONLY) if http_boot else machine
        return self.power_on(machine, mac, **settings)

    def power_on(
        self, machine: Machine, mac: str, *, segment: str = "lan", **settings: Any
    ) -> Node:
        """A *machine* of any kind, on *segment*; see Node."""
        self._taps += 1
        tap = f"tap{self._taps}"
        self.ip("switch", f"tuntap add {tap} mode tap")
        self.ip("switch", f"link set {tap} master {segment} up")
        node: Node = self._keep(Node(self, tap, mac, machine, **settings))
        return node


def write_config(path: Path, config: dict[str, Any]) -> Path:
    """*config* as a file, put in place whole, as an editor would."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(config, indent=2))
    new.rename(path)
    return path


def _command(*argv: str, check: bool = True, timeout: float = 60) -> str:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )
    if check and done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _free_prefix() -> str:
    """A start of names that no other lab has: a process may have several, one after another."""
    taken = {path.name for path in Path("/run/netns").glob("*")}
    count = 0
    while any(name.startswith(f"nb{os.getpid()}-{count}-") for name in taken):
        count += 1
    return f"nb{os.getpid()}-{count}-"


def _sweep() -> None:
    """Remove what labs left behind whose process was killed before it could clean up."""
    for path in [*Path("/run/netns").glob("nb*"), *Path(tempfile.gettempdir()).glob("nb*")]:
        owner = re.match(r"nb(\d+)-\d+-", path.name)
        if not owner or Path(f"/proc/{owner[1]}").exists():
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            _command("ip", "netns", "del", path.name, check=False)


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM ends the ``with`` blocks as Ctrl-C does, instead of leaving everything behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
