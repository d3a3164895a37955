/** What is being fetched at this moment. */

import { arrange, byId, el, setAttribute, setStyle, setText } from "./dom.js";
import { nameOf, store } from "./store.js";
import { bytes, coarse, counted } from "./words.js";

/** @typedef {import("./types.js").Transfer} Transfer */

/** @param {Transfer} one */
const keyOf = ({ protocol, peer, path, began }) => [protocol, peer, path, began].join(" ");

/** Seconds over which a rate is taken: shorter, and it jumps; longer, and a standstill is not seen. */
const SPAN = 4;

class Row {
  /** What had been sent when, for some seconds. @type {{at: number, sent: number}[]} */
  #past = [];

  /** @param {Transfer} one */
  constructor(one) {
    const machine = store.machines.get(one.key);
    const name = machine ? nameOf(machine) : one.key || one.mac || one.peer;
    const who = one.key
      ? el("a", { href: `#/machine/${encodeURIComponent(one.key)}` }, name)
      : el("span", {}, name);
    this.bar = el("span", { class: "progress", role: "progressbar", "aria-label": `${name}: ${one.path}`, "aria-valuemin": "0", "aria-valuemax": "100" });
    this.amount = el("small");
    this.rate = el("span", { role: "cell", class: "number" });
    this.left = el("span", { role: "cell", class: "number" });
    this.node = el(
      "div",
      { role: "row", class: "row" },
      el("span", { role: "cell", class: "name" }, who, el("small", {}, one.peer)),
      el("span", { role: "cell", class: "file" }, one.path, el("small", {}, one.protocol)),
      el("span", { role: "cell" }, this.bar, this.amount),
      this.rate,
      this.left,
    );
    this.rateNow = 0;
    this.show(one);
  }

  /** Bytes a second in the last seconds, where they are known; else since it began.
   * @param {Transfer} one */
  #rateOf({ sent, rate }) {
    const at = performance.now() / 1000;
    this.#past = [...this.#past.filter((before) => at - before.at <= SPAN), { at, sent }];
    const [first] = this.#past;
    return at - first.at < 0.5 ? rate : Math.max(0, sent - first.sent) / (at - first.at);
  }

  /** @param {Transfer} one */
  show(one) {
    const { sent, size } = one;
    const rate = this.#rateOf(one);
    const part = size ? Math.min(1, sent / size) : null;
    setStyle(this.bar, "--part", String(part ?? 1));
    this.bar.classList.toggle("unmeasured", part === null);
    setAttribute(this.bar, "aria-valuenow", part === null ? null : String(Math.round(part * 100)));
    const percent = part === null ? "" : `${Math.floor(part * 100)} %, `;
    setText(this.amount, `${percent}${bytes(sent)}${size ? ` of ${bytes(size)}` : ""}`);
    setText(this.rate, rate ? `${bytes(rate)}/s` : "stands still");
    this.rateNow = rate;
    this.node.classList.toggle("still", !rate);
    setText(this.left, size && rate ? coarse((size - sent) / rate) : "");
  }
}

/** The page of transfers, and their number beside its name. */
export function transfers() {
  const place = byId("transfers-rows");
  const count = byId("count-transfers");
  /** @type {Map<string, Row>} */
  const rows = new Map();
  let open = false;
  store.on("transfers", () => {
    count.hidden = store.underWay === 0;
    setText(count, String(store.underWay));
    if (open) draw();
  });

  function draw() {
    const now = new Map(store.transfers.map((one) => [keyOf(one), one]));
    for (const key of [...rows.keys()]) if (!now.has(key)) rows.delete(key);
    for (const [key, one] of now) {
      const row = rows.get(key);
      if (row) row.show(one);
      else rows.set(key, new Row(one));
    }
    arrange(place, [...rows.values()].map(({ node }) => node));
    byId("transfers-empty").hidden = rows.size > 0;
    const rate = [...rows.values()].reduce((sum, row) => sum + row.rateNow, 0);
    const shown = rows.size < store.underWay ? `; the ${rows.size} furthest behind` : "";
    const sum = rows.size
      ? `${counted(store.underWay, "file")} under way${shown}, ${bytes(rate)}/s together`
      : "";
    setText(byId("transfers-sum"), sum);
  }

  return {
    title: () => "Transfers",
    show() {
      open = true;
      draw();
    },
    hide() {
      open = false;
    },
    tick() {},
  };
}
