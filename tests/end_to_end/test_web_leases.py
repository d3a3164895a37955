"""
The page of leases in a real browser, before a netbootd that gives addresses to real clients.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.daemons import until
from tests.end_to_end.browser import Browser
from tests.end_to_end.lab import NETBOOTD, Lab, write_config
from tests.end_to_end.process import LabError
from tests.end_to_end.tokens import new_token
from tests.end_to_end.webpage import Web

pytestmark = [pytest.mark.wire, pytest.mark.slow]

LISTED = "52:54:00:12:34:56"
ESCAPE = "\ue00c"


def configuration(folder: Path) -> dict[str, object]:
    told = folder / "hook" / "told"
    return {
        "targets": {"localboot": {"disk": {}}},
        "machines": {
            LISTED: {"type": "localboot", "name": "disk", "hostname": "node7", "ip": "192.0.2.50"}
        },
        "subnets": {
            "192.0.2.0/24": {"dhcp": "server", "pools": ["192.0.2.101-192.0.2.102"], "probe": False}
        },
        "netbootd": {
            "interfaces": ["eth0"],
            "state": str(folder / "state"),
            "admin_networks": "192.0.2.0/24",
            "files": str(folder),
            "dhcp": {"hosts": str(folder / "run" / "hosts"), "domain": "lab.example"},
            "hooks": {"lease": ["sh", "-c", f"cat >>{told}; echo >>{told}"]},
        },
    }


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    folder = tmp_path_factory.mktemp("leases")
    with Lab(folder) as lab:
        for name in ("one", "two", "three", "listed"):
            lab.plug(name, "192.0.2.200")
            lab.ip(name, "addr flush dev eth0")
        lab.ip("listed", f"link set eth0 address {LISTED}")
        (folder / "hook").mkdir()
        (folder / "hook").chmod(0o777)  # hooks run as the daemon's user
        file, config = folder / "netbootd.json", configuration(folder)
        daemon = lab.netbootd(write_config(file, config))
        token = new_token(folder / "state")
        browser = Browser(lab)
        try:
            browser.sign_in(token)
            yield Web(lab, file, config, daemon, browser, token)
            assert browser.complaints() == []
        finally:
            browser.close()


def lease(site: Web, place: str, *options: str) -> None:
    """A client in *place* asks for an address until it has one."""
    udhcpc = ("busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "5", "-s", "/bin/true")
    site.lab.run(place, *udhcpc, *options)


def command(site: Web, *words: str) -> str:
    return site.lab.run("boot", str(NETBOOTD), *words, "--config", str(site.file))


def test_leases_appear_as_they_are_given(site: Web) -> None:
    browser = site.visit("#/leases")
    browser.see("#leases-empty", "Nobody has a lease.")
    browser.see(".pool", "0 of 2 in use")

    lease(site, "one", "-x", "hostname:laptop")
    browser.see("#leases-rows .row", "192.0.2.101")
    row = browser.see("#leases-rows .row", "laptop").text
    assert "leased" in row
    assert "not listed" in row
    browser.see(".pool[data-state='up']", "1 of 2 in use, 50 %")

    lease(site, "listed")
    row = browser.see("#leases-rows .row", "node7").text
    assert "192.0.2.50" in row
    assert "reserved" in row
    assert site.was_loaded_once()


def test_a_machines_page_and_the_list_show_its_address(site: Web) -> None:
    lease(site, "listed")
    browser = site.visit(f"#/machine/{LISTED}")
    browser.see(".facts", "192.0.2.50")


def test_a_search_finds_by_name_mac_and_port_and_escape_takes_it_back(site: Web) -> None:
    lease(site, "one", "-x", "hostname:laptop")
    lease(site, "listed")
    browser = site.visit("#/leases")
    browser.see("#leases-rows .row", "laptop")
    browser.write("#leases-search", "LAPT")
    browser.see("#leases-shown", "1 lease")
    assert len(browser.all("#leases-rows .row")) == 1
    browser.write("#leases-search", LISTED.replace(":", "-"))
    browser.wait("return document.querySelector('#leases-rows').innerText.includes('node7')")
    browser.press(ESCAPE)
    browser.see("#leases-shown", "2 leases")


def test_a_pool_that_has_run_out_is_shown_where_nobody_can_miss_it(site: Web) -> None:
    browser = site.visit("#/leases")
    lease(site, "one", "-x", "hostname:laptop")
    lease(site, "two", "-x", "hostname:phone")
    browser.see(".pool[data-state='failed']", "full: 2 of 2 in use, 100 %")
    with pytest.raises(LabError):
        lease(site, "three")
    browser.see("#leases-troubles", "192.0.2.0/24 has run out")
    browser.see("#count-leases", "1")
    assert "192.0.2.0/24 had no address left" in command(site, "leases")


def test_a_lease_is_released_by_two_presses(site: Web) -> None:
    lease(site, "one", "-x", "hostname:laptop")
    lease(site, "two", "-x", "hostname:phone")
    browser = site.visit("#/leases")
    browser.see("#leases-rows .row", "phone")
    browser.click("#leases-rows button[aria-label='Release 192.0.2.102']")
    browser.press(ESCAPE)
    browser.see("#leases-rows button[aria-label='Release 192.0.2.102']")
    browser.click("#leases-rows button[aria-label='Release 192.0.2.102']")
    browser.click("#leases-rows button.danger")
    browser.wait("return !document.querySelector('#leases-rows').innerText.includes('phone')")
    browser.choose("#leases-state", "free")
    browser.see("#leases-rows .row", "phone")
    browser.choose("#leases-state", "")
    assert site.was_loaded_once()


def test_the_command_lists_and_releases(site: Web) -> None:
    lease(site, "one", "-x", "hostname:laptop")
    lease(site, "two", "-x", "hostname:phone")
    lease(site, "listed")
    command(site, "leases", "release", "192.0.2.102")
    told = command(site, "leases")
    assert "192.0.2.101  laptop" in told
    assert "node7" in told
    assert "phone" not in told
    assert "phone" in command(site, "leases", "--all")
    [one] = json.loads(command(site, "leases", "--json", "laptop"))["leases"]
    assert (one["address"], one["state"]) == ("192.0.2.101", "leased")
    told = command(site, "leases", "release", "192.0.2.101")
    assert told == "192.0.2.101 is free; laptop had it\n"


def test_names_and_hooks_follow(site: Web) -> None:
    folder = site.file.parent
    lease(site, "one", "-x", "hostname:laptop")
    lease(site, "listed")
    command(site, "leases", "release", "192.0.2.101")
    lease(site, "one", "-x", "hostname:laptop")
    until(lambda: "\tlaptop.lab.example laptop\n" in (folder / "run" / "hosts").read_text())
    assert "192.0.2.50\tnode7.lab.example node7\n" in (folder / "run" / "hosts").read_text()
    until(lambda: (folder / "hook" / "told").read_text().count("\n") >= 4)
    told = [json.loads(line) for line in (folder / "hook" / "told").read_text().splitlines()]
    of_laptop = [one["event"] for one in told if one["address"] == "192.0.2.101"]
    assert of_laptop == ["leased", "released", "leased"]
    assert [one["event"] for one in told if one["address"] == "192.0.2.50"] == ["leased"]


def test_another_server_is_shown_where_nobody_can_miss_it(site: Web) -> None:
    browser = site.visit("#/leases")
    site.lab.dhcp()
    lease(site, "one", "-B")
    browser.see("#leases-troubles", "Another DHCP server, 192.0.2.1, answers on eth0")
    assert "another DHCP server, 192.0.2.1, answers on eth0" in command(site, "leases")
