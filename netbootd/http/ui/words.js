/** How values are said: times, sizes, states, stages.  Pure. */

/** What each state is called, in the order of how much it wants to be looked at. */
export const STATES = {
  failed: "failed",
  stuck: "stuck",
  overdue: "overdue",
  held: "held",
  booting: "booting",
  up: "up",
  unknown: "not seen",
  disabled: "disabled",
};

/** The stages in the order of the way, as people call them. */
export const STAGES = {
  discover: "DISCOVER",
  offer: "OFFER",
  4011: "Boot server",
  loader: "Loader",
  "ipxe-discover": "iPXE DISCOVER",
  "ipxe-offer": "iPXE OFFER",
  script: "Script",
  kernel: "Kernel",
  initrd: "Initrd",
  system: "System's DHCP",
  "answer-file": "Answer file",
  files: "Files",
  "node-script": "Node script",
  done: "Done",
  failed: "Failed",
};

/** The order of the way; a number of its own, because "4011" as a key would come first. */
export const WAY = [
  ...["discover", "offer", "4011", "loader", "ipxe-discover", "ipxe-offer", "script", "kernel"],
  ...["initrd", "system", "answer-file", "files", "node-script", "done", "failed"],
];

/** @param {string|null} stage @returns {string} */
export const stageWord = (stage) => (stage === null ? "" : (STAGES[stage] ?? stage));

/** @param {string} state @returns {string} */
export const stateWord = (state) => STATES[state] ?? state;

/** @param {string} state @returns {number} the lower, the more it wants to be looked at */
export const urgency = (state) => {
  const place = Object.keys(STATES).indexOf(state);
  return place < 0 ? 99 : place;
};

/** `0.34 s`, `12.3 s`, `4 min 05 s`, `2 h 10 min`, `3 d 4 h`. @param {number} seconds */
export function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s < 0.0005) return "0 s";
  if (s < 1) return `${s.toFixed(s < 0.01 ? 3 : 2)} s`;
  if (s < 59.95) return `${s.toFixed(1)} s`;
  return coarse(s);
}

/** The same in whole seconds, for what ticks. @param {number} seconds */
export function coarse(seconds) {
  const s = Math.round(Math.max(0, seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const two = (/** @type {number} */ n) => String(n).padStart(2, "0");

/** `812 B`, `43.1 KiB`, `1.20 GiB`. @param {number} count */
export function bytes(count) {
  if (count < 1024) return `${Math.round(count)} B`;
  let value = count;
  let unit = "B";
  for (unit of ["KiB", "MiB", "GiB", "TiB"]) {
    value /= 1024;
    if (value < 1023.5) break;
  }
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
}

/** `14:05:07`, with the date where that is not today. @param {number} at @param {Date} [today] */
export function moment(at, today = new Date()) {
  const date = new Date(at * 1000);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return date.toDateString() === today.toDateString() ? time : `${day(date)} ${time}`;
}

/** `14:05:07.123`, for lines that follow quickly. @param {number} at */
export function instant(at) {
  const date = new Date(at * 1000);
  return `${moment(at, date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

const day = (/** @type {Date} */ d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;

/**
 * Where a machine stands in the queue of a storm: `number 12 of 340, about 3 min 10 s`.
 *
 * @param {import("./types.js").Place} place
 */
export const placeWords = ({ position, waiting, seconds }) =>
  `number ${position} of ${waiting}${seconds === null ? "" : `, about ${coarse(seconds)}`}`;

/** `1 machine`, `2 machines`. @param {number} n @param {string} noun */
export const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

// What would move the cursor, hide or turn text around: C0, DEL, C1, and the invisible of Unicode.
const UNSEEN =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** One character that cannot be seen, as signs that can. @param {string} character */
function sign(character) {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\\u${code.toString(16).padStart(4, "0")}`;
}

/** *text* with all that cannot be seen made visible. @param {string} text */
export const visible = (text) => text.replace(UNSEEN, sign);

/**
 * The same in pieces, those made visible apart from the rest.
 *
 * @param {string} text
 * @returns {{text: string, escape: boolean}[]}
 */
export function pieces(text) {
  const found = [];
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index), escape: false });
    found.push({ text: sign(match[0]), escape: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from), escape: false });
  return found;
}
