"""
A real browser in a namespace of the lab: Debian's Chromium, driven by Selenium.

Chromium alone lives in the namespace; its driver stays outside and talks to it through a pipe, so
that whatever the page asks for, it can only come from the lab.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.end_to_end.process import NotSeenError

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
BASE = f"http://{BOOT_SERVER}:3000"
PATIENCE_S = 15.0
#: A name of somebody else's that leads to the boot server.
REBOUND = "rebound.evil.example"
_ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    f"--host-resolver-rules=MAP {REBOUND} {BOOT_SERVER}",
)


class Browser:
    """One browser window of *width* by *height*, in the namespace *place*."""

    def __init__(self, lab: Lab, place: str = "lan", width: int = 1280, height: int = 900) -> None:
        if not (CHROMIUM.exists() and DRIVER.exists()):
            pytest.skip("needs Debian's chromium and chromium-driver")
        program = lab.folder / f"chromium-{place}"
        command = " ".join(lab.inside(place, str(CHROMIUM)))
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)
        options = webdriver.ChromeOptions()
        options.binary_location = str(program)
        for argument in _ARGUMENTS:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        self.driver.set_script_timeout(PATIENCE_S)
        self.resize(width, height)

    def close(self) -> None:
        self.driver.quit()

    # -- how it is looked at -------------------------------------------------------------------

    def resize(self, width: int, height: int) -> None:
        """A window of that size; below 500 pixels it is a phone's."""
        phone = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)

    def prefer(self, **features: str) -> None:
        """What the system asks for: ``prefers_color_scheme="dark"``."""
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})

    def shot(self, file: Path) -> None:
        """A picture of the window."""
        self.driver.save_screenshot(str(file))

    # -- going and looking ---------------------------------------------------------------------

    def go(self, fragment: str) -> None:
        """To a view of the page; another fragment loads nothing anew."""
        self.driver.get(f"{BASE}/ui/{fragment}")

    def sign_in(self, token: str) -> None:
        """With the token in the address, until the machines are there."""
        self.driver.get("about:blank")
        self.go(f"#token={token}")
        self.wait("return document.querySelector('#feed').dataset.state === 'open'")

    def run(self, script: str, *arguments: Any) -> Any:
        """What *script* returns, in the page."""
        return self.driver.execute_script(script, *arguments)

    def module(self, script: str) -> Any:
        """
        What *script* returns in the page, with ``from(name)`` to await a module of the page.
        """
        whole = (
            "const done = arguments[0]; const from = (name) => import('/ui/' + name);"
            f"(async () => {{ {script} }})().then(done, (e) => done('' + e));"
        )
        return self.driver.execute_async_script(whole)

    def wait(self, script: str, *arguments: Any, within: float = PATIENCE_S) -> Any:
        """What *script* returns once that is true; NotSeenError with what the page shows."""
        deadline = time.monotonic() + within
        while True:
            try:
                if found := self.run(script, *arguments):
                    return found
            except (StaleElementReferenceException, WebDriverException) as problem:
                if time.monotonic() > deadline:
                    raise NotSeenError(str(problem)) from None
            if time.monotonic() > deadline:
                raise NotSeenError(f"not within {within:.0f} s: {script} in\n{self.text('body')}")
            time.sleep(0.05)

    def see(self, selector: str, text: str = "", within: float = PATIENCE_S) -> WebElement:
        """The first visible element of *selector* that contains *text*, once there is one."""
        script = """
            return [...document.querySelectorAll(arguments[0])].find((one) =>
              one.checkVisibility() && one.innerText.includes(arguments[1]))"""
        found: WebElement = self.wait(script, selector, text, within=within)
        return found

    def logged(self, text: str, within: float = PATIENCE_S) -> None:
        """Until a log line has *text*, be it out of sight, where a browser renders none."""
        script = """
            return [...document.querySelectorAll(".log .text")].some(({ textContent }) =>
              textContent.includes(arguments[0]))"""
        self.wait(script, text, within=within)

    def text(self, selector: str) -> str:
        """The visible text of the first element, empty where there is none."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self.run(script, selector))

    def click(self, selector: str, text: str = "") -> None:
        element = self.see(selector, text)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def write(self, selector: str, text: str) -> None:
        """*text* into a field, in place of what is there."""
        field = self.see(selector)
        field.clear()
        field.send_keys(text)

    def choose(self, selector: str, value: str) -> None:
        """An option of a select, once it is offered."""
        self.wait(
            """const one = document.querySelector(arguments[0]);
               if (![...one.options].some(({ value }) => value === arguments[1])) return false;
               one.value = arguments[1];
               one.dispatchEvent(new Event("change", { bubbles: true }));
               one.dispatchEvent(new Event("input", { bubbles: true }));
               return true""",
            selector,
            value,
        )

    def press(self, *keys: str) -> None:
        """Keys, to whatever has the focus."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    @property
    def focused(self) -> str:
        """What has the focus: its id, or its text."""
        script = "const a = document.activeElement; return a.id || a.innerText || a.tagName"
        return str(self.run(script))

    def all(self, selector: str) -> list[str]:
        """The visible texts of all elements."""
        script = """return [...document.querySelectorAll(arguments[0])]
            .filter((one) => one.checkVisibility()).map((one) => one.innerText)"""
        return list(self.run(script, selector))

    def elements(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    # -- what it did ---------------------------------------------------------------------------

    def requests(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Each address that was asked for since the last call, and the headers sent to it."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                request = message["params"]["request"]
                yield request["url"], request["headers"]

    def complaints(self) -> list[str]:
        """What the browser's console says is wrong, since the last call."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING")
        ]
