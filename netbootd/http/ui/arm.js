/** Arming a machine's next boot. */

import { call, get, ofMachine } from "./api.js";
import { el, say } from "./dom.js";
import { field, FieldError, form } from "./form.js";
import { nameOf, store } from "./store.js";
import { counted, moment } from "./words.js";

/** @typedef {import("./types.js").Machine} Machine */

const HOURS = { "": "until it is used", 1: "for an hour", 8: "for 8 hours", 24: "for a day", time: "until a time" };

/** What is armed, as a sentence's part. @param {import("./types.js").Armed} armed */
export function armedWords({ target, times, until }) {
  const many = times > 1 ? `, ${counted(times, "time")}` : "";
  return `${target}${many}${until ? `, until ${moment(until)}` : ""}`;
}

/**
 * The form that arms the boot of *machine*; *done* is called when it is shut.
 *
 * @param {Machine} machine @param {() => void} done
 */
export function armForm(machine, done) {
  const list = el("datalist", { id: "arm-targets" });
  const target = field(
    "Boot this target next",
    el("input", { type: "text", list: "arm-targets", required: true, autocomplete: "off", spellcheck: "false", autocapitalize: "off" }),
    "As type/name. Afterwards the machine boots again what the configuration says.",
  );
  const times = field("How many boots", el("input", { type: "number", min: "1", max: "1000", value: "1", inputmode: "numeric" }));
  const until = field("How long it stays armed", el("select", {}, ...Object.entries(HOURS).map(([value, word]) => el("option", { value }, word))));
  const time = el("input", { type: "datetime-local", "aria-label": "Until", hidden: true });
  until.control.value = "";
  until.control.after(time);
  until.control.addEventListener("change", () => (time.hidden = until.control.value !== "time"));

  async function send() {
    const body = { target: wanted(), times: Number(times.control.value), until: untilWhen() };
    store.put(await call("PUT", ofMachine(machine.key, "/next"), { body }));
    say(`${nameOf(machine)} is armed: ${armedWords(body)}`);
    done();
  }

  function wanted() {
    const value = target.control.value.trim();
    if (!value) throw new FieldError("target", "Which target? As type/name.");
    return value;
  }

  /** Unix seconds; 0 for ever. */
  function untilWhen() {
    const choice = until.control.value;
    if (choice === "") return 0;
    if (choice !== "time") return Math.round(store.now() + Number(choice) * 3600);
    const at = new Date(/** @type {HTMLInputElement} */ (time).value).getTime() / 1000;
    if (Number.isNaN(at)) throw new FieldError("until", "Until which time?");
    if (at <= store.now()) throw new FieldError("until", "This time has passed.");
    return at;
  }

  const cancel = el("button", { type: "button", on: { click: done } }, "Cancel");
  const { node } = form({ target, name: target, type: target, times, until }, "Arm", send, cancel);
  node.append(list);
  node.classList.add("arm");
  void offer(list);
  return { node, focus: () => target.control.focus() };
}

/** @param {HTMLElement} list */
async function offer(list) {
  try {
    const { targets } = await get("/targets");
    list.replaceChildren(...targets.map((/** @type {string} */ value) => el("option", { value })));
  } catch {
    // without the list it is typed
  }
}
