"""
The web page in a real browser, before a real daemon on a real network: who gets in, and what it
shows of boots as they happen, without being loaded anew.
"""

from __future__ import annotations

import re

import pytest

from tests.end_to_end.browser import BASE
from tests.end_to_end.webpage import LACKING, OFFLINE, RETURNER, STEPPER, WALKER, Web, web

__all__ = ["web"]
pytestmark = [pytest.mark.wire, pytest.mark.slow]


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
    web.load(RETURNER)
    for path in (f"/boot/{RETURNER}", f"/{RETURNER}/images/vmlinuz", f"/{RETURNER}/images/initrd"):
        web.get(path)
    browser = web.visit(f"#/machine/{RETURNER}")
    browser.see(".picture .stage", "Initrd")
    web.load(RETURNER)
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


# --- out of reach --------------------------------------------------------------------------------


def test_a_daemon_that_restarts_is_missed_and_found_again(web: Web) -> None:
    web.browser.sign_in(
        web.token
    )  # a page that was loaded anew knows no token to sign in again with
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
    for view in (
        "fleet",
        "transfers",
        "leases",
        "unknown",
        "add",
        "configuration",
        f"machine/{WALKER}",
    ):
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
