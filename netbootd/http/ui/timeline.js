/**
 * A boot as a picture: a line for each stage on one axis of time, pauses hatched, troubles marked; and
 * the same as a table, for whoever does not see the picture or wants the numbers.
 */

import { gaps, pauses, scale, ticks } from "./axis.js";
import { el, fill, setStyle } from "./dom.js";
import { bytes, coarse, counted, duration, instant, moment, stageWord } from "./words.js";

/** @typedef {import("./types.js").Boot} Boot */
/** @typedef {import("./types.js").Step} Step */
/** @typedef {import("./types.js").Note} Note */

/** A bar that takes no time is as wide as this part of the picture. */
const NARROWEST = 0.006;
/** The part of the picture that the words of a bar need. */
const ROOM = 0.22;
/** Notes that are drawn; a machine that asks in vain for days has more. */
const MOST_NOTES = 60;
/** What only explains, and is no reason to look twice. */
const CALM = new Set(["requested", "overheard", "not-netboot", "reported", "lease-offered", "leased"]);
/** Seconds without a sign after which a boot that never ended is not drawn up to now. */
const GIVEN_UP = 900;

/** What each boot is called in a list of them. @param {Boot} boot */
export function bootTitle(boot) {
  const end = boot.outcome || "under way";
  const way = [boot.target, end, coarse(boot.seconds)].filter(Boolean).join(", ");
  return `${moment(boot.began)}: ${way}`;
}

/** Where the picture ends: now, for a boot under way. @param {Boot} boot @param {number} now */
function endOf(boot, now) {
  const last = Math.max(boot.last, ...boot.steps.map(({ until }) => until));
  const goesOn = !boot.outcome && now - last < GIVEN_UP;
  return Math.max(goesOn ? now : last, boot.began + 0.1);
}

/**
 * The picture of *boot* as it is at *now*, in the daemon's time.
 *
 * @param {Boot} boot @param {number} now @param {boolean} trueScale  cut no pause short
 * @returns {HTMLElement}
 */
export function picture(boot, now, trueScale) {
  const end = endOf(boot, now);
  const axis = scale(boot.steps, boot.began, end, trueScale);
  const whole = el("div", { class: "picture", role: "img", "aria-label": inWords(boot) });
  const quiet = gaps(pauses(boot.steps, boot.began, end), end - boot.began);
  whole.append(el("div", { class: "backdrop" }, ...quiet.map((span) => gap(axis, span)), ...grid(axis)));
  for (const step of boot.steps) whole.append(line(axis, step, end));
  if (boot.notes.length) whole.append(noteLine(axis, boot.notes));
  whole.append(scaleLine(axis));
  return whole;
}

/** @typedef {ReturnType<typeof scale>} Axis */

/** @param {HTMLElement} node @param {Axis} axis @param {number} from @param {number} to */
function place(node, axis, from, to) {
  const left = Math.min(axis.at(from), 1 - NARROWEST);
  setStyle(node, "--left", left.toFixed(5));
  setStyle(node, "--wide", Math.max(axis.at(to) - left, NARROWEST).toFixed(5));
  return node;
}

/** @param {Axis} axis @param {{from: number, to: number}} span */
function gap(axis, span) {
  const cut = axis.cuts.some(({ from }) => from === span.from);
  const seconds = span.to - span.from;
  const side = axis.at(span.to) > 0.9 ? "end" : axis.at(span.from) < 0.1 ? "start" : "middle";
  const word = el("span", { class: side }, coarse(seconds));
  const kind = cut ? "gap cut" : "gap";
  const said = `${duration(seconds)} without a sign${cut ? ", drawn short" : ""}`;
  return place(el("div", { class: kind, title: said }, word), axis, span.from, span.to);
}

/** @param {Axis} axis */
function grid(axis) {
  return ticks(axis, 6).map(({ place: left }) => {
    const mark = el("i", { class: "tick" });
    setStyle(mark, "--left", left.toFixed(5));
    return mark;
  });
}

/** @param {Axis} axis @param {Step} step @param {number} end */
function line(axis, step, end) {
  const until = step.open ? end : step.until;
  const kind = kindOf(step);
  const bar = place(el("div", { class: `bar ${kind}`, title: tip(step) }), axis, step.at, until);
  if (step.open && step.size) {
    const done = el("i");
    setStyle(done, "--part", String(Math.min(1, step.sent / step.size)));
    bar.append(done);
  }
  const word = el("span", { class: "amount" }, ...amounts(step, until));
  place(word, axis, step.at, until);
  word.classList.add(sideOf(axis, step.at, until));
  return el(
    "div",
    { class: `line ${kind}` },
    el("span", { class: "stage" }, stageWord(step.stage)),
    el("span", { class: "track" }, bar, word),
  );
}

/** On which side of a bar there is room for words; in it where there is none.
 * @param {Axis} axis @param {number} from @param {number} to */
function sideOf(axis, from, to) {
  const left = axis.at(from);
  const right = 1 - axis.at(to);
  if (Math.max(left, right) < ROOM) return "inside";
  return right >= Math.min(left, 2 * ROOM) ? "behind" : "before";
}

/** @param {Step} step */
function kindOf(step) {
  if (step.trouble || step.stage === "failed") return "bad";
  if (step.open) return "open";
  return step.stage === "done" ? "good" : "plain";
}

/** What is written beside a bar. @param {Step} step @param {number} until */
function amounts(step, until) {
  const took = until - step.at;
  const words = [];
  if (step.trouble) words.push(el("b", { class: "mark" }, "▲ "));
  const counts = [took >= 0.0005 ? duration(took) : "", step.sent || step.size ? sent(step) : ""];
  words.push(counts.filter(Boolean).join(" · "));
  if (step.times > 1) words.push(el("b", { class: "times" }, ` ×${step.times}`));
  if (step.trouble) words.push(el("span", { class: "trouble" }, ` ${step.trouble}`));
  return words;
}

/** @param {Step} step */
function sent(step) {
  return step.size > step.sent ? `${bytes(step.sent)} of ${bytes(step.size)}` : bytes(step.sent);
}

/** @param {Step} step */
function tip(step) {
  return [
    ...[stageWord(step.stage), step.path, step.note, step.trouble],
    step.times > 1 ? counted(step.times, "time") : "",
    [step.protocol, step.peer, step.interface].filter(Boolean).join(" · "),
  ]
    .filter(Boolean)
    .join("\n");
}

/** @param {Axis} axis @param {Note[]} notes */
function noteLine(axis, notes) {
  const marks = notes.slice(-MOST_NOTES).map((note) => {
    const kind = CALM.has(note.code) ? "note" : "note bad";
    const many = note.times > 1 ? ` (${note.times} times)` : "";
    return place(el("div", { class: kind, title: `${instant(note.at)} ${note.text}${many}` }), axis, note.at, note.at);
  });
  return el(
    "div",
    { class: "line notes" },
    el("span", { class: "stage" }, "Also seen"),
    el("span", { class: "track" }, ...marks),
  );
}

/** @param {Axis} axis */
function scaleLine(axis) {
  const words = ticks(axis, 6).map(({ seconds, step, place: left }) => {
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const said = seconds < 60 ? `${seconds.toFixed(seconds ? digits : 0)} s` : coarse(seconds).replace(" 00 s", "");
    const word = el("span", { class: "tick" }, said);
    setStyle(word, "--left", left.toFixed(5));
    return word;
  });
  return el("div", { class: "line scale" }, el("span", { class: "stage" }), el("span", { class: "track" }, ...words));
}

/** The picture in a sentence. @param {Boot} boot */
export function inWords(boot) {
  const troubles = boot.steps.filter(({ trouble }) => trouble).length;
  const parts = [
    `Boot ${boot.number}${boot.target ? ` of ${boot.target}` : ""}`,
    `${counted(boot.steps.length, "stage")} in ${coarse(boot.seconds)}`,
    boot.reached ? `furthest: ${stageWord(boot.reached)}` : "no stage reached",
    troubles ? counted(troubles, "trouble") : "no trouble",
    boot.outcome || "under way",
  ];
  return `${parts.join(", ")}. The table has the numbers.`;
}

const HEADS = ["Stage", "At", "Took", "Bytes", "Times", "What", "From"];

/** @param {Boot} boot @param {number} now */
export function table(boot, now) {
  const head = HEADS.map((word) => el("th", { scope: "col" }, word));
  const rows = boot.steps.map((step) => {
    const until = step.open ? Math.max(now, step.until) : step.until;
    return el(
      "tr",
      { class: kindOf(step) },
      el("th", { scope: "row" }, stageWord(step.stage)),
      el("td", { class: "number" }, `+${duration(step.at - boot.began)}`),
      el("td", { class: "number" }, duration(until - step.at), step.open ? " so far" : ""),
      el("td", { class: "number" }, step.sent || step.size ? sent(step) : ""),
      el("td", { class: "number" }, step.times > 1 ? `×${step.times}` : ""),
      el("td", {}, what(step)),
      el("td", {}, [step.peer, step.mac, step.interface].filter(Boolean).join(" ")),
    );
  });
  return el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

/** @param {Step} step */
function what(step) {
  const generation = step.generation ? `generation ${step.generation}` : "";
  const words = [step.protocol, step.path, step.note, generation].filter(Boolean).join(" · ");
  return step.trouble ? [words, words ? " · " : "", el("b", { class: "bad" }, step.trouble)] : words;
}

/** What was seen beside the stages, the latest last. @param {HTMLElement} list @param {Boot} boot */
export function notes(list, boot) {
  const shown = boot.notes.slice(-MOST_NOTES);
  fill(
    list,
    shown.map((note) =>
      el(
        "li",
        { class: CALM.has(note.code) ? "calm" : "bad" },
        el("time", { title: moment(note.at) }, `+${duration(note.at - boot.began)}`),
        el("span", { class: "code" }, note.code),
        el("span", {}, note.text, note.times > 1 ? el("b", { class: "times" }, ` ×${note.times}`) : ""),
      ),
    ),
  );
}
