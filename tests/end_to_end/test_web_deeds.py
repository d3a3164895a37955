"""
What an administrator does on the web page: boots are armed and machines released and added, logs
followed, a configuration mended.
"""

from __future__ import annotations

import pytest

from tests.end_to_end.browser import BASE
from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD
from tests.end_to_end.webpage import (
    ARMED,
    HELD,
    LOGGER,
    STEPPER,
    STRANGER,
    WALKER,
    Web,
    web,
)

__all__ = ["web"]
pytestmark = [pytest.mark.wire, pytest.mark.slow]

EVIL = "<img src=x onerror=document.title='owned'>"
EVIL_URL = "%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D'owned'%3E"


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

    browser.see("#transfers-rows .row", "images/large")
    browser.see("#transfers-rows .row", "walker")
    browser.see("#transfers-rows [role=progressbar][aria-valuenow]")
    browser.see("#count-transfers", "1")
    slow.close()
    browser.see("#transfers-empty", "Nothing is being fetched")
