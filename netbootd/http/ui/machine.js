/** One machine: how it is, why, its boots, what its console says, and what can be done. */

import { ApiError, call, get, ofMachine } from "./api.js";
import { armedWords, armForm } from "./arm.js";
import { Boots } from "./boots.js";
import { Console } from "./console.js";
import { byId, el, fill, say, setText } from "./dom.js";
import { button } from "./form.js";
import { Feed } from "./live.js";
import { badge, setBadge } from "./states.js";
import { age, nameOf, store, underWay } from "./store.js";
import { coarse, duration, moment, placeWords, visible } from "./words.js";
import { showWhy } from "./why.js";

/** @typedef {import("./types.js").Machine} Machine */

/** Milliseconds between a change and asking why again, and the longest without asking. */
const WHY_AFTER = 700;
const WHY_EVERY = 20_000;
const LINES = 300;
/** Milliseconds after which what was not on disk yet when the page was opened is there. */
const LOG_AGAIN = 2500;

class Page {
  /** @type {Machine|null} */
  machine = null;
  #closed = false;
  /** @type {number|undefined} */
  #asking;
  #asked = 0;
  /** @type {number|undefined} */
  #again;

  /** @param {HTMLElement} place @param {string} key */
  constructor(place, key) {
    this.key = key;
    this.title = el("h1", { id: "machine-title", tabindex: "-1" }, key);
    this.state = badge("unknown");
    this.time = el("span", { class: "hint" });
    this.actions = el("div", { class: "actions" });
    this.trouble = el("p", { class: "field-error", role: "status" });
    this.facts = el("dl", { class: "facts" });
    this.orders = el("div", { class: "orders" });
    this.arming = el("div");
    this.why = el("div", { class: "panel why", hidden: true });
    this.boots = new Boots(key);
    this.console = new Console();
    this.written = el("div", { class: "panel written" });
    fill(
      place,
      el("p", { class: "back" }, el("a", { href: "#/machines" }, "← Machines")),
      el("div", { class: "heading" }, el("div", { class: "who" }, this.title, this.state, this.time), this.actions),
      this.trouble,
      this.facts,
      this.orders,
      this.arming,
      this.why,
      el("div", { class: "panel" }, this.boots.node),
      el("div", { class: "panel" }, el("h2", {}, "Console and log"), this.console.node),
      this.written,
    );
    this.feed = new Feed(
      `/events?topics=machines,logs&machine=${encodeURIComponent(key)}`,
      (event, data) => this.#heard(event, data),
      ({ state }) => state === "open" && void this.load(),
    );
    this.feed.open();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#asking);
    clearTimeout(this.#again);
    this.feed.close();
  }

  /** Everything anew, at first and whenever the stream comes back; what fails leaves the rest. */
  async load() {
    this.#ask(0);
    const [machine, logs, boots] = await Promise.allSettled([
      get(ofMachine(this.key)),
      get(ofMachine(this.key, `/logs?limit=${LINES}`)),
      this.boots.load(),
    ]);
    if (this.#closed) return;
    if (logs.status === "fulfilled") this.console.read(logs.value.lines);
    if (machine.status === "fulfilled") {
      this.#writtenAs(machine.value);
      this.show(machine.value);
    }
    this.#again = setTimeout(() => void this.#readLog(), LOG_AGAIN);
    const failed = [machine, boots, logs].find(({ status }) => status === "rejected");
    setText(this.trouble, failed?.reason instanceof ApiError ? failed.reason.message : "");
  }

  async #readLog() {
    try {
      const { lines } = await get(ofMachine(this.key, `/logs?limit=${LINES}`));
      if (!this.#closed) this.console.read(lines);
    } catch {
      // what was heard is shown
    }
  }

  /** @param {string} event @param {any} data */
  #heard(event, data) {
    if (event === "log") {
      this.console.add(data);
    } else if (event === "boot") {
      this.boots.put(data);
      this.#ask(WHY_AFTER);
    } else if (event === "machine" && data.key === this.key) {
      store.put(data);
    }
  }

  /** @param {Machine} machine */
  show(machine) {
    const before = this.machine;
    this.machine = machine;
    setText(this.title, nameOf(machine));
    setBadge(this.state, machine.state);
    this.tick();
    this.#showFacts(machine);
    this.#showOrders(machine);
    if (before && before.state !== machine.state) {
      say(`${nameOf(machine)} is ${machine.state}`);
      this.#ask(WHY_AFTER);
    }
  }

  tick() {
    if (!this.machine) return;
    const seconds = age(this.machine, store.now());
    const words = underWay(this.machine) ? ["", " since its first packet"] : ["for ", ""];
    setText(this.time, seconds === null ? "" : words.join(coarse(seconds)));
    this.boots.tick();
    const waiting = this.machine.state !== "up" && this.machine.state !== "unknown";
    if (waiting && Date.now() - this.#asked > WHY_EVERY) this.#ask(0);
  }

  /** Ask why, soon; once for many changes. @param {number} after  milliseconds */
  #ask(after) {
    clearTimeout(this.#asking);
    this.#asking = setTimeout(async () => {
      this.#asked = Date.now();
      try {
        const diagnosis = await get(ofMachine(this.key, "/why"));
        if (!this.#closed) showWhy(this.why, diagnosis);
      } catch {
        // the next change asks again
      }
    }, after);
  }

  /** @param {Machine} machine */
  #showFacts(machine) {
    /** @type {[string, any][]} */
    const facts = [
      ["Cards", machine.macs.map((mac) => el("code", {}, mac, " "))],
      ["Target", machine.target],
      ["Groups", machine.groups.join(", ")],
      ["Address", machine.address],
      ["Last sign", machine.last ? moment(machine.last) : "never"],
      ["Last boot", machine.boot ? `${duration(machine.seconds)}${machine.outcome ? `, ${machine.outcome}` : ""}` : ""],
      ["Listed", machine.known ? "" : "no; it gets what the default says"],
    ];
    const words = facts.map(([name, value]) => `${name}${value instanceof Array ? machine.macs : value}`).join("\n");
    if (this.facts.dataset.words === words) return;
    this.facts.dataset.words = words;
    const shown = facts.filter(([, value]) => value && value.length !== 0);
    fill(this.facts, shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  }

  /** @param {Machine} machine */
  #showOrders(machine) {
    const { held, armed, waits } = machine;
    const words = JSON.stringify([held, armed, waits, machine.enabled, machine.known]);
    if (this.orders.dataset.words === words) return;
    this.orders.dataset.words = words;
    fill(
      this.orders,
      held
        ? el("div", { class: "order held" }, el("p", {}, el("b", {}, "Held: "), held), button("Release", () => this.#release()))
        : null,
      waits
        ? el("div", { class: "order armed" }, el("p", {}, el("b", {}, "Waits for its turn: "), placeWords(waits)), button("Let it load", () => this.#go()))
        : null,
      armed
        ? el("div", { class: "order armed" }, el("p", {}, el("b", {}, "Next boot: "), armedWords(armed)), button("Take back", () => this.#takeBack()))
        : null,
    );
    const add = machine.known ? null : el("a", { class: "button", href: `#/add/${encodeURIComponent(machine.macs[0] ?? this.key)}` }, "Add it");
    fill(this.actions, add, machine.known ? button("Boot next…", () => this.#arm()) : null);
  }

  #arm() {
    if (!this.machine || this.arming.childElementCount) return this.#shut();
    const opened = armForm(this.machine, () => this.#shut());
    fill(this.arming, opened.node);
    opened.focus();
  }

  /** Shut the form; false where none was open. */
  #shut() {
    const open = this.arming.childElementCount > 0;
    fill(this.arming);
    if (open) this.actions.querySelector("button")?.focus();
    return open;
  }

  escape() {
    return this.#shut();
  }

  async #release() {
    store.put(await call("POST", ofMachine(this.key, "/release")));
    say("released");
  }

  async #go() {
    store.put(await call("POST", ofMachine(this.key, "/go")));
    say("it loads when it next asks");
  }

  async #takeBack() {
    store.put(await call("DELETE", ofMachine(this.key, "/next")));
    say("taken back");
  }

  /** @param {any} machine  with `variables`, `written`, `file`, `line` */
  #writtenAs({ variables, written, file, line, managed }) {
    const where = file ? `${file}${line ? `:${line}` : ""}` : "";
    const rows = Object.entries(variables ?? {}).map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, typeof value === "string" ? value : JSON.stringify(value))),
    );
    fill(
      this.written,
      el("h2", {}, "In the configuration"),
      where
        ? el("p", {}, "It stands in ", el("code", {}, where), managed ? ", written by netbootd." : ", written by hand.")
        : el("p", {}, "It has no entry."),
      written && Object.keys(written).length ? el("pre", {}, visibleJson(written)) : null,
      rows.length ? el("details", {}, el("summary", {}, `Variables (${rows.length})`), el("dl", { class: "facts" }, rows)) : null,
    );
  }
}

/** @param {any} value @returns {Node} line ends stay line ends */
function visibleJson(value) {
  const text = JSON.stringify(value, null, 2);
  return document.createTextNode(text.split("\n").map(visible).join("\n"));
}

/** The page of one machine, made anew for each. */
export function machine() {
  /** @type {Page|null} */
  let page = null;

  store.on("machines", (changed) => {
    const known = page && store.machines.get(page.key);
    if (page && known && (changed === null || changed.has(page.key))) page.show(known);
  });
  store.on("reload", () => void page?.load());

  return {
    title: () => (page?.machine ? nameOf(page.machine) : (page?.key ?? "")),
    /** @param {string} _query @param {string} key */
    show(_query, key) {
      page?.close();
      page = new Page(byId("machine"), key);
      const known = store.machines.get(key);
      if (known) page.show(known);
    },
    hide() {
      page?.close();
      page = null;
      fill(byId("machine"));
    },
    tick: () => page?.tick(),
    feeds: () => (page ? [page.feed] : []),
    /** Shut what is open, else go back to the list. */
    escape() {
      if (!page?.escape()) location.hash = "#/machines";
      return true;
    },
  };
}
