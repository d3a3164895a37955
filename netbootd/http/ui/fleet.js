/**
 * The fleet at a glance: a cell for each machine, coloured by its state and by how far it is behind
 * the others, the slowest by name, and how long each stage takes.
 */

import { call, get } from "./api.js";
import { arrange, byId, el, fill, setAttribute, setStyle, setText } from "./dom.js";
import { button } from "./form.js";
import { badge, stateButtons } from "./states.js";
import { age, byName, counts, nameOf, store, underWay } from "./store.js";
import { bytes, coarse, counted, duration, placeWords, stageWord, stateWord, WAY } from "./words.js";

/** @typedef {import("./types.js").Machine} Machine */

/** Of the slowest so many are named. */
const NAMED = 8;
/** From how many times the usual duration on a machine is warm, hot, and hottest. */
const HEATS = [1.5, 2.5, 4];
/** Below so many seconds nobody is slow. */
const LEAST = 10;
/** Milliseconds between asking for percentiles anew. */
const STAGES_EVERY = 5000;
/** Pixels of a cell by how many there are. */
const SIZES = /** @type {[number, number][]} */ ([
  [60, 38],
  [150, 30],
  [700, 22],
  [1200, 17],
  [Infinity, 13],
]);

/** The middle one; 0 of none. @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}

/**
 * What a boot usually takes: the median of those that are done, or, at the first start of a fleet,
 * of those under way.
 *
 * @param {Machine[]} machines @param {number} now
 */
export function usual(machines, now) {
  const done = machines.filter(({ outcome, seconds }) => outcome === "done" && seconds > 0);
  if (done.length >= 3) return Math.max(LEAST, median(done.map(({ seconds }) => seconds)));
  const going = machines.filter(underWay).map((machine) => age(machine, now) ?? 0);
  return Math.max(LEAST, median(going));
}

/** 0 to 3. @param {number} seconds @param {number} usually */
export const heat = (seconds, usually) => HEATS.filter((least) => seconds > least * usually).length;

/** Seconds of a machine's boot, under way or done. @param {Machine} machine @param {number} now */
const took = (machine, now) => (underWay(machine) ? (age(machine, now) ?? 0) : machine.seconds);

/** The page of the fleet. */
export function fleet() {
  const place = byId("fleet-cells");
  const told = byId("fleet-told");
  const slow = byId("fleet-slow");
  const slowEmpty = byId("fleet-slow-empty");
  const order = /** @type {HTMLSelectElement} */ (byId("fleet-order"));
  const headline = el("p", { class: "headline" });
  const pace = el("p", { class: "queue", hidden: true });
  byId("fleet-states").after(headline, pace);
  /** @type {Map<string, HTMLElement>} */
  const cells = new Map();
  let open = false;
  let asked = 0;
  /** @type {Set<string>} */
  let picked = new Set();

  const buttons = stateButtons(byId("fleet-states"), (chosen) => {
    picked = chosen;
    light();
  });
  legend(byId("fleet-legend"));
  order.addEventListener("change", draw);
  place.addEventListener("keydown", walk);
  for (const event of ["focusin", "mouseover"]) place.addEventListener(event, tell);
  store.on("machines", () => open && draw());
  store.on("status", () => showPace(pace, store.status.pace));

  function draw() {
    const machines = [...store.machines.values()];
    const now = store.now();
    const usually = usual(machines, now);
    for (const key of [...cells.keys()]) if (!store.machines.has(key)) cells.delete(key);
    for (const machine of machines) show(machine, now, usually);
    arrange(place, sorted(machines, now).map(({ key }) => /** @type {HTMLElement} */ (cells.get(key))));
    setStyle(place, "--cell", `${SIZES.find(([most]) => machines.length <= most)?.[1]}px`);
    rove();
    light();
    buttons.show(counts(machines));
    nameSlowest(machines, now, usually);
  }

  /** @param {Machine[]} machines @param {number} now */
  function sorted(machines, now) {
    const names = (/** @type {Machine} */ a, /** @type {Machine} */ b) => byName(nameOf(a), nameOf(b));
    if (order.value === "name") return machines.sort(names);
    return machines.sort(
      (a, b) => Number(underWay(b)) - Number(underWay(a)) || took(b, now) - took(a, now) || names(a, b),
    );
  }

  /** @param {Machine} machine @param {number} now @param {number} usually */
  function show(machine, now, usually) {
    let cell = cells.get(machine.key);
    if (!cell) {
      cell = el("a", { class: "cell", href: `#/machine/${encodeURIComponent(machine.key)}`, tabindex: "-1" });
      cell.dataset.key = machine.key;
      cells.set(machine.key, cell);
    }
    setAttribute(cell, "data-state", machine.state);
    setAttribute(cell, "data-heat", String(heat(took(machine, now), usually)));
    setAttribute(cell, "aria-label", [nameOf(machine), stateWord(machine.state), stageWord(machine.reached)].filter(Boolean).join(", "));
  }

  /** One cell can be reached by Tab, the others from there by arrows. */
  function rove() {
    const first = place.querySelector('[tabindex="0"]') ?? place.firstElementChild;
    if (first) setAttribute(first, "tabindex", "0");
  }

  /** Dim what is in none of the states that are picked. */
  function light() {
    for (const cell of cells.values()) {
      cell.classList.toggle("dim", picked.size > 0 && !picked.has(cell.dataset.state ?? ""));
    }
  }

  /** @param {Machine[]} machines @param {number} now @param {number} usually */
  function nameSlowest(machines, now, usually) {
    const stuck = (/** @type {Machine} */ machine) => Number(machine.state === "stuck");
    const going = machines
      .filter(underWay)
      .sort((a, b) => stuck(b) - stuck(a) || took(b, now) - took(a, now));
    const longest = Math.max(usually * HEATS[0], ...going.map((machine) => took(machine, now)));
    fill(slow, going.slice(0, NAMED).map((machine) => slowLine(machine, now, usually, longest)));
    const more = going.length - NAMED;
    if (more > 0) slow.append(el("li", { class: "hint" }, `and ${more} more under way`));
    slowEmpty.hidden = going.length > 0;
    setText(slowEmpty, "Nobody is under way.");
    for (const cell of place.querySelectorAll(".last")) cell.classList.remove("last");
    const last = going[0];
    const behind = last && (stuck(last) > 0 || heat(took(last, now), usually) > 0);
    if (behind) cells.get(last.key)?.classList.add("last");
    fill(headline, ...summary(machines, behind ? last : undefined, now, usually));
  }

  /** Which cell is meant, in words below. @param {Event} event */
  function tell(event) {
    const cell = /** @type {HTMLElement} */ (event.target).closest(".cell");
    const machine = cell instanceof HTMLElement && store.machines.get(cell.dataset.key ?? "");
    if (!machine) return;
    const seconds = age(machine, store.now());
    const stage = machine.waits ? `waits: ${placeWords(machine.waits)}` : stageWord(machine.reached);
    const words = [nameOf(machine), stateWord(machine.state), stage];
    words.push(seconds === null ? "" : coarse(seconds), machine.trouble || machine.held);
    setText(told, words.filter(Boolean).join(" · "));
  }

  /** @param {KeyboardEvent} event */
  function walk(event) {
    const all = /** @type {HTMLElement[]} */ ([...place.children]);
    const here = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const columns = all.filter(({ offsetTop }) => offsetTop === all[0].offsetTop).length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -here, End: all.length - 1 - here };
    const step = steps[event.key];
    if (here < 0 || step === undefined) return;
    event.preventDefault();
    const next = all[Math.min(all.length - 1, Math.max(0, here + step))];
    setAttribute(all[here], "tabindex", "-1");
    setAttribute(next, "tabindex", "0");
    next.focus();
  }

  async function askStages() {
    asked = Date.now();
    try {
      showStages((await get("/fleet")).stages);
    } catch {
      // the next time
    }
  }

  return {
    title: () => "Fleet",
    show() {
      open = true;
      draw();
      void askStages();
    },
    hide() {
      open = false;
    },
    tick() {
      draw();
      if (Date.now() - asked > STAGES_EVERY) void askStages();
    },
    escape() {
      if (!picked.size) return false;
      picked.clear();
      buttons.set([]);
      light();
      return true;
    },
  };
}

/** @param {Machine} machine @param {number} now @param {number} usually @param {number} longest */
function slowLine(machine, now, usually, longest) {
  const seconds = took(machine, now);
  const bar = el("span", { class: "pace", "data-state": machine.state, "data-heat": heat(seconds, usually) });
  setStyle(bar, "--part", String(seconds / longest));
  setStyle(bar, "--usual", String(usually / longest));
  return el(
    "li",
    {},
    el("a", { href: `#/machine/${encodeURIComponent(machine.key)}` }, nameOf(machine)),
    el("span", { class: "number" }, coarse(seconds)),
    bar,
    el("small", {}, badge(machine.state), " ", [stageWord(machine.reached), machine.trouble].filter(Boolean).join(" · ")),
  );
}

/**
 * The queue of a storm in a sentence, while there is one.
 *
 * @param {HTMLElement} place @param {import("./types.js").Pace|null|undefined} pace
 */
function showPace(place, pace) {
  place.hidden = !pace || !(pace.paused || pace.waiting || pace.loading);
  if (!pace || place.hidden) return;
  const words = [
    `${counted(pace.waiting, "machine")} ${pace.waiting === 1 ? "waits" : "wait"} for ${pace.waiting === 1 ? "its" : "their"} turn`,
    `${pace.loading} of ${pace.at_once} at once load`,
    `${bytes(pace.rate)} a second`,
  ];
  if (pace.paused) words.push("paused");
  if (place.dataset.words === words.join()) return;
  place.dataset.words = words.join();
  const turn = button(pace.paused ? "Resume" : "Pause", () => call("PUT", "/pace", { body: { paused: !pace.paused } }));
  fill(place, `${words.join(" · ")} `, turn);
}

/**
 * The fleet in a sentence.
 *
 * @param {Machine[]} machines @param {Machine|undefined} last  who is behind
 * @param {number} now @param {number} usually
 */
function summary(machines, last, now, usually) {
  const of = counts(machines);
  if (!machines.length) return ["No machine is listed."];
  const going = (of.booting ?? 0) + (of.stuck ?? 0);
  const words = [`${of.up ?? 0} of ${counted(machines.length, "machine")} up, ${going} under way. `];
  if (last) {
    const link = el("a", { href: `#/machine/${encodeURIComponent(last.key)}` }, nameOf(last));
    const stuck = last.state === "stuck";
    const silent = stuck && last.last ? ` for ${coarse(now - last.last)}` : "";
    words.push(el("b", {}, link, stuck ? ` has been stuck${silent}` : " is furthest behind"), ": ");
    const came = last.reached ? `; it came as far as ${stageWord(last.reached)}` : "";
    const slow = `${coarse(took(last, now))}, where ${coarse(usually)} is usual${came}`;
    words.push(`${(stuck && last.trouble) || slow}.`);
  } else if (going) {
    words.push(`Nobody is behind; ${coarse(usually)} is usual.`);
  }
  return words;
}

/** @param {Record<string, {count: number, p50: number, p90: number, p99: number}>} stages */
function showStages(stages) {
  const body = byId("fleet-stages").querySelector("tbody");
  const known = Object.entries(stages ?? {})
    .filter(([stage]) => stage !== "done" && stage !== "failed")
    .sort(([a], [b]) => WAY.indexOf(a) - WAY.indexOf(b));
  const longest = Math.max(...known.map(([, { p99 }]) => p99), 0.001);
  if (!body) return;
  fill(
    body,
    known.map(([stage, { count, p50, p90, p99 }]) => {
      const bar = el("span", { class: "spread" });
      setStyle(bar, "--half", String(p50 / longest));
      setStyle(bar, "--most", String(p99 / longest));
      const numbers = [count, duration(p50), duration(p90), duration(p99)];
      return el(
        "tr",
        {},
        el("th", { scope: "row" }, stageWord(stage)),
        numbers.map((value) => el("td", { class: "number" }, value)),
        el("td", {}, bar),
      );
    }),
  );
}

/** @param {Element} place */
function legend(place) {
  const cell = (/** @type {string} */ state, /** @type {number} */ warm, /** @type {string} */ word) =>
    el("span", {}, el("i", { class: "cell", "data-state": state, "data-heat": warm }), word);
  fill(
    place,
    cell("up", 0, "up"),
    cell("booting", 0, "booting"),
    cell("booting", 1, `${HEATS[0]} times the usual`),
    cell("booting", 3, `${HEATS[2]} times`),
    cell("stuck", 0, "stuck"),
    cell("failed", 0, "failed, overdue"),
    cell("held", 0, "held"),
    cell("unknown", 0, "not seen, disabled"),
  );
}
