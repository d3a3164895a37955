"""
How the web page looks and is used: by keyboard alone, on a phone, in light and dark, and by whoever
does not see it; and what its modules compute, which a browser computes as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.browser import Browser
from tests.end_to_end.webpage import ARMED, LACKING, STEPPER, STRANGER, Web, web

__all__ = ["web"]
pytestmark = [pytest.mark.wire, pytest.mark.slow, pytest.mark.e2e]

TAB, ENTER, ESCAPE, SHIFT = "\ue004", "\ue007", "\ue00c", "\ue008"
PHONE = (320, 640)
DESKTOP = (1280, 900)
VIEWS = {
    "machines": "#/machines",
    "fleet": "#/fleet",
    "machine": f"#/machine/{LACKING}",
    "transfers": "#/transfers",
    "leases": "#/leases",
    "unknown": "#/unknown",
    "add": f"#/add/{STRANGER}",
    "configuration": "#/configuration",
}
EVERY_VIEW = pytest.mark.parametrize("view", list(VIEWS))

#: Texts whose colour is too near to that of their ground (WCAG 2.2, 1.4.3).
CONTRAST = """
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] > 250) return color;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.checkVisibility() || one.closest(".unseen, .skip, option, :disabled")) continue;
    const style = getComputedStyle(one);
    const [a, b] = [light(rgba(style.color)), light(ground(one))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) {
      found.push(`${ratio.toFixed(2)} ${one.tagName}.${one.className}: ${one.innerText.slice(0, 40)}`);
    }
  }
  return found"""

#: What whoever does not see the page would miss; each rule as axe has it.
LACKS = """
  const found = [];
  const named = (one) => (one.getAttribute("aria-label") || one.innerText || one.title || "").trim()
    || [...(one.labels ?? [])].some((label) => label.innerText.trim() || label.textContent.trim());
  const seen = (selector) => [...document.querySelectorAll(selector)].filter((x) => x.checkVisibility());
  for (const one of seen("a, button, input, select, textarea, summary, [role=img], [tabindex='0']"))
    if (!named(one)) found.push(`no name: ${one.outerHTML.slice(0, 120)}`);
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`id twice: ${id}`);
  for (const one of seen("[aria-describedby], [aria-labelledby]"))
    for (const name of ["aria-describedby", "aria-labelledby"])
      for (const id of (one.getAttribute(name) ?? "").split(/\\s+/).filter(Boolean))
        if (!document.getElementById(id)) found.push(`${name} of nobody: ${id}`);
  if (seen("h1").length !== 1) found.push(`${seen("h1").length} h1`);
  if (seen("main").length !== 1) found.push("no main");
  if (!document.documentElement.lang) found.push("no language");
  for (const cell of seen("[role=cell], [role=columnheader]"))
    if (!cell.closest("[role=row]")) found.push("a cell outside of a row");
  for (const row of seen("[role=row]")) if (!row.closest("[role=table]")) found.push("a lost row");
  for (const th of seen("th")) if (!th.scope) found.push(`th without scope: ${th.innerText}`);
  if (document.querySelectorAll("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").length)
    found.push("an order of focus by numbers");
  return found"""

#: What can be tapped and is smaller than a finger finds (WCAG 2.2, 2.5.8); text lines aside.
SMALL = """
  return [...document.querySelectorAll("button, select, input, a.button, nav a")]
    .filter((one) => one.checkVisibility() && !one.matches("[type=checkbox]"))
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([, { width, height }]) => width < 24 || height < 24)
    .map(([one, { width, height }]) => `${width}x${height} ${one.outerHTML.slice(0, 80)}`)"""


@pytest.fixture(scope="module")
def page(web: Web) -> Iterator[Browser]:
    """A browser with something in each view."""
    web.load(LACKING)
    web.get(f"/boot/{LACKING}")
    web.get(f"/{LACKING}/images/nothing")
    web.load(STEPPER)
    yield web.browser
    web.browser.resize(*DESKTOP)


def at(page: Browser, view: str) -> None:
    page.go(VIEWS[view])
    page.see("main h1")
    if view == "machine":
        page.see(".why .causes > li")
        page.see(".picture .line")


def look(page: Browser, scheme: str) -> None:
    """In that scheme at once, without colours on their way."""
    page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")


@EVERY_VIEW
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(page: Browser, view: str, scheme: str) -> None:
    look(page, scheme)
    at(page, view)

    assert page.run(CONTRAST) == []


@EVERY_VIEW
def test_whoever_does_not_see_the_page_misses_nothing(page: Browser, view: str) -> None:
    page.resize(*DESKTOP)
    at(page, view)

    assert page.run(LACKS) == []


@EVERY_VIEW
def test_the_page_fits_a_small_phone(page: Browser, view: str) -> None:
    page.resize(*PHONE)
    at(page, view)

    assert page.run("return document.documentElement.scrollWidth") <= PHONE[0]
    assert page.run(SMALL) == []
    page.resize(*DESKTOP)


def test_signing_in_is_as_well_kept(web: Web, page: Browser) -> None:
    page.click("#sign-out")
    page.see("#login h1")

    for scheme in ("light", "dark"):
        look(page, scheme)
        assert page.run(CONTRAST) == []
    assert page.run(LACKS) == []
    page.sign_in(web.token)


def test_the_switch_overrules_the_system_and_is_remembered(page: Browser) -> None:
    page.prefer(prefers_color_scheme="light")
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = page.run(ground)
    page.click("#theme")
    page.see("#theme", "Theme: light")
    page.click("#theme")
    page.see("#theme", "Theme: dark")
    dark = page.run(ground)
    page.driver.refresh()

    page.see("#theme", "Theme: dark")
    assert page.run(ground) == dark != light
    page.click("#theme")
    page.see("#theme", "Theme: auto")
    assert page.run(ground) == light


def test_nothing_moves_for_who_wants_that(page: Browser) -> None:
    page.prefer(prefers_reduced_motion="reduce")
    at(page, "machines")

    moving = """return [...document.querySelectorAll("*")].map((one) => getComputedStyle(one))
        .filter((s) => s.animationName !== "none" || parseFloat(s.transitionDuration) > 0).length"""
    assert page.run(moving) == 0
    page.prefer()


# --- keys ----------------------------------------------------------------------------------------


def test_the_whole_way_goes_by_keys_alone(page: Browser) -> None:
    at(page, "fleet")
    page.press("/")
    page.wait("return document.activeElement.id === 'search'")
    page.press(*"armed", TAB, TAB, TAB)
    page.wait("return document.activeElement.innerText === 'armed'")

    page.press(ENTER)
    page.see("#machine h1", "armed")
    page.wait("return document.activeElement.id === 'machine-title'")
    page.press(TAB)
    assert page.focused.startswith("Boot next")
    page.press(ENTER)
    page.wait("return document.activeElement.matches('.arm input')")
    page.press(*"nfs/two", ENTER)
    page.see(".order.armed", "nfs/two")

    page.press(ESCAPE)
    page.see("#machines h1")
    assert page.run("return document.querySelector('#search').value") == "armed"
    page.press(ESCAPE)
    page.wait("return document.querySelector('#search').value === ''")
    at(page, "machine")
    page.go(f"#/machine/{ARMED}")
    page.click(".order.armed button", "Take back")


def test_focus_is_seen_wherever_tab_leads(page: Browser) -> None:
    at(page, "machines")
    seen = set()
    for _ in range(25):
        page.press(TAB)
        marked = page.run(
            """const one = document.activeElement;
               if (one === document.body) return "body";
               const styles = [getComputedStyle(one), getComputedStyle(one, "::after")];
               return styles.some((s) => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2)
                 ? one.outerHTML.slice(0, 60) : null"""
        )
        assert marked, page.focused
        seen.add(marked)
    assert len(seen) >= 20


def test_escape_leaves_a_form_where_it_was_opened(page: Browser) -> None:
    page.go(f"#/machine/{ARMED}")
    page.click("#machine .actions button", "Boot next")
    page.see(".arm input")
    page.press(ESCAPE)
    page.wait("return !document.querySelector('.arm')")
    assert page.focused.startswith("Boot next")


# --- what the modules compute --------------------------------------------------------------------


def computed(page: Browser, script: str, **values: Any) -> Any:
    given = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
    return page.module(given + script)


@pytest.mark.parametrize("cut", [1, 3, 7, 1000])
def test_events_are_read_however_they_are_cut(page: Browser, cut: int) -> None:
    text = 'retry: 3000\n\nevent: a\ndata: {"x":\ndata: 1}\n\n: ping\n\r\ndata: plain\r\n\r\nevent: n\n\n'
    script = """
        const { Parser } = await from("sse.js"); const parser = new Parser(); const found = [];
        for (let at = 0; at < text.length; at += cut) found.push(...parser.push(text.slice(at, at + cut)));
        return found"""

    assert computed(page, script, text=text, cut=cut) == [
        {"event": "a", "data": '{"x":\n1}'},
        {"event": "message", "data": "plain"},
    ]


def test_a_long_pause_is_drawn_short_unless_that_is_unwanted(page: Browser) -> None:
    steps = [
        {"at": 100.0, "until": 104.0, "open": False},
        {"at": 400.0, "until": 406.0, "open": False},
    ]
    script = """
        const { scale, pauses, gaps, ticks } = await from("axis.js");
        const axis = scale(steps, 100, 406, exact);
        return { cuts: axis.cuts, at: [100, 104, 400, 406].map(axis.at), ticks: ticks(axis, 6).length,
                 gaps: gaps(pauses(steps, 100, 406), 306) }"""

    short = computed(page, script, steps=steps, exact=False)
    assert short["cuts"] == short["gaps"] == [{"from": 104, "to": 400}]
    assert short["at"] == pytest.approx([0, 0.372, 0.442, 1], abs=0.001)
    assert 3 <= short["ticks"] <= 9
    exact = computed(page, script, steps=steps, exact=True)
    assert exact["cuts"] == []
    assert exact["at"] == pytest.approx([0, 4 / 306, 300 / 306, 1])


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ("abcd", "bcda", 1),
        ("abcd", "dabc", 1),
        ("abcd", "dcba", 3),
        ("abc", "axc", 1),
        ("", "ab", 2),
    ],
)
def test_a_list_is_put_in_order_with_as_few_moves_as_can_be(
    page: Browser, before: str, after: str, moved: int
) -> None:
    script = """
        const { arrange, el } = await from("dom.js");
        const nodes = Object.fromEntries([...before + after].map((x) => [x, el("i", {}, x)]));
        const parent = el("div", {}, ...[...before].map((x) => nodes[x]));
        const watch = new MutationObserver(() => {});
        watch.observe(parent, { childList: true });
        arrange(parent, [...after].map((x) => nodes[x]));
        const added = watch.takeRecords().flatMap(({ addedNodes }) => [...addedNodes]);
        return [parent.textContent, added.length]"""

    assert computed(page, script, before=before, after=after) == [after, moved]


def test_what_cannot_be_seen_is_made_visible(page: Browser) -> None:
    script = """
        const { pieces, visible } = await from("words.js");
        return [visible(text), pieces(text).filter(({ escape }) => escape).length]"""

    shown, signs = computed(page, script, text="a\x1b[1mb\u202e\u200bc\x00\n")
    assert shown == "a\u241b[1mb\\u202e\\u200bc\u2400\u240a"
    assert signs == 5


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((0, "0 s"), (0.004, "0.004 s"), (0.34, "0.34 s"), (12.34, "12.3 s")),
        *((59.96, "1 min 00 s"), (245, "4 min 05 s"), (7800, "2 h 10 min"), (273600, "3 d 4 h")),
    ],
    ids=str,
)
def test_durations_are_said_as_people_do(page: Browser, seconds: float, said: str) -> None:
    script = 'return (await from("words.js")).duration(seconds)'
    assert computed(page, script, seconds=seconds) == said


@pytest.mark.parametrize(
    ("size", "said"), [(812, "812 B"), (44134, "43.1 KiB"), (1 << 30, "1.00 GiB")], ids=str
)
def test_sizes_are_said_in_binary_units(page: Browser, size: int, said: str) -> None:
    script = 'return (await from("words.js")).bytes(size)'
    assert computed(page, script, size=size) == said


def test_the_pictures_of_the_manual_are_small() -> None:
    folder = Path(__file__).parents[2] / "docs" / "images"
    for file in folder.glob("*.png"):
        assert file.stat().st_size < 150_000, file.name
