"""A boot storm on the web page: who waits for its turn, how many load, and what can be done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.browser import Browser
from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.end_to_end.tokens import new_token
from tests.simulate.kernels import bzimage

pytestmark = [pytest.mark.wire, pytest.mark.slow, pytest.mark.e2e]

NODES = [f"52:54:00:00:00:{number:02x}" for number in range(1, 5)]


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[tuple[Lab, Browser]]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "vmlinuz").write_bytes(bzimage(1000))
    config = {
        "targets": {"linux": {"compute": {"kernel": "vmlinuz"}}},
        "machines": {
            mac: {"type": "linux", "name": "compute", "hostname": f"node{number}"}
            for number, mac in enumerate(NODES, 1)
        },
        "netbootd": {
            **{"interfaces": ["eth0"], "files": str(tmp_path / "srv")},
            **{"firmware": "/usr/lib/ipxe", "state": str(tmp_path / "state")},
            "admin_networks": "192.0.2.0/24",
            "pace": {"enabled": True, "at_once": 1},
        },
    }
    with Lab(tmp_path) as lab:
        for mac in NODES:
            lab.run("lan", "ip", "address", "add", f"{address(mac)}/24", "dev", "eth0")
        lab.netbootd(config)
        browser = Browser(lab)
        try:
            browser.sign_in(new_token(tmp_path / "state"))
            yield lab, browser
        finally:
            browser.close()


def address(mac: str) -> str:
    """Of its own: a place belongs to it."""
    return f"192.0.2.{200 + NODES.index(mac)}"


def ask(lab: Lab, mac: str) -> str:
    url = f"http://{BOOT_SERVER}:3000/boot/{mac}"
    return lab.run("lan", "curl", "-sS", "-A", "iPXE/1.21", "--interface", address(mac), url)


def test_the_queue_is_seen_paused_and_jumped(storm: tuple[Lab, Browser]) -> None:
    lab, browser = storm
    browser.go("#/fleet")
    browser.see("#fleet-states .state[data-state='unknown']", "4")
    assert browser.run("return document.querySelector('#fleet .queue').hidden")

    for mac in NODES:
        ask(lab, mac)
    browser.see("#fleet .queue", "3 machines wait for their turn · 1 of 1 at once load")
    browser.click("#fleet .queue button", "Pause")
    browser.see("#fleet .queue", "paused")
    assert "paused by an operator" in ask(lab, NODES[1])
    browser.click("#fleet .queue button", "Resume")
    browser.see("#fleet .queue button", "Pause")

    browser.go("#/machines")
    browser.see("#machines-rows", "waits: number 3 of 3")
    browser.go(f"#/machine/{NODES[3]}")
    browser.see("#machine .order", "Waits for its turn: number 3 of 3")
    browser.click("#machine .order button", "Let it load")
    lab.run("lan", "sleep", "0.5")
    assert "\nkernel " in ask(lab, NODES[3])
    browser.go("#/fleet")
    browser.see("#fleet .queue", "2 machines wait for their turn · 2 of 1 at once load")
    assert browser.complaints() == []
