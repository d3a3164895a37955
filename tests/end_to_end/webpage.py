"""
What the tests of the web page begin with: a daemon on a network with nodes, and a browser there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.browser import BASE, Browser
from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab, write_config
from tests.end_to_end.process import Daemon
from tests.end_to_end.tokens import new_token
from tests.simulate.kernels import bzimage

MAC = "52:54:00:12:34:{:02x}"
WALKER, STEPPER, LACKING, ARMED, HELD, LOGGER, OFFLINE, RETURNER = (
    MAC.format(one) for one in range(1, 9)
)
STRANGER = "52:54:00:99:00:01"
LOGGER_ADDRESS = "192.0.2.60"


@dataclass
class Web:
    """The daemon on 192.0.2.10, and a browser that is signed in on the same network."""

    lab: Lab
    file: Path
    config: dict[str, Any]
    daemon: Daemon
    browser: Browser
    token: str

    def get(self, path: str, mac: str = "") -> None:
        """The node that *path* names, or *mac*, fetches it, whatever comes of it."""
        self.lab.run("lan", *self.fetch(f"{BASE}{path}", mac or path.strip("/")))

    def load(self, mac: str) -> None:
        """The node fetches its loader, with which a boot begins that has had an offer elsewhere."""
        url = f"tftp://{BOOT_SERVER}/{mac}/snponly.efi"
        self.lab.run("lan", *self.fetch(url, mac))

    @staticmethod
    def fetch(url: str, path: str, *options: str) -> list[str]:
        """curl at the address of the node whose MAC is in *path*."""
        mac = re.findall(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", path)[0]
        here = ("--interface", address_of(mac))
        return ["curl", "-sS", "-m", "30", "-o", "/dev/null", *here, *options, url]

    def simulate(self, mac: str) -> None:
        """A UEFI machine boots."""
        command = ("simulate", "--interface", "eth0", "--firmware", "efi")
        self.lab.spawn("lan", str(NETBOOTD), *command, mac).wait_for("The kernel starts", 60)

    def visit(self, fragment: str) -> Browser:
        """The browser there, in a page that will know if it was loaded anew."""
        self.browser.go(fragment)
        self.browser.run("window.begun ??= performance.timeOrigin")
        return self.browser

    def was_loaded_once(self) -> bool:
        return bool(self.browser.run("return window.begun === performance.timeOrigin"))


def address_of(mac: str) -> str:
    """Each node has its own: who asks from another's address looks on, and boots nothing."""
    return f"192.0.2.{10 + int(mac[-2:], 16)}"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    folder = tmp_path_factory.mktemp("web")
    with Lab(folder) as lab:
        for mac in (STEPPER, LACKING, ARMED, HELD, OFFLINE, RETURNER, WALKER):
            lab.ip("lan", f"addr add {address_of(mac)}/24 dev eth0")
        lab.plug("node", LOGGER_ADDRESS)
        file, config = folder / "netbootd.json", configuration(folder)
        daemon = lab.netbootd(write_config(file, config))
        token = new_token(folder / "state")
        browser = Browser(lab)
        try:
            browser.sign_in(token)
            yield Web(lab, file, config, daemon, browser, token)
        finally:
            browser.close()


def configuration(folder: Path) -> dict[str, Any]:
    images = folder / "srv" / "images"
    images.mkdir(parents=True)
    (images / "vmlinuz").write_bytes(bzimage(1000) + os.urandom(300_000))
    (images / "initrd").write_bytes(os.urandom(2_000_000))
    (images / "large").write_bytes(bytes(60_000_000))
    linux = {"kernel": "images/vmlinuz", "initrd": "images/initrd"}
    targets = {
        "one": {**linux, "boot_args": "root=/dev/nfs nfsroot=192.0.2.5:/one"},
        "two": {**linux, "boot_args": "root=/dev/nfs nfsroot=192.0.2.5:/two"},
        "lacking": {"kernel": "images/nothing", "boot_args": "root=/dev/nfs nfsroot=192.0.2.5:/x"},
    }
    names = {WALKER: "walker", STEPPER: "stepper", ARMED: "armed", HELD: "held"}
    names |= {OFFLINE: "offline", RETURNER: "returner"}
    return {
        "targets": {"nfs": targets, "localboot": {"disk": {}}},
        "groups": {"rack1": {"type": "nfs", "name": "two"}},
        "machines": {
            **{
                mac: {"type": "nfs", "name": "one", "hostname": name} for mac, name in names.items()
            },
            LACKING: {"type": "nfs", "name": "lacking", "hostname": "lacking"},
            LOGGER: {"group": "rack1", "hostname": "logger", "ip": LOGGER_ADDRESS},
        },
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(folder / "srv"),
            "firmware": "/usr/lib/ipxe",
            "state": str(folder / "state"),
            "admin_networks": "192.0.2.0/24",
        },
    }
