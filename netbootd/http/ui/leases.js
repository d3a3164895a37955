/** Who has which address, how full the pools are, and what is wrong with them. */

import { call, get } from "./api.js";
import { arrange, byId, el, fill, say, setAttribute, setStyle, setText } from "./dom.js";
import { button } from "./form.js";
import { sign } from "./states.js";
import { byName, store } from "./store.js";
import { coarse, counted, moment } from "./words.js";

/** @typedef {import("./types.js").Lease} Lease */
/** @typedef {import("./types.js").Pools} Pools */
/** @typedef {import("./types.js").ForeignServer} ForeignServer */

/** Leases that are shown; a search finds the others. */
const MOST = 1000;
/** Milliseconds from the last key to asking. */
const TYPING = 250;
/** Milliseconds between asking how the pools are while nobody tells. */
const EVERY = 60_000;
/** Seconds that somebody who got no address is news. */
const RECENT = 600;
/** Of a pool in use: from then on it is nearly full. */
const NARROW = 0.9;

/** How a state looks, and what it is called. */
const STATES = {
  leased: ["up", "leased"],
  offered: ["booting", "offered"],
  declined: ["failed", "declined"],
  free: ["disabled", "over"],
};

/** Addresses in the order of their numbers. @param {string} a @param {string} b */
const byAddress = (a, b) => Number(a.includes(":")) - Number(b.includes(":")) || byName(a, b);

class Row {
  /** @param {Lease} lease */
  constructor(lease) {
    this.state = el("span", { class: "badge" });
    this.who = el("span", { role: "cell", class: "name" });
    this.until = el("span");
    this.since = el("small");
    this.subnet = el("span");
    this.port = el("small");
    this.act = el("span", { role: "cell", class: "act" });
    this.node = el(
      "div",
      { role: "row", class: "row" },
      el("span", { role: "cell", class: "address" }, lease.address),
      this.who,
      el("span", { role: "cell" }, this.state),
      el("span", { role: "cell" }, this.until, this.since),
      el("span", { role: "cell" }, this.subnet, this.port),
      this.act,
    );
    this.show(lease);
  }

  /** @param {Lease} lease */
  show(lease) {
    this.lease = lease;
    const [looks, word] = STATES[lease.state] ?? ["unknown", lease.state];
    setAttribute(this.node, "data-state", looks);
    setAttribute(this.state, "data-state", looks);
    fill(this.state, sign(looks), word + (lease.reserved ? ", reserved" : ""));
    const name = nameOf(lease);
    const key = lease.machine || lease.mac;
    const who = key ? el("a", { href: `#/machine/${encodeURIComponent(key)}` }, name) : el("span", {}, name);
    const under = [lease.mac !== name ? lease.mac : "", lease.machine ? "" : "not listed"];
    fill(this.who, who, el("small", {}, under.filter(Boolean).join(" · ")));
    setText(this.subnet, lease.subnet);
    setText(this.port, lease.port);
    this.#offerEnd();
    this.tick();
  }

  tick() {
    const { state, since, until } = this.lease;
    const now = store.now();
    setText(this.since, `since ${moment(since)}`);
    if (state === "free") setText(this.until, "");
    else if (until === null) setText(this.until, "for ever");
    else setText(this.until, until > now ? `${coarse(until - now)} left` : "over");
  }

  /** Ending one takes two presses: its holder may be alive. */
  #offerEnd() {
    if (this.lease.state === "free") return fill(this.act);
    if (this.act.childElementCount) return;
    const first = button("Release", () => {
      const sure = button(`Release ${this.lease.address}`, () => end(this.lease));
      sure.classList.add("danger");
      fill(this.act, sure);
      sure.focus();
      sure.addEventListener("blur", () => setTimeout(() => sure.isConnected && this.takeBack(), 200));
    });
    setAttribute(first, "aria-label", `Release ${this.lease.address}`);
    fill(this.act, first);
  }

  /** The second press is not wanted; false where none was asked for. */
  takeBack() {
    const sure = this.act.querySelector(".danger");
    if (!sure || /** @type {HTMLButtonElement} */ (sure).disabled) return false;
    const focused = sure === document.activeElement;
    fill(this.act);
    this.#offerEnd();
    if (focused) this.act.querySelector("button")?.focus();
    return true;
  }
}

/** @param {Lease} lease */
async function end({ address }) {
  await call("DELETE", `/leases/${encodeURIComponent(address)}`);
  say(`${address} is released`);
}

/** @param {Lease} lease */
const nameOf = (lease) => lease.hostname || lease.machine || lease.mac || lease.client_id || "nobody said";

/** How full the pools of one subnet are. @param {Pools} pools */
function pool(pools) {
  const { subnet, size, free, leased, offered, declined, reserved, ranges } = pools;
  const used = size - free;
  const part = size ? used / size : 0;
  const looks = size && !free ? "failed" : part >= NARROW ? "stuck" : "up";
  const bar = el("span", {
    ...{ class: "progress", role: "progressbar", "aria-label": `Addresses of ${subnet} in use` },
    ...{ "aria-valuemin": "0", "aria-valuemax": String(size), "aria-valuenow": String(used) },
  });
  setStyle(bar, "--part", String(Math.min(1, part)));
  const words = [
    `${counted(leased, "lease")}`,
    offered ? `${offered} offered` : "",
    declined ? `${declined} declined` : "",
    reserved ? `${counted(reserved, "reservation")}` : "",
  ];
  const share = size ? `${used} of ${size} in use, ${Math.floor(part * 100)} %` : "no pool";
  return el(
    "li",
    { class: "pool", "data-state": looks },
    el("div", {}, el("b", {}, subnet), el("span", { class: "share" }, size && !free ? `full: ${share}` : share)),
    size ? bar : null,
    el("small", {}, [words.filter(Boolean).join(", "), ranges.join(", ")].filter(Boolean).join(" · ")),
  );
}

/**
 * What somebody has to look at, the worst first.
 *
 * @param {{trouble: string, foreign: ForeignServer[], pools: Pools[]}} told
 */
function troublesOf({ trouble, foreign, pools }) {
  const now = store.now();
  return [
    ...(trouble ? [`Leases cannot be written, so nobody new gets an address: ${trouble}`] : []),
    ...foreign.map(({ server, interface: card, address, last }) => {
      const gave = address ? ` It gave ${address}.` : "";
      return `Another DHCP server, ${server}, answers on ${card}; last at ${moment(last)}.${gave}`;
    }),
    ...pools
      .filter(({ wanting }) => wanting && now - wanting < RECENT)
      .map(({ subnet, wanting, wanted_by: who }) => {
        return `${subnet} has run out: ${who || "somebody"} got no address at ${moment(wanting)}.`;
      }),
  ];
}

/** The page of leases, and the number of its troubles beside its name. */
export function leases() {
  const place = byId("leases-rows");
  const search = /** @type {HTMLInputElement} */ (byId("leases-search"));
  const state = /** @type {HTMLSelectElement} */ (byId("leases-state"));
  const subnet = /** @type {HTMLSelectElement} */ (byId("leases-subnet"));
  const empty = byId("leases-empty");
  const count = byId("count-leases");
  /** @type {Map<string, Row>} */
  const rows = new Map();
  let told = { trouble: "", foreign: /** @type {ForeignServer[]} */ ([]), pools: /** @type {Pools[]} */ ([]) };
  let total = 0;
  let open = false;
  let asked = 0;
  let asking = 0;
  let drawing = false;
  /** @type {number|undefined} */
  let typing;
  /** What came while an answer was on its way, and is newer. @type {Lease[]} */
  let held = [];

  for (const control of [state, subnet]) control.addEventListener("change", () => void ask());
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => void ask(), TYPING);
  });
  place.addEventListener("keydown", walk);
  store.on("lease", (lease) => {
    if (!open) return;
    if (asking) held.push(lease);
    else {
      put(lease);
      drawSoon();
    }
  });
  store.on("pools", showPools);
  store.on("feed", ({ state: how }) => how === "open" && void ask());

  /** As it is now; of several questions the last counts. */
  async function ask() {
    asked = Date.now();
    const mine = (asking = asked + Math.random());
    const query = new URLSearchParams({ limit: open ? String(MOST) : "1" });
    for (const [name, control] of Object.entries({ q: search, state, subnet })) {
      if (open && control.value.trim()) query.set(name, control.value.trim());
    }
    try {
      const answer = await get(`/leases?${query}`);
      if (mine !== asking) return;
      store.tell(answer.now);
      showPools(answer);
      if (open) {
        ({ total } = answer);
        const now = new Set(answer.leases.map((/** @type {Lease} */ one) => one.address));
        for (const address of [...rows.keys()]) if (!now.has(address)) rows.delete(address);
        answer.leases.forEach(set);
        held.forEach(put);
        draw();
      }
    } catch {
      // the next time
    } finally {
      if (mine === asking) {
        asking = 0;
        held = [];
      }
    }
  }

  /** @param {Lease} lease */
  function set(lease) {
    const row = rows.get(lease.address);
    if (row) row.show(lease);
    else rows.set(lease.address, new Row(lease));
  }

  /** What an event brought: it may fit no more, or be new here. @param {Lease} lease */
  function put(lease) {
    const known = rows.has(lease.address);
    if (fits(lease)) {
      if (known || rows.size < MOST) set(lease);
      if (!known) total += 1;
    } else if (known) {
      rows.delete(lease.address);
      total -= 1;
    }
  }

  /** The same that the API looks for. @param {Lease} lease */
  function fits(lease) {
    const wanted = state.value ? state.value === "all" || state.value === lease.state : lease.state !== "free";
    if (!wanted || (subnet.value && subnet.value !== lease.subnet)) return false;
    const words = [lease.address, lease.mac, lease.hostname, lease.machine, lease.port];
    return words.join("\n").toLowerCase().includes(search.value.trim().toLowerCase());
  }

  /** Once for all that come until the next frame: after a power cut they come by hundreds. */
  function drawSoon() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      if (open) draw();
    });
  }

  function draw() {
    const inOrder = [...rows.values()].sort((a, b) => byAddress(a.lease.address, b.lease.address));
    arrange(place, inOrder.map(({ node }) => node));
    const shown = rows.size;
    setText(byId("leases-shown"), shown === total ? counted(total, "lease") : `${shown} of ${total}`);
    empty.hidden = shown > 0;
    const any = search.value || state.value || subnet.value;
    const none = told.pools.length
      ? "Nobody has a lease."
      : "netbootd gives no addresses here: no interface and no subnet has \"dhcp\": \"server\".";
    setText(empty, any ? "No lease is like that. Esc clears the search." : none);
  }

  /** @param {{trouble: string, foreign: ForeignServer[], pools: Pools[]}} now */
  function showPools({ trouble, foreign, pools }) {
    told = { trouble, foreign, pools };
    showTroubles();
    const inOrder = [...pools].sort((a, b) => byAddress(a.subnet, b.subnet));
    const list = byId("leases-pools");
    const words = JSON.stringify(inOrder);
    if (list.dataset.words !== words) fill(list, inOrder.map(pool));
    list.dataset.words = words;
    list.hidden = pools.length === 0;
    const names = ["", ...inOrder.map((one) => one.subnet)];
    if ([...subnet.options].map(({ value }) => value).join() === names.join()) return;
    const before = subnet.value;
    subnet.replaceChildren(...names.map((name) => el("option", { value: name }, name || "all")));
    subnet.value = names.includes(before) ? before : "";
  }

  function showTroubles() {
    const troubles = troublesOf(told);
    const list = byId("leases-troubles");
    const words = troubles.join("\n");
    if (list.dataset.words !== words) fill(list, troubles.map((text) => el("p", {}, text)));
    list.dataset.words = words;
    list.hidden = count.hidden = troubles.length === 0;
    setText(count, String(troubles.length));
  }

  /** Up and down, from row to row. @param {KeyboardEvent} event */
  function walk(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const step = event.key === "ArrowDown" ? "nextElementSibling" : "previousElementSibling";
    const row = /** @type {HTMLElement} */ (event.target).closest(".row")?.[step];
    if (!(row instanceof HTMLElement)) return;
    const way = /** @type {HTMLElement|null} */ (row.querySelector("a, button"));
    way?.focus();
    event.preventDefault();
  }

  return {
    title: () => "Leases",
    show() {
      open = true;
      void ask();
    },
    hide() {
      open = false;
    },
    tick() {
      for (const row of rows.values()) row.tick();
    },
    /** Each second, whichever page is shown. */
    always() {
      showTroubles();
      if (Date.now() - asked > EVERY) void ask();
    },
    /** Take back what was searched for, or a release; false where nothing was. */
    escape() {
      for (const row of rows.values()) if (row.takeBack()) return true;
      if (!search.value && !state.value && !subnet.value) return false;
      search.value = state.value = subnet.value = "";
      void ask();
      return true;
    },
  };
}
