/** How a state looks: a sign whose shape tells as much as its colour, and its word. */

import { el, fill, setAttribute, setText, svg } from "./dom.js";
import { STATES, stateWord } from "./words.js";

/** Drawn in a box of 16 by 16. */
const SHAPES = {
  failed: "M3.2 1.8 8 6.6l4.8-4.8 1.4 1.4L9.4 8l4.8 4.8-1.4 1.4L8 9.4l-4.8 4.8-1.4-1.4L6.6 8 1.8 3.2z",
  stuck: "M8 1.2 15.4 14.4H.6zM7.1 5.8v4h1.8v-4zm0 5v1.8h1.8v-1.8z",
  overdue: "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zM7 4v5h5V7.2H8.8V4z",
  held: "M3 2h3.6v12H3zM9.4 2H13v12H9.4z",
  booting: "M4 1.8 14 8 4 14.2z",
  up: "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zM4.1 8.2l2.8 2.9 5.2-5.6-1.3-1.2-3.9 4.2-1.5-1.6z",
  unknown: "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zm0 2a5 5 0 1 0 0 10A5 5 0 0 0 8 3z",
  disabled: "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zM4 7v2h8V7z",
};

/** @param {string} state */
export function sign(state) {
  const path = svg("path", { d: SHAPES[state] ?? SHAPES.unknown, "fill-rule": "evenodd" });
  return svg("svg", { class: "sign", viewBox: "0 0 16 16", "aria-hidden": "true" }, path);
}

/** Sign and word. @param {string} state */
export function badge(state) {
  return el("span", { class: "badge", "data-state": state }, sign(state), stateWord(state));
}

/** Make *node*, which is a badge, that of *state*. @param {Element} node @param {string} state */
export function setBadge(node, state) {
  if (node.getAttribute("data-state") === state) return;
  setAttribute(node, "data-state", state);
  fill(node, sign(state), stateWord(state));
}

/**
 * A row of buttons, one for each state, with how many there are; several may be pressed.
 *
 * @param {Element} place
 * @param {(chosen: Set<string>) => void} changed
 */
export function stateButtons(place, changed) {
  const chosen = new Set();
  /** @type {Map<string, {button: HTMLElement, count: HTMLElement}>} */
  const buttons = new Map();
  for (const state of Object.keys(STATES)) {
    const count = el("b", {}, "0");
    const button = el(
      "button",
      { type: "button", class: "state", "data-state": state, "aria-pressed": "false" },
      ...[sign(state), count, el("span", {}, stateWord(state))],
    );
    button.addEventListener("click", () => choose(chosen.has(state) ? null : state, state));
    buttons.set(state, { button, count });
    place.append(button);
  }

  /** @param {string|null} add @param {string} state */
  function choose(add, state) {
    if (add === null) chosen.delete(state);
    else chosen.add(add);
    for (const [one, { button }] of buttons) setAttribute(button, "aria-pressed", String(chosen.has(one)));
    changed(chosen);
  }

  return {
    /** @param {Record<string, number>} counts */
    show(counts) {
      for (const [state, { button, count }] of buttons) {
        setText(count, String(counts[state] ?? 0));
        button.classList.toggle("none", !counts[state]);
      }
    },
    /** Only these. @param {string[]} states */
    set(states) {
      chosen.clear();
      for (const state of states) if (state in STATES) chosen.add(state);
      for (const [one, { button }] of buttons) setAttribute(button, "aria-pressed", String(chosen.has(one)));
    },
  };
}
