/** Machines that asked and are not listed. */

import { get } from "./api.js";
import { arrange, byId, el, setText } from "./dom.js";
import { store } from "./store.js";
import { coarse, counted } from "./words.js";

/** @typedef {import("./types.js").Stranger} Stranger */

/** Milliseconds between asking anew while the page is open, and while only the number is shown. */
const OPEN_EVERY = 3000;
const EVERY = 20_000;

class Row {
  /** @param {Stranger} one */
  constructor(one) {
    this.last = el("span");
    this.times = el("small");
    this.firmware = el("span");
    this.seenBy = el("span");
    this.vendor = el("small");
    this.node = el(
      "div",
      { role: "row", class: "row" },
      el("span", { role: "cell", class: "name" }, el("a", { href: `#/machine/${encodeURIComponent(one.mac)}` }, one.mac), el("small", {}, one.maker ?? "")),
      el("span", { role: "cell" }, this.firmware, el("small", {}, one.uuid)),
      el("span", { role: "cell" }, this.seenBy, this.vendor),
      el("span", { role: "cell" }, this.last, this.times),
      el("span", { role: "cell" }, el("a", { class: "button", href: `#/add/${encodeURIComponent(one.mac)}`, "aria-label": `Add ${one.mac}` }, "Add")),
    );
    this.show(one);
  }

  /** @param {Stranger} one */
  show(one) {
    this.one = one;
    setText(this.firmware, one.arch || "not said");
    setText(this.seenBy, one.interface);
    setText(this.vendor, one.vendor_class);
    setText(this.times, counted(one.times, "time"));
    this.tick();
  }

  tick() {
    setText(this.last, `${coarse(store.now() - this.one.last)} ago`);
  }
}

/** The page of unknown machines, and their number beside its name. */
export function unknown() {
  const place = byId("unknown-rows");
  const count = byId("count-unknown");
  /** @type {Map<string, Row>} */
  const rows = new Map();
  let open = false;
  let asked = 0;

  async function ask() {
    asked = Date.now();
    try {
      draw((await get("/unknown")).machines);
    } catch {
      // the next time
    }
  }

  /** @param {Stranger[]} strangers */
  function draw(strangers) {
    const now = new Map(strangers.map((one) => [one.mac, one]));
    for (const mac of [...rows.keys()]) if (!now.has(mac)) rows.delete(mac);
    for (const one of strangers) {
      const row = rows.get(one.mac);
      if (row) row.show(one);
      else rows.set(one.mac, new Row(one));
    }
    const latest = [...rows.values()].sort((a, b) => b.one.last - a.one.last);
    arrange(place, latest.map(({ node }) => node));
    byId("unknown-empty").hidden = rows.size > 0;
    count.hidden = rows.size === 0;
    setText(count, String(rows.size));
  }

  return {
    title: () => "Unknown machines",
    show() {
      open = true;
      void ask();
    },
    hide() {
      open = false;
    },
    tick() {
      for (const row of rows.values()) row.tick();
    },
    /** Each second, whichever page is shown. */
    always() {
      if (Date.now() - asked > (open ? OPEN_EVERY : EVERY)) void ask();
    },
  };
}
