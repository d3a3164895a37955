"""
A foreign page in the browser of an administrator who is signed in: whatever it tries, nothing is
changed and nothing is read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.browser import BASE, REBOUND, Browser
from tests.end_to_end.lab import BOOT_SERVER, LAN_SERVER
from tests.end_to_end.webpage import ARMED, LOGGER, Web, web

__all__ = ["web"]
pytestmark = [pytest.mark.wire, pytest.mark.slow]

API = f"{BASE}/api/v1"
#: Other hosts are other sites; another port of the same host is the same site, and gets its cookie.
ELSEWHERE = {"lan": f"http://{LAN_SERVER}:8000", "boot": f"http://{BOOT_SERVER}:8080"}
PAGE = "<!doctype html><title>evil</title><body>"
HOSTILE = "<img src=x onerror=document.title='owned'>\"'><script>document.title='owned'</script>"


@pytest.fixture(scope="module", params=ELSEWHERE)
def evil(request: pytest.FixtureRequest, web: Web) -> Iterator[Browser]:
    """The browser that is signed in, in a page of somebody else's."""
    folder = Path(web.lab.folder) / f"evil-{request.param}"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE)
    there = ELSEWHERE[request.param]
    address, _, port = there.removeprefix("http://").partition(":")
    command = ("-u", "-m", "http.server", "--bind", address, "--directory", str(folder), port)
    server = web.lab.spawn(request.param, sys.executable, *command)
    server.wait_for("Serving HTTP", 20)
    web.browser.sign_in(web.token)
    web.browser.driver.get(f"{there}/")
    yield web.browser
    web.browser.driver.get("about:blank")


def attempt(browser: Browser, script: str) -> Any:
    """What comes of *script*, in which ``return`` gives a value of a promise."""
    whole = (
        f"const done = arguments[0]; (async () => {{ {script} }})().then(done, (e) => done('' + e))"
    )
    return browser.driver.execute_async_script(whole)


def changed(web: Web) -> str:
    """What the daemon has told of changes."""
    return web.daemon.text


def test_requests_of_a_script_change_nothing_and_read_nothing(web: Web, evil: Browser) -> None:
    before = len(web.daemon.text)
    tries = [
        ("POST", "/reload", {"mode": "no-cors", "body": "{}"}),
        ("POST", "/reload", {"mode": "no-cors", "body": "x=1"}),
        ("POST", f"/machines/{ARMED}/release", {"mode": "no-cors"}),
        ("POST", "/reload", {"headers": {"Content-Type": "application/json"}, "body": "{}"}),
        ("POST", "/reload", {"headers": {"X-Requested-With": "netbootd"}}),
        ("DELETE", f"/machines/{ARMED}", {}),
        ("PUT", f"/machines/{ARMED}/next", {"body": '{"target": "nfs/two"}'}),
    ]
    for method, path, more in tries:
        options = {"method": method, "credentials": "include", **more}
        attempt(evil, f"return fetch({json.dumps(API + path)}, {json.dumps(options)})")
    for path in ("/machines", "/session", "/openapi.json"):
        url = json.dumps(API + path)
        assert "TypeError" in attempt(
            evil, f"return fetch({url}, {{credentials: 'include'}}).then((r) => r.text())"
        )
    said = web.daemon.text[before:]
    assert "configuration reloaded" not in said
    assert ": done" not in said
    assert "refused" in said


def test_a_form_changes_nothing(web: Web, evil: Browser) -> None:
    there = evil.run("return location.href")
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        before = len(web.daemon.text)
        evil.run(
            """const form = document.createElement("form");
               form.method = "post"; form.action = arguments[0]; form.enctype = arguments[1];
               const field = document.createElement("input");
               field.name = '{"paused": true, "x'; field.value = '": 1}';
               form.append(field); document.body.append(form); form.submit()""",
            f"{API}/reload",
            kind,
        )
        web.daemon.wait_for(r"audit: .*POST reload: refused", 20, after=before)
        assert ": done" not in web.daemon.text[before:]
        evil.driver.get(there)


def test_it_is_neither_framed_nor_taken_for_something_else(web: Web, evil: Browser) -> None:
    told = attempt(
        evil,
        f"""
        const found = {{}};
        const load = (tag, name, url) => new Promise((done) => {{
          const one = document.createElement(tag);
          one.onload = () => done("loaded"); one.onerror = () => done("refused");
          one[name] = url; document.body.append(one); setTimeout(() => done("silent"), 5000);
        }});
        found.script = await load("script", "src", "{API}/openapi.json");
        found.image = await load("img", "src", "{BASE}/ui/icon.svg");
        found.events = await new Promise((done) => {{
          const feed = new EventSource("{API}/events", {{ withCredentials: true }});
          feed.onopen = () => done("open"); feed.onerror = () => done("refused");
        }});
        const frame = document.createElement("iframe");
        frame.src = "{BASE}/ui/"; document.body.append(frame);
        await new Promise((done) => {{ frame.onload = done; setTimeout(done, 5000); }});
        try {{ found.frame = frame.contentDocument.body.innerText }} catch (e) {{ found.frame = "" }}
        return found""",
    )
    assert told == {"script": "refused", "image": "refused", "events": "refused", "frame": ""}
    complaints = " ".join(evil.complaints())
    assert "frame-ancestors" in complaints or "X-Frame-Options" in complaints


def test_a_rebound_name_shows_what_would_be_right(web: Web) -> None:
    browser = web.browser
    browser.driver.get(f"http://{REBOUND}:3000/ui/")
    assert f'"web_names" : ["{REBOUND}"]' in browser.text("body")
    browser.driver.get(f"http://{REBOUND}:3000/api/v1/openapi.json")
    assert "foreign-name" in browser.text("body")


def test_hostile_names_of_clients_are_text_on_every_page(web: Web) -> None:
    browser = web.browser
    browser.sign_in(web.token)
    options = ("-n", BOOT_SERVER, "-P", "514", "-d", "--rfc5424", "-t", "<b>unit</b>")
    web.lab.run("node", "logger", *options, "--", HOSTILE)
    web.lab.run(
        *("boot", "curl", "-sS", "--unix-socket", str(web.lab.folder / "state" / "api.sock")),
        *("-X", "PATCH", "-H", "Content-Type: application/json"),
        *("-d", json.dumps({"vars": {"note": HOSTILE}, "site": HOSTILE})),
        f"http://x/api/v1/machines/{LOGGER}",
    )
    browser.complaints()
    for page in ("machines", f"machine/{LOGGER}", "fleet", "transfers", "leases", "unknown"):
        browser.go(f"#/{page}")
        browser.see("main h1")
        assert not browser.run("return document.querySelector('main img, main script')")
        assert "owned" not in browser.driver.title
    browser.go(f"#/machine/{LOGGER}")
    browser.logged("<img src=x")
    assert browser.complaints() == []
