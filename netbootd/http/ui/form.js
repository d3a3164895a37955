/** Forms whose fields say beside themselves what the API finds wrong with them. */

import { ApiError } from "./api.js";
import { el, fill, setAttribute, setText } from "./dom.js";

let number = 0;

/**
 * One field: label, control, a hint, and room for what is wrong.
 *
 * @param {string} label @param {HTMLElement} control @param {string} [hint]
 */
export function field(label, control, hint = "") {
  const id = `field-${++number}`;
  control.id = id;
  const error = el("p", { class: "field-error", id: `${id}-error`, hidden: true });
  const told = hint ? el("p", { class: "hint", id: `${id}-hint` }, hint) : null;
  control.setAttribute("aria-describedby", `${id}-error${hint ? ` ${id}-hint` : ""}`);
  const node = el("div", { class: "field" }, el("label", { for: id }, label), control, error, told);
  return { node, control: /** @type {HTMLInputElement} */ (control), error };
}

/** @typedef {ReturnType<typeof field>} Field */

/**
 * A form of *fields*, by the names the API has for them; *send* is called when it is submitted, and
 * what it throws is shown where it belongs.
 *
 * @param {Record<string, Field>} fields @param {string} word  of the button
 * @param {() => Promise<void>} send
 * @param {...HTMLElement} more  beside the button
 */
export function form(fields, word, send, ...more) {
  const general = el("div", { class: "field-error general", role: "alert", hidden: true });
  const button = /** @type {HTMLButtonElement} */ (el("button", { type: "submit", class: "primary" }, word));
  const shown = [...new Set(Object.values(fields))];
  const node = /** @type {HTMLFormElement} */ (
    el("form", { class: "entry", novalidate: true }, ...shown.map((one) => one.node), general, el("div", { class: "buttons" }, button, ...more))
  );

  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear();
    button.disabled = true;
    try {
      await send();
    } catch (problem) {
      refuse(problem);
    } finally {
      button.disabled = false;
    }
  });

  function clear() {
    general.hidden = true;
    fill(general);
    for (const { error, control } of shown) {
      error.hidden = true;
      setAttribute(control, "aria-invalid", null);
    }
  }

  /** @param {unknown} problem */
  function refuse(problem) {
    if (!(problem instanceof ApiError)) {
      if (!(problem instanceof FieldError)) throw problem;
      mark(fields[problem.field], problem.message);
    } else {
      const left = problem.findings.filter(({ path, text }) => {
        const one = fieldOf(fields, path);
        if (one) mark(one, text);
        return !one;
      });
      const named = problem.findings.length ? undefined : namedIn(fields, problem);
      if (named) mark(named, problem.message);
      else if (left.length || !problem.findings.length) tell(problem.message, left.map(({ text }) => text));
    }
    shown.find(({ error }) => !error.hidden)?.control.focus();
  }

  /** @param {Field} one @param {string} text */
  function mark(one, text) {
    setText(one.error, one.error.hidden ? text : `${one.error.textContent} ${text}`);
    one.error.hidden = false;
    setAttribute(one.control, "aria-invalid", "true");
  }

  /** @param {string} message @param {string[]} texts */
  function tell(message, texts) {
    general.hidden = false;
    const others = texts.filter((text) => text !== message);
    fill(general, el("p", {}, message), others.map((text) => el("p", {}, text)));
  }

  return { node, button, clear };
}

/** What the page itself finds wrong before it asks. */
export class FieldError extends Error {
  /** @param {string} name @param {string} text */
  constructor(name, text) {
    super(text);
    this.field = name;
  }
}

/**
 * The field that `machines."00:25:…".groups[0]` is about: the last name in it that there is one of.
 *
 * @param {Record<string, Field>} fields @param {string} path
 */
function fieldOf(fields, path) {
  const names = (path ?? "").match(/"[^"]*"|[^."[\]]+/g) ?? [];
  const name = names.map((one) => one.replace(/"/g, "")).findLast((one) => one in fields);
  return name === undefined ? undefined : fields[name];
}

/**
 * A sentence may name its field, `"times" must be …`, or the code does, `target-unknown`.
 *
 * @param {Record<string, Field>} fields @param {ApiError} problem
 */
function namedIn(fields, { code, message }) {
  const name = [message.match(/"([a-z_]+)"/)?.[1], code.split("-")[0]].find((one) => one && Object.hasOwn(fields, one));
  return name ? fields[name] : undefined;
}

/** A button whose refusal is told beside it. @param {string} word @param {() => Promise<void>|any} act */
export function button(word, act) {
  const node = /** @type {HTMLButtonElement} */ (el("button", { type: "button" }, word));
  const told = el("p", { class: "field-error", role: "alert" });
  node.addEventListener("click", async () => {
    node.disabled = true;
    told.remove();
    try {
      await act();
    } catch (problem) {
      setText(told, problem instanceof Error ? problem.message : String(problem));
      node.after(told);
    } finally {
      node.disabled = false;
    }
  });
  return node;
}
