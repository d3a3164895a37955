"""
A boot server with its nodes: those of ``tests/bench/clients``, which boot as firmware and iPXE do,
byte for byte, and are begun anew when a boot has failed.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench import clients
from tests.bench.test_clients import route_to_nodes
from tests.end_to_end.lab import BOOT_SERVER, HTTP, LAN_SERVER, NETBOOTD, Lab, write_config
from tests.end_to_end.process import Daemon
from tests.end_to_end.tokens import new_token

LAN = "192.0.2.0/24"
POOL = "192.0.2.100-192.0.2.249"
FAR, RELAY, FAR_POOL = "10.66.0.0/16", "10.66.0.1", "10.66.1.0-10.66.40.255"
LOADER, KERNEL, INITRD = "snponly.efi", "images/kernel", "images/initrd"
SIZES = {LOADER: 30_000, KERNEL: 40_000, INITRD: 80_000}
NODES = "10.65.0.1"
BASE = f"http://{BOOT_SERVER}:3000"
#: The C clients' first machine; the others follow.
NODE = "02:00:00:00:00:00"


class Place:
    """
    netbootd on the boot server of *lab*, for machines without entries of their own.

    *config* is what the administrator wrote so far; ``state`` the state folder.
    """

    def __init__(self, lab: Lab, state: Path | None = None) -> None:
        self.lab = lab
        self.root = lab.folder / "srv"
        for name, size in SIZES.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            clients.pattern(self.root / name, size)
        self.state = state or lab.folder / "state"
        self.file = lab.folder / "netbootd.json"
        linux = {"kernel": KERNEL, "initrd": INITRD, "boot_args": "hostname=__mac__"}
        self.config: dict[str, Any] = {
            "boot_servers": {"default": HTTP},
            "targets": {"linux": {"one": linux}, "localboot": {"disk": {}}},
            "machines": {"default": {"type": "linux", "name": "one", "loader": LOADER}},
            "netbootd": {
                "interfaces": ["eth0"],
                "files": str(self.root),
                "firmware": [],
                "state": str(self.state),
                "admin_networks": LAN,
            },
        }
        self.daemon: Daemon
        route_to_nodes(lab)

    def gives_addresses(self) -> None:
        """It is the DHCP server of the LAN, and so no proxy for the nodes there."""
        self.config["subnets"] = {LAN: {"dhcp": "server", "pools": [POOL]}}

    def gives_addresses_far_away(self) -> None:
        """It is the DHCP server of a network behind a relay; nodes of the LAN have addresses."""
        self.config["subnets"] = {FAR: {"dhcp": "server", "pools": [FAR_POOL]}}
        self.lab.ip("lan", f"addr add {RELAY}/16 dev eth0")
        self.lab.ip("boot", f"route add {FAR} via {LAN_SERVER}")

    def lease(self, count: int, first: int = 0, **settings: Any) -> dict[str, Any]:
        """So many computers of the far network get an address, asking again; what was counted."""
        given = {
            **{"server": BOOT_SERVER, "relay": RELAY, "mode": "lease", "rate": 50},
            **{"distinct": count, "first": first, "seconds": count / 50, "linger": 3},
            **settings,
        }
        if "window" in given:
            del given["rate"]
        return clients.run(self.lab, "dhcp", **given)

    def serve(self, *before: str) -> Daemon:
        """Start it; *before* are words before its command line, such as ``env NAME=value``."""
        write_config(self.file, self.config)
        argv = self.lab.inside("boot", *before, str(NETBOOTD), "run", "--config", str(self.file))
        self.daemon = self.lab._keep(Daemon(argv))
        self.daemon.wait_for(r"\bready\b", 60)
        return self.daemon

    def reload(self) -> str:
        write_config(self.file, self.config)
        return self.daemon.reload()

    def boots(self, count: int = 1, **settings: Any) -> dict[str, Any]:
        """So many nodes boot at once, each up to three times; what they counted."""
        given = {
            **{"server": BOOT_SERVER, "nodes": NODES, "firmware": "uefi", "count": count},
            **{"boots": 3, "patience": 20, "deadline": 120, "spread": 0.2, "tries": 20},
            **{"loader": self.root / LOADER, "kernel": self.root / KERNEL},
            **{"initrd": self.root / INITRD},
            **settings,
        }
        return clients.run(self.lab, "storm", **given)

    def all_boot(self, count: int = 1, **settings: Any) -> dict[str, Any]:
        """Likewise, and every node comes up with every byte."""
        counted = self.boots(count, **settings)
        assert counted["finished"] == count, counted
        assert counted["wrong"] == 0, counted
        return counted

    def all_boot_during(self, befalls: Callable[[], None], count: int, **settings: Any) -> None:
        """They boot while *befalls* goes on, each as often as it takes, from any address of ours."""
        given = {"server": "255.255.255.255", "boots": 10, "tries": 5, "patience": 5, **settings}
        with ThreadPoolExecutor(1) as pool:
            booting = pool.submit(self.all_boot, count, **given)
            time.sleep(0.5)
            befalls()
            booting.result()

    def asked(self, path: str, *options: str) -> str:
        """What the daemon says to its own host."""
        url = f"http://127.0.0.1:3000{path}"
        return self.lab.run("boot", "curl", "-sS", "-m", "30", *options, url)

    def api(self, path: str, *options: str) -> Any:
        """What the API says on its socket."""
        local = ("--unix-socket", str(self.state / "api.sock"))
        return json.loads(self.asked(f"/api/v1{path}", *local, *options) or "null")

    @functools.cached_property
    def token(self) -> str:
        return new_token(self.state)

    def leases(self) -> dict[str, str]:
        """The cards that have addresses, by address, as the API tells; not those of offers."""
        told = self.api("/leases?state=leased&limit=1000")["leases"]
        return {one["address"]: one["mac"] for one in told}

    def troubles(self) -> str:
        return "\n".join(json.loads(self.asked("/status"))["troubles"])


def until(true: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait until *true*; AssertionError with *what* if it never is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
