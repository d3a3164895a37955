"""Five hundred nodes on the web page: who is behind is found at once, and nothing is drawn in vain."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end import nodes
from tests.end_to_end.browser import BASE, Browser
from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER, Lab
from tests.end_to_end.tokens import new_token
from tests.simulate.kernels import bzimage

pytestmark = [pytest.mark.wire, pytest.mark.slow, pytest.mark.e2e]

COUNT = 500
LAGGARD = f"node{nodes.LAGGARD}"
BOOT_S = 120


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Browser]]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    folder = tmp_path_factory.mktemp("fleet")
    images = folder / "srv" / "images"
    images.mkdir(parents=True)
    (images / "vmlinuz").write_bytes(bzimage(1000))
    (images / "initrd").write_bytes(bytes(50_000))
    files = {"kernel": "images/vmlinuz", "initrd": "images/initrd"}
    config = {
        "targets": {"linux": {"compute": files}},
        "groups": nodes.groups(COUNT),
        "machines": nodes.machines(COUNT, "linux", "compute"),
        "netbootd": {
            **{"interfaces": ["eth0"], "files": str(folder / "srv")},
            **{"firmware": "/usr/lib/ipxe", "state": str(folder / "state")},
        },
    }
    with Lab(folder) as lab:
        many_addresses(lab)
        lab.netbootd(config)
        browser = Browser(lab, "boot")
        try:
            browser.sign_in(new_token(folder / "state"))
            browser.go("#/fleet")
            browser.see("#fleet-states .state[data-state='unknown']", f"{COUNT}")
            boot_all(lab, 4.0)
            up = f"{COUNT - 1} of {COUNT} machines up, 1 under way"
            browser.see("#fleet .headline", up, within=60)
            yield lab, browser
        finally:
            browser.close()


def many_addresses(lab: Lab) -> None:
    """Every address of the nodes' network is one of ``lan``'s, and the boot server knows the way."""
    lab.ip("lan", f"route add local {nodes.NETWORK} dev lo")
    lab.ip("boot", f"route add {nodes.NETWORK} via {LAN_SERVER}")


def boot_all(lab: Lab, seconds: float) -> None:
    script = str(Path(nodes.__file__))
    command = (sys.executable, script, f"http://{BOOT_SERVER}:3000", str(COUNT), str(seconds))
    lab.spawn("lan", *command).wait_for("all through", BOOT_S)


def fetch(lab: Lab, number: int, *paths: str) -> None:
    source = ("--interface", nodes.address_of(number), "-A", "iPXE/1.21.1")
    for path in paths:
        lab.run("lan", "curl", "-sS", "-o", "/dev/null", *source, f"{BASE}{path}")


def test_the_laggard_of_five_hundred_is_named(fleet: tuple[Lab, Browser]) -> None:
    _, browser = fleet
    browser.go("#/fleet")
    browser.see("#fleet .headline", f"{COUNT - 1} of {COUNT} machines up, 1 under way")
    browser.see("#fleet .headline b", LAGGARD, within=60)
    browser.see("#fleet-slow li:first-child", LAGGARD)
    assert len(browser.elements("#fleet-cells .cell")) == COUNT
    (last,) = browser.elements("#fleet-cells .last")
    assert LAGGARD in (last.get_attribute("aria-label") or "")
    browser.see("#fleet-stages tbody tr", "Initrd")
    browser.click("#fleet .headline a")
    browser.see("#machine h1", LAGGARD)


def test_one_change_touches_one_row(fleet: tuple[Lab, Browser]) -> None:
    lab, browser = fleet
    browser.go("#/machines")
    browser.see("#machines-rows .row", LAGGARD)
    browser.run(
        """window.touched = new Set();
           new MutationObserver((seen) => seen.forEach(({ target }) => {
             const row = (target.nodeType === 1 ? target : target.parentElement)?.closest(".row");
             const time = target.parentElement?.closest(".time") ?? target.closest?.(".time");
             if (row && !time) window.touched.add(row.querySelector("a").textContent);
           })).observe(document.querySelector("#machines-rows"),
             { subtree: true, childList: true, attributes: true, characterData: true });"""
    )
    boots = [step.format(mac=nodes.mac_of(7)) for step in nodes.STEPS]
    fetch(lab, 7, *boots[:2])
    browser.see("#machines-rows .row[data-state='booting']", "node007")
    assert browser.run("return [...window.touched]") == ["node007"]
    fetch(lab, 7, *boots[2:])  # it is up again, as the others are


def test_the_list_is_searched_and_filtered(fleet: tuple[Lab, Browser]) -> None:
    _, browser = fleet
    browser.go("#/machines")
    browser.write("#search", nodes.mac_of(499))
    browser.see("#machines-shown", f"1 of {COUNT}")
    assert len(browser.all("#machines-rows .row")) == 1

    browser.press("\ue00c")  # Esc
    browser.see("#machines-shown", f"{COUNT} machines")
    browser.choose("#machines-group", "rack2")
    browser.see("#machines-shown", f"40 of {COUNT}")
    browser.choose("#machines-group", "")
    browser.click("#machines-states .state[data-state='up']")
    browser.wait("return !document.querySelector('#machines-rows').innerText.includes('not seen')")
    assert LAGGARD not in browser.all("#machines-rows a")
    browser.click("#machines-states .state[data-state='up']")


def test_cells_are_walked_by_arrows_and_reached_by_one_tab(fleet: tuple[Lab, Browser]) -> None:
    _, browser = fleet
    browser.go("#/fleet")
    browser.see("#fleet-cells .cell")
    assert len(browser.elements("#fleet-cells .cell[tabindex='0']")) == 1

    browser.run("document.querySelector('#fleet-cells .cell[tabindex=\"0\"]').focus()")
    browser.press("\ue014", "\ue014", "\ue012")  # right, right, left
    browser.see("#fleet-told", "node001")
    browser.press("\ue007")  # Enter
    browser.see("#machine h1", "node001")
