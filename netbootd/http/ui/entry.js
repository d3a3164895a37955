/** The form that adds a machine. */

import { call, get } from "./api.js";
import { byId, el, fill, say } from "./dom.js";
import { field, FieldError, form } from "./form.js";
import { store } from "./store.js";

const PLAIN = { autocomplete: "off", spellcheck: "false", autocapitalize: "off" };
const NONE = "";

/** @param {string[]} values @param {string} none */
const options = (values, none) => [NONE, ...values].map((value) => el("option", { value }, value || none));

/** What is typed as JSON, as an object. @param {string} text @returns {Record<string, any>} */
function more(text) {
  if (!text.trim()) return {};
  let value;
  try {
    value = JSON.parse(text);
  } catch (problem) {
    throw new FieldError("more", `This is no JSON: ${problem instanceof Error ? problem.message : ""}`);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new FieldError("more", 'This should be an object: { "ip": "192.0.2.7" }');
  }
  return value;
}

/** The page with the form. */
export function entry() {
  const place = byId("add");

  /** @param {string} mac */
  async function draw(mac) {
    const fields = {
      mac: field("MAC address", el("input", { type: "text", value: mac, required: true, ...PLAIN }), "In any spelling; it is what the machine is known by."),
      hostname: field("Host name", el("input", { type: "text", ...PLAIN })),
      group: field("Group", el("select", {}, ...options([], "none")), "What the machine has in common with others."),
      target: field("Target", el("select", {}, ...options([], "as its group or the default says")), "What it boots."),
      more: field("More of its entry, as JSON", el("textarea", { rows: "3", placeholder: '{ "ip": "192.0.2.7", "extra_args": "console=ttyS1" }', ...PLAIN })),
    };

    async function send() {
      const value = (/** @type {keyof typeof fields} */ name) => fields[name].control.value.trim();
      if (!value("mac")) throw new FieldError("mac", "Which card? Its MAC address.");
      const [type, ...name] = value("target").split("/");
      const body = {
        ...more(value("more")),
        mac: value("mac"),
        ...(value("hostname") && { hostname: value("hostname") }),
        ...(value("group") && { group: value("group") }),
        ...(type && { type, name: name.join("/") }),
      };
      const machine = await call("POST", "/machines", { body });
      store.put(machine);
      say(`${machine.hostname || machine.key} is added`);
      location.hash = `#/machine/${encodeURIComponent(machine.key)}`;
    }

    const cancel = el("a", { class: "button", href: mac ? "#/unknown" : "#/machines" }, "Cancel");
    const { mac: card, hostname, group, target, more: rest } = fields;
    const named = { mac: card, listed: card, key: card, macs: card, hostname, group, groups: group, target, type: target, name: target, more: rest };
    const { node } = form(named, "Add", send, cancel);
    fill(place, el("h1", { id: "add-title", tabindex: "-1" }, "Add a machine"), node);
    (mac ? hostname : card).control.focus();
    try {
      const [{ targets }, { groups }] = await Promise.all([get("/targets"), get("/groups")]);
      target.control.replaceChildren(...options(targets, "as its group or the default says"));
      group.control.replaceChildren(...options(groups.map(nameOfGroup), "none"));
    } catch {
      // both stay empty; "more" can still say them
    }
  }

  return {
    title: () => "Add a machine",
    /** @param {string} _query @param {string} mac */
    show: (_query, mac) => void draw(mac),
    hide: () => fill(place),
    tick() {},
    escape() {
      history.back();
      return true;
    },
  };
}

/** @param {string|{name: string}} group */
const nameOfGroup = (group) => (typeof group === "string" ? group : group.name);
