/**
 * From times to places in a picture of a boot.  Pure.
 *
 * A boot is seconds of work and sometimes minutes of silence, and the silence would press the work
 * flat: pauses longer than most of the rest are drawn short, and marked as such.
 */

/** @typedef {import("./types.js").Step} Step */
/** @typedef {{from: number, to: number}} Span */

/** A pause is drawn short where it is longer than so many seconds, and than LONG of all the rest. */
const SHORTEST_CUT = 8;
const LONG = 0.25;
/** What is left must last so many seconds for another pause to be cut: else a wink fills the picture. */
const LEAST_LEFT = 3;
/** How much of the picture a pause that is drawn short takes. */
const CUT_SHARE = 0.07;
/** A pause is worth being shown where it is so long, or such a part of the whole. */
const SHORTEST_GAP = 1;
const GAP_SHARE = 0.04;

/**
 * The time in which nothing was going on, between *from* and *to*.
 *
 * @param {Step[]} steps @param {number} from @param {number} to @returns {Span[]}
 */
export function pauses(steps, from, to) {
  const found = [];
  let seen = from;
  for (const step of [...steps].sort((a, b) => a.at - b.at)) {
    if (step.at > seen) found.push({ from: seen, to: step.at });
    seen = Math.max(seen, step.open ? to : step.until);
  }
  if (to > seen) found.push({ from: seen, to });
  return found;
}

/** Those of *pauses* that a person should see. @param {Span[]} pauses @param {number} whole */
export function gaps(pauses, whole) {
  const least = Math.max(SHORTEST_GAP, whole * GAP_SHARE);
  return pauses.filter(({ from, to }) => to - from >= least);
}

/**
 * A scale from *from* to *to*: `at(time)` is a place from 0 to 1, *cuts* are the pauses that are
 * drawn short.
 *
 * @param {Step[]} steps @param {number} from @param {number} to @param {boolean} true_  cut nothing
 */
export function scale(steps, from, to, true_ = false) {
  const quiet = pauses(steps, from, to);
  const all = Math.max(to - from, 1e-6);
  const cuts = true_ ? [] : cutsOf(quiet, all);
  const drawn = all - cuts.reduce((sum, span) => sum + span.to - span.from, 0);
  const rest = 1 - cuts.length * share(cuts);
  const points = [{ time: from, place: 0 }];
  for (const cut of cuts) {
    const last = points[points.length - 1];
    const begins = last.place + (drawn > 0 ? ((cut.from - last.time) / drawn) * rest : 0);
    points.push({ time: cut.from, place: begins });
    points.push({ time: cut.to, place: begins + share(cuts) });
  }
  points.push({ time: to, place: 1 });
  return { at: (/** @type {number} */ time) => placed(points, time), cuts, from, to };
}

/**
 * Which pauses to draw short, the longest first; in the order of time.
 *
 * @param {Span[]} quiet @param {number} all  seconds
 */
function cutsOf(quiet, all) {
  const found = [];
  let drawn = all;
  for (const span of [...quiet].sort((a, b) => b.to - b.from - (a.to - a.from))) {
    const long = span.to - span.from;
    const rest = drawn - long;
    if (long <= Math.max(SHORTEST_CUT, rest * LONG)) break;
    if (found.length && rest < LEAST_LEFT) break;
    found.push(span);
    drawn = rest;
  }
  return found.sort((a, b) => a.from - b.from);
}

/** Many cuts must leave room for the rest. @param {Span[]} cuts */
const share = (cuts) => Math.min(CUT_SHARE, 0.5 / Math.max(1, cuts.length));

/** @param {{time: number, place: number}[]} points @param {number} time */
function placed(points, time) {
  let before = points[0];
  if (time <= before.time) return 0;
  for (const point of points.slice(1)) {
    if (time <= point.time) {
      const part = (time - before.time) / Math.max(point.time - before.time, 1e-9);
      return before.place + part * (point.place - before.place);
    }
    before = point;
  }
  return 1;
}

/** Seconds between marks that people count in. */
const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];

/**
 * The seconds since *from* at which the axis has a mark, about *many* of them; none in what is cut.
 *
 * @param {{cuts: Span[], from: number, to: number, at: (t: number) => number}} axis
 * @param {number} many
 */
export function ticks(axis, many) {
  const cut = axis.cuts.reduce((sum, span) => sum + span.to - span.from, 0);
  const drawn = axis.to - axis.from - cut;
  const step = STEPS.find((one) => drawn / one <= many) ?? STEPS[STEPS.length - 1];
  const found = [];
  let last = -1;
  const most = Math.min((axis.to - axis.from) / step, 5000);
  for (let number = 0; number <= most; number += 1) {
    const time = axis.from + number * step;
    const place = axis.at(time);
    const hidden = axis.cuts.some(({ from, to }) => time > from && time < to);
    if (hidden || place - last < 0.8 / (many + 2)) continue;
    found.push({ seconds: number * step, step, place });
    last = place;
  }
  return found;
}
