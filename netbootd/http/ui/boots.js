/** The boots of one machine: which is shown, its picture, its table, and what was seen beside. */

import { get, ofMachine } from "./api.js";
import { el, fill, setText } from "./dom.js";
import { store } from "./store.js";
import { bootTitle, notes, picture, table } from "./timeline.js";
import { counted, moment } from "./words.js";

/** @typedef {import("./types.js").Boot} Boot */

const EARLIER = 20;

export class Boots {
  /** @type {Boot[]} newest first */
  #boots = [];
  /** The number of the boot that is shown; 0: the latest, whichever that is. */
  #chosen = 0;

  /** @param {string} key */
  constructor(key) {
    this.key = key;
    this.choice = /** @type {HTMLSelectElement} */ (el("select", { on: { change: () => this.#choose() } }));
    this.trueScale = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox", on: { change: () => this.#draw() } }));
    this.drawn = el("div");
    this.told = el("p", { class: "hint" });
    this.numbers = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The stages as a table" });
    this.seen = el("ul", { class: "seen" });
    this.seenTitle = el("summary");
    this.beside = el("details", { open: true }, this.seenTitle, this.seen);
    this.any = el(
      "div",
      {},
      this.told,
      this.drawn,
      el("p", { class: "hint key" }, el("i", { class: "gap" }), " nothing was seen ", el("i", { class: "gap cut" }), " drawn short"),
      el("details", {}, el("summary", {}, "As a table"), this.numbers),
      this.beside,
    );
    this.none = el("p", { class: "empty" }, "It was never seen to boot. What arrives from it appears here.");
    this.node = el(
      "div",
      { class: "boots" },
      el(
        "div",
        { class: "heading" },
        el("h2", {}, "Boot"),
        el("label", {}, el("span", { class: "unseen" }, "Which boot"), this.choice),
        el("label", { class: "check", title: "Long pauses take as much room as they take time" }, this.trueScale, " true scale"),
      ),
      this.none,
      this.any,
    );
    this.#draw();
  }

  async load() {
    const { boots } = await get(ofMachine(this.key, `/boots?limit=${EARLIER}`));
    this.#boots = boots;
    this.#offer();
    this.#draw();
  }

  /** One that began or changed. @param {Boot} boot */
  put(boot) {
    const place = this.#boots.findIndex(({ number }) => number === boot.number);
    if (place >= 0) this.#boots[place] = boot;
    else this.#boots = [boot, ...this.#boots].sort((a, b) => b.number - a.number).slice(0, EARLIER);
    this.#offer();
    this.#draw();
  }

  tick() {
    const boot = this.#shown();
    if (boot && !boot.outcome) this.#draw();
  }

  /** @returns {Boot|undefined} */
  #shown() {
    return this.#boots.find(({ number }) => number === this.#chosen) ?? this.#boots[0];
  }

  #choose() {
    const number = Number(this.choice.value);
    this.#chosen = number === this.#boots[0]?.number ? 0 : number;
    this.#draw();
  }

  #offer() {
    const titles = this.#boots.map((boot, place) => `${place ? "" : "latest, "}${bootTitle(boot)}`);
    if (titles.join("\n") === this.choice.dataset.titles) return;
    this.choice.dataset.titles = titles.join("\n");
    this.choice.replaceChildren(
      ...this.#boots.map(({ number }, place) => el("option", { value: number }, titles[place])),
    );
    const shown = this.#shown();
    if (shown) this.choice.value = String(shown.number);
  }

  #draw() {
    const boot = this.#shown();
    this.none.hidden = boot !== undefined;
    this.any.hidden = this.choice.hidden = boot === undefined;
    if (!boot) return;
    const now = store.now();
    const drawn = flown(boot);
    setText(this.told, facts(boot));
    fill(this.drawn, picture(drawn, now, this.trueScale.checked));
    fill(this.numbers, table(drawn, now));
    this.beside.hidden = boot.notes.length === 0;
    setText(this.seenTitle, `Also seen (${counted(boot.notes.length, "note")})`);
    notes(this.seen, boot);
  }
}

/** *boot* with the bytes that its open steps have by now: the record learns of them at the end.
 * @param {Boot} boot @returns {Boot} */
function flown(boot) {
  const own = store.transfers.filter(({ key }) => key === boot.key);
  if (!own.length) return boot;
  const steps = boot.steps.map((step) => {
    const flight = step.open ? own.find(({ path }) => path === step.path) : undefined;
    return flight ? { ...step, sent: flight.sent, size: flight.size || step.size } : step;
  });
  return { ...boot, steps };
}

/** @param {Boot} boot */
function facts(boot) {
  return [
    `Boot ${boot.number}`,
    `began ${moment(boot.began)}`,
    boot.arch,
    boot.memory ? `${boot.memory} MiB of memory` : "",
    boot.peer,
    boot.generation ? `configuration ${boot.generation}` : "",
  ]
    .filter(Boolean)
    .join(" · ");
}
