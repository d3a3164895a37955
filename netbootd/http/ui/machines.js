/** The list of machines: each is a row that is made once, and afterwards changed where it differs. */

import { arrange, byId, el, setAttribute, setText } from "./dom.js";
import { badge, setBadge, stateButtons } from "./states.js";
import { age, byName, counts, nameOf, store, underWay } from "./store.js";
import { bytes, coarse, counted, placeWords, stageWord, urgency, WAY } from "./words.js";

/** @typedef {import("./types.js").Machine} Machine */

/** The way in the parts that a glance tells apart: up to which stage each goes. */
const PARTS = [
  ["DHCP", "4011"],
  ["loader", "loader"],
  ["script", "script"],
  ["kernel and initrd", "initrd"],
  ["system", "node-script"],
  ["done", "done"],
].map(([word, until]) => ({ word, until: WAY.indexOf(until) }));

/** How many of PARTS a boot that reached *stage* has come to. @param {string|null} stage */
export function partsReached(stage) {
  const rank = stage === null ? -1 : WAY.indexOf(stage);
  if (rank < 0) return 0;
  const part = PARTS.findIndex(({ until }) => rank <= until);
  return part < 0 ? PARTS.length : part + 1;
}

/** The bytes of a boot in a word, empty where there are none. @param {Machine} machine */
function amount(machine) {
  const { bytes_sent: sent, bytes_size: size } = machine;
  if (!sent && !size) return "";
  return size > sent ? `${Math.floor((sent / size) * 100)} % of ${bytes(size)}` : bytes(sent);
}

class Row {
  /** @param {Machine} machine */
  constructor(machine) {
    this.place = 0;
    this.state = badge(machine.state);
    this.link = el("a", { href: `#/machine/${encodeURIComponent(machine.key)}` });
    this.under = el("small");
    this.target = el("span", { role: "cell", class: "target" });
    this.parts = PARTS.map(() => el("i"));
    this.way = el("span", { class: "way" }, ...this.parts);
    this.stage = el("small");
    this.time = el("span", { role: "cell", class: "number time" });
    this.address = el("span", { role: "cell", class: "address" });
    this.trouble = el("span", { role: "cell", class: "trouble" });
    this.node = el(
      "div",
      { role: "row", class: "row" },
      el("span", { role: "cell" }, this.state),
      el("span", { role: "cell", class: "name" }, this.link, this.under),
      this.target,
      el("span", { role: "cell", class: "how-far" }, this.way, this.stage),
      ...[this.time, this.address, this.trouble],
    );
    this.show(machine);
  }

  /** @param {Machine} machine */
  show(machine) {
    this.machine = machine;
    setAttribute(this.node, "data-state", machine.state);
    setBadge(this.state, machine.state);
    setText(this.link, nameOf(machine));
    setText(this.under, under(machine));
    setText(this.target, machine.target + (machine.armed ? ` → ${machine.armed.target}` : ""));
    const reached = partsReached(machine.reached);
    this.parts.forEach((part, number) => part.classList.toggle("on", number < reached));
    const stage = machine.waits ? `waits: ${placeWords(machine.waits)}` : stageWord(machine.reached);
    setText(this.stage, [stage, amount(machine)].filter(Boolean).join(" · "));
    setText(this.address, machine.address);
    setText(this.trouble, machine.trouble || machine.held);
    this.tick(store.now());
    this.words = [
      ...[machine.key, machine.hostname, ...machine.macs, machine.target, machine.address],
      ...[machine.trouble, machine.held, ...machine.groups],
    ]
      .join(" ")
      .toLowerCase();
  }

  /** @param {number} now */
  tick(now) {
    const seconds = age(this.machine, now);
    setText(this.time, seconds === null ? "" : coarse(seconds));
  }
}

/** What stands below a machine's name. @param {Machine} machine */
function under(machine) {
  const cards = machine.macs.filter((mac) => mac !== nameOf(machine));
  const more = cards.length > 1 ? ` +${cards.length - 1}` : "";
  return [cards[0] ? cards[0] + more : "", machine.known ? "" : "not listed", ...machine.groups]
    .filter(Boolean)
    .join(" · ");
}

/** @type {Record<string, (a: Machine, b: Machine) => number>} */
const ORDERS = {
  attention: (a, b) => urgency(a.state) - urgency(b.state),
  name: () => 0,
  recent: (a, b) => (b.last ?? 0) - (a.last ?? 0),
  slow: (a, b) => pace(b) - pace(a),
};

/** For "slowest first": boots under way by how long they are, then how long the others took. */
function pace(/** @type {Machine} */ machine) {
  return underWay(machine) ? 1e9 - (machine.began ?? 0) / 10 : machine.seconds;
}

/** The page of all machines. */
export function machines() {
  const rowsPlace = byId("machines-rows");
  const search = /** @type {HTMLInputElement} */ (byId("search"));
  const group = /** @type {HTMLSelectElement} */ (byId("machines-group"));
  const order = /** @type {HTMLSelectElement} */ (byId("machines-order"));
  const empty = byId("machines-empty");
  /** @type {Map<string, Row>} */
  const rows = new Map();
  /** @type {Set<string>} */
  let states = new Set();
  let open = false;
  let stale = true;
  let drawn = "";
  let named = true;

  const buttons = stateButtons(byId("machines-states"), (chosen) => {
    states = chosen;
    filter();
  });
  for (const control of [search, group]) control.addEventListener("input", filter);
  order.addEventListener("change", () => {
    sort();
  });
  rowsPlace.addEventListener("keydown", walk);
  store.on("machines", (changed) => {
    if (!open) stale = true;
    else update(changed);
  });

  /** @param {Set<string>|null} changed */
  function update(changed) {
    if (changed === null) {
      for (const key of [...rows.keys()]) if (!store.machines.has(key)) rows.delete(key);
      for (const machine of store.machines.values()) put(machine);
      offerGroups();
    } else {
      for (const key of changed) {
        const machine = store.machines.get(key);
        if (machine) put(machine);
      }
    }
    buttons.show(counts(store.machines.values()));
    sort();
    filter();
  }

  /** @param {Machine} machine */
  function put(machine) {
    const row = rows.get(machine.key);
    if (!row || nameOf(row.machine) !== nameOf(machine)) named = false;
    if (!row) rows.set(machine.key, new Row(machine));
    else if (row.machine !== machine) row.show(machine);
  }

  /** Comparing names as people do is slow: once, and again when one is new. */
  function name() {
    if (named) return;
    [...rows.values()]
      .sort(({ machine: a }, { machine: b }) => byName(nameOf(a), nameOf(b)) || byName(a.key, b.key))
      .forEach((row, place) => (row.place = place));
    named = true;
  }

  function sort() {
    name();
    const compare = ORDERS[order.value];
    const sorted = [...rows.values()].sort(
      (a, b) => compare(a.machine, b.machine) || a.place - b.place,
    );
    const now = sorted.map(({ machine }) => machine.key).join("\n");
    if (now === drawn) return;
    drawn = now;
    arrange(rowsPlace, sorted.map(({ node }) => node));
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { machine, node, words: own } of rows.values()) {
      const fits =
        (states.size === 0 || states.has(machine.state)) &&
        (!group.value || machine.groups.includes(group.value)) &&
        words.every((word) => own.includes(word));
      if (node.hidden === fits) node.hidden = !fits;
      if (fits) shown += 1;
    }
    const all = rows.size;
    setText(byId("machines-shown"), shown === all ? counted(all, "machine") : `${shown} of ${all}`);
    empty.hidden = shown > 0 || !store.loaded;
    const none = "No machine is listed yet. Those that ask for a boot are among the unknown ones.";
    setText(empty, all ? "No machine is like that. Esc clears the search." : none);
  }

  function offerGroups() {
    const names = new Set([...store.machines.values()].flatMap((machine) => machine.groups));
    const wanted = ["", ...[...names].sort(byName)];
    if ([...group.options].map(({ value }) => value).join("\n") === wanted.join("\n")) return;
    const before = group.value;
    group.replaceChildren(...wanted.map((name) => el("option", { value: name }, name || "all")));
    group.value = names.has(before) ? before : "";
  }

  /** Up and down, from row to row. @param {KeyboardEvent} event */
  function walk(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const step = event.key === "ArrowDown" ? "nextElementSibling" : "previousElementSibling";
    let row = /** @type {HTMLElement} */ (event.target).closest(".row")?.[step];
    while (row instanceof HTMLElement && row.hidden) row = row[step];
    if (!(row instanceof HTMLElement)) return;
    row.querySelector("a")?.focus();
    event.preventDefault();
  }

  return {
    title: () => "Machines",
    /** @param {string} query  `state=…` of the address */
    show(query) {
      open = true;
      const wanted = new URLSearchParams(query).getAll("state");
      if (wanted.length) {
        buttons.set(wanted);
        states = new Set(wanted);
      }
      update(stale ? null : new Set());
      stale = false;
    },
    hide() {
      open = false;
    },
    tick() {
      const now = store.now();
      for (const row of rows.values()) if (row.machine?.since) row.tick(now);
    },
    /** Take back what was searched for; false where nothing was. */
    escape() {
      if (!search.value && !states.size && !group.value) return false;
      search.value = group.value = "";
      states.clear();
      buttons.set([]);
      filter();
      return true;
    },
  };
}
