/**
 * What is known of all machines now, and who wants to be told of changes.
 *
 * Changes are gathered until the next frame: a thousand events in a second are one drawing each
 * sixtieth of it, and what has not changed is not touched.
 */

import { get } from "./api.js";
import { Feed } from "./live.js";

/** @typedef {import("./types.js").Machine} Machine */
/** @typedef {import("./types.js").Transfer} Transfer */

/** Milliseconds without a list of transfers after which there are none. */
const TRANSFERS_LAST = 3000;
/** Milliseconds between a reload and asking anew: several may follow each other. */
const SETTLING = 300;

class Store {
  /** @type {Map<string, Machine>} */
  machines = new Map();
  /** @type {Transfer[]} */
  transfers = [];
  /** How many there are in all, of which `transfers` holds those furthest behind. */
  underWay = 0;
  /** What `event: status` and `GET /status` say. @type {any} */
  status = {};
  generation = 0;
  /** Whether the machines were read at least once. */
  loaded = false;
  feed = new Feed(
    "/events?topics=machines,transfers,leases,status",
    (event, data) => this.#heard(event, data),
    () => this.#feedChanged(),
  );
  #ahead = 0;
  /** @type {{event: string, data: any}[]|null} */
  #held = null;
  #loading = 0;
  /** @type {Map<string, Set<Function>>} */
  #listeners = new Map();
  /** @type {Set<string>} */
  #touched = new Set();
  #all = false;
  #drawing = false;
  /** @type {number|undefined} */
  #transfersEnd;
  /** @type {number|undefined} */
  #settling;

  /** The daemon's clock, in Unix seconds: the browser's may be wrong. */
  now() {
    return Date.now() / 1000 + this.#ahead;
  }

  /** @param {number|undefined} now  as an answer says it */
  tell(now) {
    if (now) this.#ahead = now - Date.now() / 1000;
  }

  /**
   * Be told of *topic*: `machines` (with the keys that changed, null for all), `transfers`,
   * `lease` (one that is another now), `pools`, `status`, `reload`, `feed`.
   *
   * @param {string} topic @param {(...facts: any[]) => void} listener
   */
  on(topic, listener) {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
  }

  /** Read everything anew; events that come meanwhile are newer, and wait. */
  async load() {
    const mine = ++this.#loading;
    this.#held ??= [];
    try {
      const [list, status] = await Promise.all([get("/machines"), get("/status")]);
      if (mine !== this.#loading) return;
      this.tell(list.now);
      this.generation = list.generation;
      this.machines = new Map(list.machines.map((/** @type {Machine} */ m) => [m.key, m]));
      this.loaded = true;
      this.#all = true;
      this.#draw();
      this.#take("status", status);
    } finally {
      if (mine === this.#loading) this.#release();
    }
  }

  /** One machine that an answer brought. @param {Machine} machine */
  put(machine) {
    this.machines.set(machine.key, machine);
    this.#touched.add(machine.key);
    this.#draw();
  }

  /** Forget everything: nobody is signed in. */
  clear() {
    this.machines.clear();
    this.transfers = [];
    this.underWay = 0;
    this.status = {};
    this.loaded = false;
    this.#all = true;
    this.#draw();
  }

  #release() {
    const held = this.#held ?? [];
    this.#held = null;
    for (const { event, data } of held) this.#take(event, data);
  }

  /** @param {string} event @param {any} data */
  #heard(event, data) {
    if (this.#held) this.#held.push({ event, data });
    else this.#take(event, data);
  }

  /** @param {string} event @param {any} data */
  #take(event, data) {
    if (event === "machine") {
      this.put(data);
    } else if (event === "transfers") {
      this.#fly(data.transfers, data.total);
    } else if (event === "lease" || event === "pools") {
      this.#tell(event, data);
    } else if (event === "status") {
      this.tell(data.now);
      this.status = { ...this.status, ...data };
      this.#tell("status", this.status);
    } else if (event === "reload") {
      this.#tell("reload", data);
      clearTimeout(this.#settling);
      this.#settling = setTimeout(() => this.load().catch(() => {}), SETTLING);
    }
  }

  /** @param {Transfer[]} transfers @param {number} total of which these are the ones told of */
  #fly(transfers, total) {
    clearTimeout(this.#transfersEnd);
    if (transfers.length) {
      this.#transfersEnd = setTimeout(() => this.#fly([], 0), TRANSFERS_LAST);
    }
    this.transfers = transfers;
    this.underWay = total;
    this.#tell("transfers", transfers);
  }

  #feedChanged() {
    if (this.feed.state === "open") this.load().catch(() => {});
    this.#tell("feed", this.feed);
  }

  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      const changed = this.#all ? null : this.#touched;
      this.#all = false;
      this.#touched = new Set();
      this.#tell("machines", changed);
    });
  }

  /** @param {string} topic @param {...any} facts */
  #tell(topic, ...facts) {
    for (const listener of this.#listeners.get(topic) ?? []) listener(...facts);
  }
}

export const store = new Store();

/**
 * Seconds a machine is where it is: of a boot under way since that began, of others since their
 * state did.  Null where nobody knows.
 *
 * @param {Machine} machine @param {number} now
 */
export function age(machine, now) {
  const from = underWay(machine) ? machine.began : (machine.since ?? machine.last);
  return from === null || from === undefined ? null : Math.max(0, now - from);
}

/** @param {Machine} machine */
export const underWay = (machine) => machine.state === "booting" || machine.state === "stuck";

/** What people call it: its host name, else its key. @param {Machine} machine */
export const nameOf = (machine) => machine.hostname || machine.key;

/** Names in the order people count: node2 before node10. */
export const byName = new Intl.Collator("en", { numeric: true }).compare;

/** How many are in each state. @param {Iterable<Machine>} machines */
export function counts(machines) {
  /** @type {Record<string, number>} */
  const found = {};
  for (const { state } of machines) found[state] = (found[state] ?? 0) + 1;
  return found;
}
