"""
The web page in a real browser, before a real daemon on a real network: what an administrator does
there, and what the page must show without being loaded anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netbootd import apitoken
from tests.end_to_end.browser import BASE, Browser
from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab, write_config
from tests.end_to_end.process import Daemon
from tests.simulate.kernels import bzimage

pytestmark = [pytest.mark.wire, pytest.mark.slow]

MAC = "52:54:00:12:34:{:02x}"
WALKER, STEPPER, LACKING, ARMED, HELD, LOGGER, OFFLINE = (MAC.format(one) for one in range(1, 8))
STRANGER = "52:54:00:99:00:01"
LOGGER_ADDRESS = "192.0.2.60"
EVIL = "<img src=x onerror=document.title='owned'>"
EVIL_URL = "%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D'owned'%3E"


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
        for mac in (STEPPER, LACKING, ARMED, HELD, OFFLINE, WALKER):
            lab.ip("lan", f"addr add {address_of(mac)}/24 dev eth0")
        lab.plug("node", LOGGER_ADDRESS)
        file, config = folder / "netbootd.json", configuration(folder)
        daemon = lab.netbootd(write_config(file, config))
        token = (folder / "state" / apitoken.NAME).read_text().strip()
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
    names = {WALKER: "walker", STEPPER: "stepper", ARMED: "armed", HELD: "held", OFFLINE: "offline"}
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
        },
    }


# --- signing in --------------------------------------------------------------------------------


def test_a_wrong_token_is_told_and_the_right_one_lets_in(web: Web) -> None:
    browser = web.browser
    browser.click("#sign-out")
    browser.see("#login")

    browser.write("#token", "not-the-token")
    browser.click("#login button")
    browser.see("#token-error", "This is not the API token.")
    assert not browser.all("#machines-rows .row")

    browser.write("#token", web.token)
    browser.click("#login button")
    browser.see("#machines-rows .row", "walker")
    assert not browser.all("#login")


def test_a_token_in_the_address_signs_in_and_is_gone_from_it(web: Web) -> None:
    web.browser.sign_in(web.token)

    assert web.browser.driver.current_url == f"{BASE}/ui/#/machines"
    assert web.token not in web.browser.run(
        "return JSON.stringify([document.cookie, localStorage])"
    )
    web.browser.driver.refresh()
    web.browser.see("#machines-rows .row", "walker")


def test_without_a_session_nothing_is_shown(web: Web) -> None:
    web.browser.driver.delete_all_cookies()
    web.browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    web.browser.driver.refresh()

    web.browser.see("#login", "Sign in")
    assert "walker" not in web.browser.text("body")
    web.browser.sign_in(web.token)


# --- a boot, as it happens ----------------------------------------------------------------------


def test_a_boot_appears_in_the_list_without_loading_the_page_anew(web: Web) -> None:
    browser = web.visit("#/machines")
    browser.see("#machines-rows .row", "walker\n52:54:00:12:34:01")
    assert "not seen" in browser.see("#machines-rows .row", "walker").text

    web.simulate(WALKER)

    browser.see("#machines-rows .row[data-state='booting']", "walker")
    browser.see("#machines-rows .row", "Initrd")
    assert web.was_loaded_once()


def test_the_picture_of_a_boot_grows_stage_by_stage(web: Web) -> None:
    browser = web.visit(f"#/machine/{STEPPER}")
    browser.see(".boots .empty", "It was never seen to boot.")

    web.load(STEPPER)
    browser.see(".picture .stage", "Loader")
    web.get(f"/boot/{STEPPER}")
    browser.see(".picture .stage", "Script")
    assert "Kernel" not in browser.all(".picture .stage")

    web.get(f"/{STEPPER}/images/vmlinuz")
    browser.see(".picture .stage", "Kernel")
    web.get(f"/{STEPPER}/images/initrd")
    browser.see(".picture .line", "1.91 MiB")

    browser.click(".boots summary", "As a table")
    browser.see(".boots tbody tr", "Initrd")
    assert [row.split("\t")[0] for row in browser.all(".boots tbody tr")] == [
        *("Loader", "Script", "Kernel", "Initrd")
    ]
    browser.see("#machine .badge", "booting")
    assert web.was_loaded_once()


def test_earlier_boots_can_be_looked_at(web: Web) -> None:
    browser = web.visit(f"#/machine/{STEPPER}")
    browser.see(".picture .stage", "Initrd")
    web.load(STEPPER)
    earlier = browser.wait("return document.querySelector('.boots select').options[1]?.value")

    browser.wait("return document.querySelectorAll('.picture .stage').length < 4")
    browser.choose(".boots select", earlier)

    browser.see(".picture .stage", "Initrd")
    browser.see(".boots .hint", f"Boot {earlier}")


def test_why_a_boot_goes_nowhere_is_told(web: Web) -> None:
    browser = web.visit(f"#/machine/{LACKING}")
    web.load(LACKING)
    web.get(f"/boot/{LACKING}")
    web.get(f"/{LACKING}/images/nothing")

    first = browser.see(".why .causes > li", "images/nothing")
    assert re.search(r"\d+ %", first.text)
    assert "To do: " in first.text
    assert "Because (" in first.text


# --- what can be done ---------------------------------------------------------------------------


def test_a_boot_is_armed_shown_and_taken_back(web: Web) -> None:
    browser = web.visit(f"#/machine/{ARMED}")
    browser.click("#machine .actions button", "Boot next")
    browser.write(".arm input[type=text]", "nfs/no-such")
    browser.click(".arm button", "Arm")
    browser.see(".arm .field:first-child .field-error", "no-such")

    browser.write(".arm input[type=text]", "nfs/two")
    browser.write(".arm input[type=number]", "2")
    browser.choose(".arm select", "8")
    browser.click(".arm button", "Arm")
    browser.see(".order.armed", "nfs/two, 2 times, until ")

    browser.go("#/machines")
    browser.see("#machines-rows .row", "nfs/one → nfs/two")
    browser.go(f"#/machine/{ARMED}")
    browser.click(".order.armed button", "Take back")
    browser.wait("return !document.querySelector('.order.armed')")


def test_a_machine_that_is_held_says_why_and_is_released(web: Web) -> None:
    browser = web.visit(f"#/machine/{HELD}")
    for _ in range(5):
        web.load(HELD)

    browser.see("#machine .badge", "held")
    browser.see(".order.held", "Held:")
    browser.click(".order.held button", "Release")
    browser.wait("return !document.querySelector('.order.held')")
    assert web.was_loaded_once()


def test_an_unknown_machine_is_added_from_what_it_was_seen_to_be(web: Web) -> None:
    command = ("simulate", "--interface", "eth0", "--firmware", "efi", STRANGER)
    web.lab.spawn("lan", str(NETBOOTD), *command)
    browser = web.visit("#/unknown")
    row = browser.see("#unknown-rows .row", STRANGER)
    assert "UEFI" in row.text

    browser.click("#unknown-rows .button")
    assert browser.see("#add input").get_attribute("value") == STRANGER
    browser.write("#add textarea", '{ "name": "no-such" }')
    browser.choose("#add select", "rack1")
    browser.write("#add .field:nth-child(2) input", "new1")
    browser.click("#add button", "Add")
    browser.see("#add .field:nth-child(4) .field-error", "no-such")

    browser.run("document.querySelector('#add textarea').value = ''")
    browser.click("#add button", "Add")
    browser.see("#machine h1", "new1")
    browser.see("#machine .written", "written by netbootd")
    browser.go("#/machines")
    assert "nfs/two" in browser.see("#machines-rows .row", "new1").text


def test_what_a_form_lacks_stands_beside_its_field(web: Web) -> None:
    browser = web.visit("#/add")
    browser.click("#add button", "Add")
    browser.see("#add .field:first-child .field-error", "Which card?")
    assert browser.see("#add input").get_attribute("aria-invalid") == "true"

    browser.write("#add input", WALKER)
    browser.click("#add button", "Add")
    browser.see("#add .field:first-child .field-error", WALKER)

    browser.write("#add input", "52:54:00:99:00:02")
    browser.write("#add textarea", "{ no json")
    browser.click("#add button", "Add")
    browser.see("#add .field:nth-child(5) .field-error", "This is no JSON")


# --- logs ---------------------------------------------------------------------------------------


def log(web: Web, text: str, priority: str = "user.notice") -> None:
    options = ("-n", BOOT_SERVER, "-P", "514", "-d", "--rfc5424", "-t", "unit", "-p", priority)
    web.lab.run("node", "logger", *options, "--", text)


def test_log_lines_follow_live_and_can_be_paused(web: Web) -> None:
    browser = web.visit(f"#/machine/{LOGGER}")
    log(web, "the first line")
    browser.see(".log", "the first line")

    browser.click(".console button", "Pause")
    log(web, "behind the pause", "user.err")
    browser.see(".console .hint", "1 line waiting")
    assert "behind the pause" not in browser.text(".lines")

    browser.click(".console button", "Go on")
    browser.see(".log[data-severity='3']", "behind the pause")
    browser.choose(".console select", "4")
    browser.wait("return !document.querySelector('.lines').innerText.includes('the first line')")
    browser.choose(".console select", "7")
    assert web.was_loaded_once()


def test_what_looks_like_markup_is_shown_and_not_obeyed(web: Web) -> None:
    browser = web.visit(f"#/machine/{LOGGER}")
    log(web, f"{EVIL} \x1b[31m\u202eback")
    web.load(STEPPER)
    web.get(f"/{STEPPER}/images/{EVIL_URL}")

    line = browser.see(".log", EVIL)
    assert "\u241b[31m" in line.text
    assert "\\u202e" in line.text
    browser.go(f"#/machine/{STEPPER}")
    browser.see(".seen li", EVIL)
    assert not browser.run("return document.querySelector('main img')")
    assert "owned" not in browser.driver.title


def test_the_console_keeps_a_bounded_number_of_lines(web: Web) -> None:
    browser = web.visit(f"#/machine/{LOGGER}")
    options = f"-n {BOOT_SERVER} -P 514 -d --rfc5424 -t flood"
    web.lab.run("node", "sh", "-c", f"seq -f 'flood %g' 1 1500 | logger {options}")

    browser.see(".log", "flood 1500")
    assert browser.run("return document.querySelector('.lines').childElementCount") <= 600


# --- the configuration ---------------------------------------------------------------------------


def test_a_refused_configuration_is_told_with_file_and_line(web: Web) -> None:
    browser = web.visit("#/configuration")
    browser.see("#configuration", "Generation")
    good = web.file.read_text()
    web.file.write_text(good.replace('"targets": {', '"targets" {', 1))
    browser.click("#reload")

    browser.see(".outcome.bad")
    browser.see(".finding[data-level='error'] code", f"{web.file}:2:")
    browser.see("#refused", "still served")
    browser.see("#count-findings", "1")

    web.file.write_text(good)
    browser.click("#reload")
    browser.see(".outcome.good", "Reloaded")
    browser.wait("return document.querySelector('#refused').hidden")
    assert web.was_loaded_once()


# --- bytes on their way --------------------------------------------------------------------------


def test_a_transfer_is_shown_while_it_goes_on(web: Web) -> None:
    browser = web.visit("#/transfers")
    url = f"{BASE}/{WALKER}/images/large"
    slow = web.lab.spawn("lan", *web.fetch(url, WALKER, "--limit-rate", "500k"))

    row = browser.see("#transfers-rows .row", "images/large")
    assert "walker" in row.text
    assert browser.see("#transfers-rows [role=progressbar]").get_attribute("aria-valuenow")
    browser.see("#count-transfers", "1")
    slow.close()
    browser.see("#transfers-empty", "Nothing is being fetched")


# --- out of reach --------------------------------------------------------------------------------


def test_a_daemon_that_restarts_is_missed_and_found_again(web: Web) -> None:
    browser = web.visit("#/machines")
    browser.see("#feed", "live")

    web.daemon.close()
    browser.see("#offline", "out of reach")
    assert "offline" in browser.text("#feed") or "connecting" in browser.text("#feed")

    web.daemon = web.lab.netbootd(web.file)
    browser.see("#feed", "live", within=40)
    browser.wait("return document.querySelector('#offline').hidden")
    web.load(OFFLINE)
    browser.see("#machines-rows .row[data-state='booting']", "offline")
    assert web.was_loaded_once()


# --- the origin ----------------------------------------------------------------------------------


def test_no_request_leaves_the_daemon_and_nothing_is_complained_about(web: Web) -> None:
    browser = web.browser
    list(browser.requests())
    browser.complaints()
    browser.sign_in(web.token)
    for view in ("fleet", "transfers", "unknown", "add", "configuration", f"machine/{WALKER}"):
        browser.go(f"#/{view}")
        browser.see("main h1")

    asked = [url for url, _ in browser.requests()]
    assert f"{BASE}/ui/app.js" in asked
    assert [url for url in asked if not url.startswith((f"{BASE}/", "about:"))] == []
    assert browser.complaints() == []


def test_the_token_goes_to_the_session_alone(web: Web) -> None:
    list(web.browser.requests())
    web.browser.sign_in(web.token)
    web.browser.go("#/fleet")
    web.browser.see("#fleet-cells .cell")

    requests = list(web.browser.requests())
    assert {url for url, headers in requests if web.token in str(headers)} == {
        f"{BASE}/api/v1/session"
    }
    assert not [url for url, _ in requests if web.token in url.partition("#")[0]]
