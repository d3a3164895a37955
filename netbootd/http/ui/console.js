/**
 * A machine's log lines, following: a bounded number of them is kept, and the end stays in sight
 * unless one looks at what was before.
 */

import { el, fill, setAttribute, setText } from "./dom.js";
import { counted, instant, pieces } from "./words.js";

const MOST_LINES = 600;
/** Lines that are kept while it is paused, before the oldest of them are let go. */
const MOST_WAITING = 600;
/** Pixels from the end that still count as being there. */
const NEAR = 30;
const SEVERITIES = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];
/** Severity words as others write them. */
const SPELLINGS = { emerg: 0, panic: 0, crit: 2, err: 3, warn: 4, informational: 6 };

/**
 * A value of an ECS document, nested or with dots in its name.
 *
 * @param {any} line @param {string} name
 */
export function field(line, name) {
  if (line[name] !== undefined) return line[name];
  return name.split(".").reduce((value, part) => value?.[part], line);
}

/** 0 to 7 (RFC 5424, 6.2.1). @param {any} line @returns {number} */
export function severityOf(line) {
  const code = field(line, "log.syslog.severity.code");
  if (Number.isInteger(code)) return Math.min(7, Math.max(0, code));
  const word = String(field(line, "log.level") ?? "info").toLowerCase();
  const place = SEVERITIES.indexOf(word);
  return place < 0 ? (SPELLINGS[word] ?? 6) : place;
}

/**
 * When it came here, in Unix seconds: senders tell whole seconds of clocks of their own, and the
 * order is lost.
 *
 * @param {any} line
 */
function timeOf(line) {
  const at = Date.parse(field(line, "event.created") ?? field(line, "@timestamp"));
  return Number.isNaN(at) ? 0 : at / 1000;
}

/** What tells lines apart; those that are heard have no number yet. @param {any} line */
const nameOf = (line) => `${field(line, "@timestamp")} ${field(line, "message")}`;

/** @param {any} line */
function lineNode(line) {
  const severity = severityOf(line);
  const at = timeOf(line);
  const app = field(line, "process.name") ?? field(line, "log.syslog.appname") ?? "";
  const source = String(field(line, "event.dataset") ?? "").replace(/^netbootd\./, "");
  const text = pieces(String(field(line, "message") ?? "")).map((piece) =>
    piece.escape ? el("span", { class: "escape" }, piece.text) : piece.text,
  );
  return el(
    "div",
    { class: "log", "data-severity": severity, "data-source": source },
    el("time", { title: `its own time: ${field(line, "@timestamp") ?? ""}` }, at ? instant(at).slice(-12) : ""),
    el("span", { class: "severity" }, severity < 5 ? SEVERITIES[severity] : ""),
    el("span", { class: "text" }, app ? el("b", {}, `${app}: `) : source === "boot" ? el("b", {}, "netbootd: ") : "", text),
  );
}

/** The lines of a machine, with what pauses and filters them. */
export class Console {
  #paused = false;
  /** @type {any[]} */
  #waiting = [];
  #lost = 0;
  /** @type {any[]} */
  #fresh = [];
  #drawing = 0;
  /** The lines themselves, as many as are shown. @type {any[]} */
  #heard = [];
  /** Their names, where they are drawn as they were read. */
  #shown = "";

  constructor() {
    this.lines = el("div", { class: "lines", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Console and log lines" });
    this.pause = el("button", { type: "button", "aria-pressed": "false", on: { click: () => this.#toggle() } }, "Pause");
    this.least = /** @type {HTMLSelectElement} */ (
      el(
        "select",
        { on: { change: () => this.#filter() } },
        ...["7", "6", "5", "4", "3"].map((level) => el("option", { value: level }, level === "7" ? "all" : `${SEVERITIES[+level]} and worse`)),
      )
    );
    this.boots = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox", checked: true, on: { change: () => this.#filter() } }));
    this.told = el("span", { class: "hint", role: "status" });
    this.empty = el("p", { class: "empty" }, "No line came from it so far.");
    this.node = el(
      "div",
      { class: "console" },
      el(
        "div",
        { class: "bar-of-tools" },
        this.pause,
        el("label", {}, "Show ", this.least),
        el("label", { class: "check" }, this.boots, " what netbootd saw"),
        this.told,
      ),
      this.empty,
      this.lines,
    );
    this.#filter();
  }

  /**
   * Those that are on disk, together with those that were heard: the last ones may not be written yet.
   *
   * @param {any[]} lines  oldest first
   */
  read(lines) {
    if (this.#paused) return;
    const all = new Map([...lines, ...this.#heard].map((line) => [nameOf(line), line]));
    this.#fresh = [];
    this.#heard = [...all.values()].sort((a, b) => timeOf(a) - timeOf(b)).slice(-MOST_LINES);
    const names = [...all.keys()].sort().join("\n");
    if (names === this.#shown) return;
    this.#shown = names;
    fill(this.lines, ...this.#heard.map(lineNode));
    this.#tell();
    this.#toEnd();
  }

  /** One more. @param {any} line */
  add(line) {
    if (this.#paused) {
      this.#waiting.push(line);
      if (this.#waiting.length > MOST_WAITING) {
        this.#waiting.shift();
        this.#lost += 1;
      }
      return this.#tell();
    }
    this.#heard.push(line);
    if (this.#heard.length > MOST_LINES) this.#heard.shift();
    this.#shown = "";
    this.#fresh.push(line);
    if (this.#fresh.length > MOST_LINES) this.#fresh.shift();
    this.#drawing ||= requestAnimationFrame(() => this.#draw());
  }

  /** A flood is one drawing a frame. */
  #draw() {
    this.#drawing = 0;
    const { scrollHeight, scrollTop, clientHeight } = this.lines;
    const follows = this.lines.hidden || scrollHeight - scrollTop - clientHeight < NEAR;
    this.lines.append(...this.#fresh.map(lineNode));
    this.#fresh = [];
    while (this.lines.childElementCount > MOST_LINES) this.lines.firstElementChild?.remove();
    this.#tell();
    if (follows) this.#toEnd();
  }

  #toggle() {
    this.#paused = !this.#paused;
    setAttribute(this.pause, "aria-pressed", String(this.#paused));
    setText(this.pause, this.#paused ? "Go on" : "Pause");
    if (this.#paused) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#lost = 0;
    for (const line of waiting) this.add(line);
    this.#tell();
    this.#toEnd();
  }

  #filter() {
    this.lines.dataset.least = this.least.value;
    this.lines.classList.toggle("without-boots", !this.boots.checked);
    this.#toEnd();
  }

  #toEnd() {
    this.lines.scrollTop = this.lines.scrollHeight;
  }

  #tell() {
    this.empty.hidden = this.lines.childElementCount > 0;
    this.lines.hidden = !this.empty.hidden;
    const lost = this.#lost ? `, ${this.#lost} more let go` : "";
    const waiting = this.#waiting.length ? `${counted(this.#waiting.length, "line")} waiting${lost}` : "";
    setText(this.told, waiting);
  }
}
